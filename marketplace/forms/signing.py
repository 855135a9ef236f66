"""With what somebody signs, for how long they vouch, and who may read it."""

from collections.abc import Sequence
from datetime import UTC, datetime, time
from typing import Any

from django import forms
from django.db.models import TextChoices
from django.utils import timezone

from core.errors import Refused
from marketplace import opening, traces
from marketplace.actions import keys, pens
from marketplace.actions.endorsing import (
    LONGEST,
    LONGEST_REASON,
    SIX_MONTHS,
    end_of_validity,
)
from marketplace.actions.opening import LONGEST_MESSAGE
from marketplace.actions.pens import Pen
from marketplace.actions.publishing import Reader
from marketplace.actions.readers import reader
from marketplace.models import Entry
from marketplace.states import Visibility
from registration.forms.base import Form
from registration.models import Group, User
from volumes.models import Volume


class With(TextChoices):
    """What is signed with."""

    PORTAL = "portal", "with the key that the portal keeps for me"
    FILE = "file", "with my own certificate, from a file (PKCS#12: .p12 or .pfx)"
    SITE = "site", "with this site's own key: the entry is official"


class PenForm(Form):
    """The choice of the key. A file and its password are used in this request alone."""

    sign_with = forms.ChoiceField(
        label="Sign",
        widget=forms.RadioSelect,
        error_messages={"required": "Choose with which key."},
    )
    file = forms.FileField(
        label="Certificate file",
        required=False,
        allow_empty_file=True,
        widget=forms.FileInput(attrs={"accept": ".p12,.pfx,application/x-pkcs12"}),
        help_text="Used for this signature, and then forgotten: neither the file nor its password "
        "is kept.",
    )
    password = forms.CharField(
        label="Its password",
        required=False,
        strip=False,
        max_length=1000,
        widget=forms.PasswordInput(attrs={"autocomplete": "off"}),
    )

    def __init__(self, *args: Any, user: User, only: frozenset[With] = frozenset(With),
                 **kwargs: Any) -> None:  # fmt: skip
        super().__init__(*args, **kwargs)
        self.user = user
        self.key = keys.key_of(user) if With.PORTAL in only else None
        self.needs_key = With.PORTAL in only and self.key is None
        offered = [kind for kind in With if kind in only]
        if self.key is None:
            offered = [kind for kind in offered if kind is not With.PORTAL]
        if not user.is_staff:
            offered = [kind for kind in offered if kind is not With.SITE]
        field: Any = self.fields["sign_with"]
        field.choices = [(kind.value, kind.label) for kind in offered]
        field.initial = offered[0].value if offered else None
        if With.FILE not in offered:
            del self.fields["file"], self.fields["password"]

    def pen(self) -> Pen:
        """Of a valid form. Raises: Refused: as ``actions.pens``."""
        match self.cleaned_data["sign_with"]:
            case With.PORTAL:
                return pens.pen_of_key(self.user)
            case With.SITE:
                return pens.pen_of_site(self.user)
        given = self.cleaned_data.get("file")
        if given is not None and given.size > pens.LARGEST_FILE:
            sentence = f"A certificate's file has less than {pens.LARGEST_FILE >> 10} KiB."
            raise Refused("file_large", sentence, field="file")
        data = given.read() if given else b""
        return pens.pen_of_file(data, self.cleaned_data["password"], user=self.user)


class SignForm(PenForm):
    """The choice of the key for something new, which may be in somebody else's name."""

    ask_by_mail = forms.BooleanField(
        label="If the certificate is of an address that is not mine: ask its owner by mail",
        required=False,
        help_text="The entry is published once they say yes, for everybody, and is theirs.",
    )


class ReadersForm(Form):
    """Who may read it."""

    visibility = forms.ChoiceField(
        label="Who may read it",
        choices=[
            (
                Visibility.PUBLIC,
                "everybody: it is in the catalogue, and anybody may fetch the image",
            ),
            (Visibility.GROUP, "a group that I am in"),
            (Visibility.PRIVATE, "nobody but me"),
        ],
        initial=Visibility.PUBLIC.value,
        widget=forms.RadioSelect,
    )
    group = forms.ModelChoiceField(
        Group.objects.none(), label="The group", required=False, to_field_name="uuid",
        empty_label="No group",
    )  # fmt: skip

    knows = forms.BooleanField(
        label="I have read what was found in the disk, and publish it all the same",
        required=False,
    )

    def __init__(self, *args: Any, user: User, disks: Sequence[Volume] = (), **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.user = user
        self.asks_first = opening.asks_first(user)
        self.reports = list(traces.reports(disks).values()) if disks else []
        if not any(traces.in_words(report) for report in self.reports):
            del self.fields["knows"]
        mine = Group.objects.filter(memberships__user=user)
        groups: Any = self.fields["group"]
        groups.queryset = mine
        if not mine.exists():
            visibility: Any = self.fields["visibility"]
            visibility.choices = [
                (value, words) for value, words in visibility.choices if value != Visibility.GROUP
            ]
            del self.fields["group"]

    def readers(self) -> Reader:
        """Of a valid form. Raises: Refused: as ``actions.readers.reader``."""
        cleaned = self.cleaned_data
        return reader(
            cleaned["visibility"], cleaned.get("group"), by=self.user,
            knows=cleaned.get("knows", False),
        )  # fmt: skip


class AskPublicationForm(Form):
    """What somebody tells the administrators when an entry is to be opened to everybody."""

    message = forms.CharField(
        label="Message to the administrators",
        required=False,
        max_length=LONGEST_MESSAGE,
        widget=forms.Textarea(attrs={"rows": 4}),
        help_text="What the image is for, and what you have changed since they answered last.",
    )
    knows = forms.BooleanField(
        label="I have read what was found in the disk, and ask all the same",
        required=False,
    )

    def __init__(self, *args: Any, disks: Sequence[Volume] = (), **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.reports = list(traces.reports(disks).values()) if disks else []
        if not any(traces.in_words(report) for report in self.reports):
            del self.fields["knows"]


def _until_field() -> forms.DateField:
    return forms.DateField(
        label="Valid until",
        widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
        help_text="Six months from now are proposed. It ends at the end of that day (UTC).",
    )


class _UntilForm(PenForm):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        now = timezone.now()
        field = self.fields["valid"]
        field.initial = (now + SIX_MONTHS).date()
        field.widget.attrs |= {
            "min": now.date().isoformat(),
            "max": (now + LONGEST).date().isoformat(),
        }

    def clean_valid(self) -> datetime:
        until = datetime.combine(self.cleaned_data["valid"], time(23, 59, 59), UTC)
        try:
            return end_of_validity(until)
        except Refused as refused:
            raise forms.ValidationError(str(refused), code=refused.code) from None


class ExtendForm(_UntilForm):
    valid = _until_field()
    field_order = ("valid", "sign_with", "file", "password")


class EndorseForm(_UntilForm):
    valid = _until_field()
    field_order = ("valid", "sign_with", "file", "password")


class DeprecateForm(PenForm):
    reason = forms.CharField(
        label="Reason", max_length=LONGEST_REASON,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text="What is wrong with it, and what to use instead: whoever wants to launch it "
        "reads this.",
        error_messages={"required": "Say why: whoever wants to launch it reads this."},
    )  # fmt: skip
    field_order = ("reason", "sign_with", "file", "password")


def kinds_for(entry: Entry) -> frozenset[With]:
    """With what the next word of an entry's own endorser is signed."""
    return frozenset({With.SITE}) if entry.is_official else frozenset({With.PORTAL, With.FILE})

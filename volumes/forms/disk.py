"""What is filled in about a disk that there is."""

import uuid
from typing import Any

from django import forms

from registration.forms.base import Form, text
from registration.models import GIB, Group, User
from volumes import gates, meanings
from volumes.actions import disk_tag
from volumes.actions.sharing import GIVEN
from volumes.models import LARGEST_GIB, LONGEST_TAG, Access, DiskType, Snapshot, Visibility, Volume
from volumes.naming import LONGEST_SNAPSHOT_NAME, snapshot_name

_PLAIN = {"autocapitalize": "off", "spellcheck": "false"}


def _tag(help_text: str) -> forms.CharField:
    return text("Tag", "off", LONGEST_TAG, required=False, help_text=help_text)


def _username(help_text: str, **kwargs: Any) -> forms.CharField:
    return text("User name", "off", 20, attrs=_PLAIN, help_text=help_text, **kwargs)


class ChangeForm(Form):
    RULES = {"tag": disk_tag}

    tag = _tag(f"What you call it: up to {LONGEST_TAG} characters; it can stay blank.")
    visibility = forms.ChoiceField(
        label="Visibility",
        choices=[
            (Visibility.PRIVATE, "Private: nobody else sees it, unless you share it."),
            (Visibility.PUBLIC, "Public: everybody on this site can attach, copy and download it; "
             "nobody but you changes it."),
        ],
        widget=forms.RadioSelect,
    )  # fmt: skip
    type = forms.ChoiceField(
        label="Type",
        choices=[
            (kind, f"{DiskType(kind).label}: {meaning}") for kind, meaning in meanings.TYPES.items()
        ],
        widget=forms.RadioSelect,
    )
    knows = forms.BooleanField(
        label="I have read what was found in the disk, and publish it all the same",
        required=False,
    )

    def __init__(self, *args: Any, volume: Volume, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if volume.is_open_image or not gates.to_read(volume):
            del self.fields["knows"]


class GrowForm(Form):
    size_gib = forms.IntegerField(
        label="New size (GiB)",
        widget=forms.NumberInput(attrs={"inputmode": "numeric", "step": 1}),
    )

    def __init__(self, *args: Any, volume: Volume, **kwargs: Any) -> None:
        least = volume.size_bytes // GIB + 1
        super().__init__(*args, initial={"size_gib": min(least, LARGEST_GIB)}, **kwargs)
        field = self.fields["size_gib"]
        field.help_text = f"A whole number of GiB, {least} to {LARGEST_GIB}."
        field.widget.attrs |= {"min": least, "max": LARGEST_GIB}


class ShareForm(Form):
    username = _username("Of somebody who has an account here.", required=False)
    group = forms.ModelChoiceField(
        Group.objects.none(),
        label="Or a group",
        required=False,
        to_field_name="uuid",
        empty_label="No group",
        help_text="One that you are in: everybody in it, now and later.",
    )
    access = forms.ChoiceField(
        label="They may",
        choices=[
            (Access.READ, "read it: attach it read-only, copy it and download it"),
            (Access.WRITE, "read and write it: attach it read-write too, one machine at a time"),
        ],
        initial=Access.READ,
        widget=forms.RadioSelect,
    )

    def __init__(self, *args: Any, owner: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        mine = Group.objects.filter(memberships__user=owner)
        self.fields["group"].queryset = mine  # type: ignore[attr-defined]


class AccessForm(Form):
    access = forms.ChoiceField(choices=[(access, access.label) for access in GIVEN])


class SnapshotForm(Form):
    RULES = {"name": snapshot_name}

    name = text(
        "Name",
        "off",
        LONGEST_SNAPSHOT_NAME,
        help_text=f"Up to {LONGEST_SNAPSHOT_NAME} characters: what you will know it by.",
    )


class RestoreForm(Form):
    typed = text("Snapshot", "off", LONGEST_SNAPSHOT_NAME, attrs={"spellcheck": "false"})

    def __init__(self, *args: Any, snapshot: Snapshot, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["typed"].label = f"Type “{snapshot.name}” to go on"


class CopyForm(Form):
    RULES = {"tag": disk_tag}

    create_key = forms.UUIDField(widget=forms.HiddenInput)
    snapshot = forms.ModelChoiceField(
        Snapshot.objects.none(),
        label="Copy it as",
        required=False,
        to_field_name="uuid",
        empty_label="it is now",
    )
    tag = _tag("Of the copy.")
    as_original = forms.BooleanField(
        label="Save as an original",
        required=False,
        help_text="The copy is kept as it is, and further copies of it boot machines.",
    )

    def __init__(
        self,
        *args: Any,
        snapshots: Any,
        may_be_original: bool,
        is_written: bool,
        chosen: str,
        tag: str,
        **kwargs: Any,
    ) -> None:
        initial = {"create_key": uuid.uuid4(), "tag": tag, "snapshot": chosen}
        super().__init__(*args, initial=initial, **kwargs)
        field: Any = self.fields["snapshot"]
        field.queryset = snapshots
        if not snapshots:
            del self.fields["snapshot"]
        elif is_written:  # one of them must be
            field.required, field.empty_label = True, None
        if not may_be_original:
            del self.fields["as_original"]


class OfferForm(Form):
    username = _username("Of somebody who has an account here. They get a mail.")

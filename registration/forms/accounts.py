"""What an administrator fills in about somebody's account."""

from typing import Any

from django import forms

from registration.actions import LONGEST_REASON, MEANWHILE
from registration.forms.base import Form, text
from registration.models import User, same

_MEANWHILE = {
    "leave": "Leave their machines running",
    "shut_down": "Shut their machines down: guests close their files, then the disks are gone",
    "kill": "Kill their machines: whatever is not saved is lost, and the disks are gone",
}


def _reason(label: str, help_text: str) -> forms.CharField:
    attrs = {"rows": 2}
    return text(
        label, "off", LONGEST_REASON, widget=forms.Textarea, attrs=attrs, help_text=help_text
    )


class SuspendForm(Form):
    reason = _reason("Why?", "The person reads this, in a mail and where they try to sign in.")
    machines = forms.ChoiceField(
        label="Machines",
        choices=[(verb, _MEANWHILE[verb]) for verb in MEANWHILE],
        widget=forms.RadioSelect,
        initial=MEANWHILE[0],
    )


class ActForm(Form):
    reason = _reason("Why?", "It is kept in the audit, where the person reads it too.")


class CloseForm(Form):
    reason = _reason("Why?", "The person reads this in a mail.")
    what = forms.ChoiceField(
        label="What they still hold",
        choices=[
            (
                "remove",
                "Remove it: machines are killed, and whatever is not saved is lost; disks go "
                "into the bin, and end with their time there; a group goes to who has been in it "
                "longest",
            ),
            ("hand_over", "Hand it over to somebody else"),
        ],
        widget=forms.RadioSelect,
        initial="remove",
        required=False,
    )
    heir = text(
        "User name of who takes over",
        "off",
        20,
        required=False,
        attrs={"spellcheck": "false", "autocapitalize": "off"},
    )
    is_over_quota = forms.BooleanField(
        label="Even if it is more than their quota allows", required=False
    )
    typed = text(
        "User name of the account to close",
        "off",
        20,
        attrs={"spellcheck": "false", "autocapitalize": "off"},
        help_text="Type it, to be sure that it is the right one.",
    )

    def __init__(self, data: Any, *, person: User, holds: bool) -> None:
        super().__init__(data)
        self.person = person
        if not holds:
            for name in ("what", "heir", "is_over_quota"):
                del self.fields[name]

    def clean_typed(self) -> str:
        typed = str(self.cleaned_data["typed"]).strip()
        if typed != self.person.username:
            raise forms.ValidationError(f"This is not {self.person.username}.", code="typed")
        return typed

    def clean_heir(self) -> User | None:
        if self.cleaned_data.get("what") != "hand_over":
            return None
        name = str(self.cleaned_data["heir"]).strip()
        heir: User | None = User.objects.active().filter(same("username", name)).first()
        if heir is None or heir == self.person:
            sentence = "Write the user name of somebody else whose account is active."
            raise forms.ValidationError(sentence, code="heir_state")
        return heir

"""What administrators write on the lists of the site's policy."""

import json
from collections.abc import Sequence
from typing import Any

from django import forms

from core.errors import Refused
from marketplace.actions import policy as actions
from marketplace.models import PolicyLine
from marketplace.states import Colour, Subject
from registration.forms.base import Form

#: Each list, as the browser names it.
LISTS = [
    (f"{subject}.{colour}", actions.list_name(subject, colour).capitalize())
    for subject in Subject.values
    for colour in Colour.values
]


class AddForm(Form):
    list = forms.ChoiceField(choices=LISTS)
    values = forms.CharField(
        max_length=actions.LONGEST_FILE,
        widget=forms.Textarea(
            attrs={"rows": 3, "spellcheck": "false", "autocapitalize": "off", "autocomplete": "off"}
        ),
        help_text="E-mail addresses, checksums or image identifiers, one a line.",
    )
    note = forms.CharField(
        max_length=actions.LONGEST_NOTE, required=False, help_text="Why. For administrators only."
    )

    def change(self) -> actions.PolicyChange:
        subject, colour = self.cleaned_data["list"].split(".")
        values, note = self.cleaned_data["values"], self.cleaned_data["note"]
        return actions.PolicyChange(added=actions.policy_lines(subject, colour, values, note))


class RemoveForm(Form):
    lines = forms.ModelMultipleChoiceField(
        PolicyLine.objects.all(),
        to_field_name="uuid",
        error_messages={"required": "Tick the lines that are to go."},
    )

    def change(self) -> actions.PolicyChange:
        return actions.PolicyChange(removed=list(self.cleaned_data["lines"]))


class FileForm(Form):
    file = forms.FileField(
        label="File",
        required=False,
        max_length=200,
        widget=forms.ClearableFileInput(attrs={"accept": ".cfg,.ini,text/plain"}),
    )
    text = forms.CharField(
        label="Or its text",
        required=False,
        max_length=actions.LONGEST_FILE,
        widget=forms.Textarea(attrs={"rows": 6, "spellcheck": "false", "class": "font-monospace"}),
    )
    replaces = forms.BooleanField(
        label="Remove lines that the file does not have",
        required=False,
    )

    def clean(self) -> dict[str, Any]:
        data = super().clean()
        upload = data.get("file")
        if upload:
            if upload.size > actions.LONGEST_FILE:
                raise forms.ValidationError("The file is larger than 1 MiB.")
            try:
                data["text"] = upload.read().decode()
            except UnicodeDecodeError:
                self.add_error("file", "The file is no text in UTF-8.")
        elif not data.get("text"):
            self.add_error("file", "Choose a file, or paste its text.")
        return data

    def change(self) -> actions.PolicyChange:
        return actions.read_policy_file(
            self.cleaned_data["text"], replaces=self.cleaned_data["replaces"]
        )


class ApplyForm(Form):
    """A change that a preview has shown, and the version of the lists that it was shown for."""

    wanted = forms.CharField(max_length=4 * actions.LONGEST_FILE, widget=forms.HiddenInput)
    version = forms.CharField(max_length=20, widget=forms.HiddenInput)

    def change(self) -> actions.PolicyChange:
        try:
            wanted = json.loads(self.cleaned_data["wanted"])
            added = [actions.policy_line(*map(str, line)) for line in wanted["added"]]
            keys = [str(key) for key in wanted["removed"]]
            removed = list(PolicyLine.objects.filter(uuid__in=keys))
        except (ValueError, TypeError, KeyError, forms.ValidationError):
            raise Refused("line_invalid", "This change cannot be read. Begin again.") from None
        return actions.PolicyChange(added=added, removed=removed)


def written(added: Sequence[actions.Line], removed: Sequence[PolicyLine]) -> str:
    """A change as ``ApplyForm`` reads it."""
    keys = [str(line.uuid) for line in removed]
    return json.dumps({"added": [list(line) for line in added], "removed": keys})

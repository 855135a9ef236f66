"""What administrators write about mails."""

from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from registration import letters
from registration.forms.base import Form, text


class MailTextForm(Form):
    subject = text(
        "Subject",
        "off",
        letters.LONGEST_SUBJECT,
        help_text="The name of the site is put before it.",
    )
    text = text(
        "Text",
        "off",
        letters.LONGEST_TEXT,
        widget=forms.Textarea,
        attrs={"rows": 16, "class": "font-monospace"},
        help_text="A blank line begins a paragraph. A placeholder for a link or for what "
        "somebody wrote is set apart when it is alone on its line. A line whose placeholders "
        "are all empty is left out.",
    )

    def __init__(self, *args: Any, kind: letters.Kind, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.kind = kind

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean()
        if {"subject", "text"} <= cleaned.keys():
            for fault in letters.faults(self.kind, self.words):
                self.add_error(fault.field, ValidationError(fault.sentence, code=fault.code))
        return cleaned

    @property
    def words(self) -> letters.Wording:
        return letters.Wording(self.cleaned_data["subject"], self.cleaned_data["text"])

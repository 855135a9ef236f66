"""What administrators write: rules, reasons, and why."""

from collections.abc import Iterable, Mapping

from django import forms

from registration.actions import LONGEST_REASON
from registration.actions.approval import LONGEST_NOTE, LONGEST_TITLE
from registration.forms.base import Form, text
from registration.models import ReasonTemplate

LONGEST_DOMAIN = 253


class RuleForm(Form):
    pattern = text(
        "Domain of the e-mail address",
        "off",
        LONGEST_DOMAIN,
        attrs={"spellcheck": "false", "autocapitalize": "off", "placeholder": "example.org"},
        help_text="example.org, or *.example.org for every domain below it.",
    )
    note = text("Note", "off", LONGEST_NOTE, required=False, help_text="For administrators only.")


class ReasonForm(Form):
    title = text("Title", "off", LONGEST_TITLE, help_text="How administrators find it in the list.")
    text = text(
        "Text",
        "off",
        LONGEST_REASON,
        widget=forms.Textarea,
        attrs={"rows": 3},
        help_text="What the person reads. It can still be changed for each rejection.",
    )


def reason_of(data: Mapping[str, str], templates: Iterable[ReasonTemplate]) -> str:
    """What was written as the reason; without a word, the text of the template chosen."""
    written = data.get("reason", "").strip()
    chosen = data.get("template", "")
    if written or not chosen:
        return written
    return next((each.text for each in templates if str(each.uuid) == chosen), "")

"""What an administrator says of a catalogue elsewhere."""

import re
from typing import Any

from django import forms

from marketplace.actions import sources as actions
from marketplace.models import Source
from marketplace.states import SourceKind
from registration.forms.base import Form, text

_BETWEEN = re.compile(r"[\s,;]+")
_AS_WRITTEN = {"spellcheck": "false", "autocapitalize": "off"}


class SourceForm(Form):
    name = text("Name", "off", 80, help_text="Entries that it lists unsigned are shown under it.")
    kind = forms.ChoiceField(choices=SourceKind, label="Kind")
    url = text(
        "Address",
        "off",
        500,
        attrs={**_AS_WRITTEN, "placeholder": "https://images.example.org/", "inputmode": "url"},
        help_text="Of the Marketplace; of the folder that has streams/v1/index.json; or of "
        "Debian's folder of releases.",
    )
    every_hours = forms.IntegerField(
        label="Import every so many hours",
        min_value=actions.LEAST_HOURS,
        max_value=actions.MOST_HOURS,
        initial=24,
    )
    os = text(
        "Only these systems", "off", 1000, required=False, attrs=_AS_WRITTEN,
        help_text="Such as: debian ubuntu. Empty: every one.",
    )  # fmt: skip
    arch = text(
        "Only these architectures", "off", 1000, required=False, attrs=_AS_WRITTEN,
        help_text="Such as: x86_64. Empty: every one.",
    )  # fmt: skip
    endorser = text(
        "Only these endorsers", "off", 4000, required=False, attrs=_AS_WRITTEN,
        help_text="E-mail addresses. Empty: every one.",
    )  # fmt: skip
    words = text(
        "Only with these words", "off", 200, required=False,
        help_text="Each must be in the title, the tag, the description or the version.",
    )  # fmt: skip
    note = text("Note", "off", 300, required=False, help_text="For administrators only.")

    def wish(self) -> actions.SourceWish:
        said = self.cleaned_data
        wanted: dict[str, Any] = {name: _values(said[name]) for name in actions.FILTERS}
        return actions.SourceWish(
            name=said["name"],
            kind=said["kind"],
            url=said["url"],
            note=said["note"],
            every_hours=said["every_hours"],
            wanted={**wanted, "words": said["words"]},
        )


def _values(typed: str) -> list[str]:
    return [value for value in _BETWEEN.split(typed) if value]


def shown(source: Source) -> dict[str, Any]:
    """A source as the form shows it."""
    filters = {name: " ".join(source.wanted.get(name) or ()) for name in actions.FILTERS}
    return {
        "name": source.name,
        "kind": source.kind,
        "url": source.url,
        "note": source.note,
        "every_hours": source.every_hours,
        "words": source.wanted.get("words", ""),
        **filters,
    }

"""What the audit is searched by."""

from datetime import UTC, datetime, time, timedelta
from typing import Any

from django import forms

from core.models import EventQuerySet
from portal import trail, words
from registration.models import User


def _choices(codes: dict[str, str], every: str) -> list[tuple[str, str]]:
    named = sorted(codes.items(), key=lambda pair: pair[1].casefold())
    return [("", every), *named]


class FilterForm(forms.Form):
    """Every field may be left out. ``parts`` are the questions to ask the database."""

    is_administrators = False

    q = forms.CharField(label="Name or UUID of a thing", max_length=100, required=False)
    kind = forms.ChoiceField(label="Kind", required=False)
    action = forms.ChoiceField(label="Action", required=False)
    outcome = forms.ChoiceField(label="Outcome", required=False)
    since = forms.DateField(label="From", required=False)
    until = forms.DateField(label="To, with this day", required=False)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        nouns = {code: kind.listed or kind.noun for code, kind in words.KINDS.items()}
        self._offer("kind", _choices(nouns, "Every kind"))
        verbs = words.choices(is_administrator=self.is_administrators)
        self._offer("action", [("", "Every action"), *verbs])
        self._offer("outcome", _choices(words.OUTCOMES, "Every outcome"))
        for name in ("since", "until"):
            self.fields[name].widget = forms.DateInput(attrs={"type": "date"})
        for field in self.fields.values():
            is_choice = isinstance(field, forms.ChoiceField)
            field.widget.attrs["class"] = "form-select" if is_choice else "form-control"

    def _offer(self, name: str, choices: list[Any]) -> None:
        field = self.fields[name]
        if isinstance(field, forms.ChoiceField):
            field.choices = choices

    def clean_q(self) -> str:
        return str(self.cleaned_data["q"]).replace("\0", "").strip()

    @property
    def is_used(self) -> bool:
        return any(self.cleaned_data.values())

    def narrowed(self, rows: EventQuerySet) -> EventQuerySet:
        """What is left of ``rows``; nothing if a filter makes no sense."""
        if not self.is_valid():
            return rows.none()
        wanted = self.cleaned_data
        same = {"kind": wanted["kind"], "outcome": wanted["outcome"]}
        rows = rows.filter(**{name: value for name, value in same.items() if value})
        if wanted["action"]:
            rows = trail.of_action(rows, wanted["action"])
        if wanted["q"]:
            rows = trail.of_thing(rows, wanted["q"])
        if wanted["since"]:
            rows = rows.filter(at__gte=datetime.combine(wanted["since"], time.min, UTC))
        if wanted["until"]:
            day = wanted["until"] + timedelta(days=1)
            rows = rows.filter(at__lt=datetime.combine(day, time.min, UTC))
        return rows


class AuditForm(FilterForm):
    """An administrator's: whose, through which door, and of which request."""

    is_administrators = True

    who = forms.CharField(label="Person", max_length=254, required=False)
    door = forms.ChoiceField(label="Door", required=False)
    reference = forms.CharField(label="Reference", max_length=64, required=False)
    field_order = ("who", "q", "kind", "action", "outcome", "door", "since", "until", "reference")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._offer("door", _choices(words.DOORS, "Every door"))

    def clean_who(self) -> str:
        return str(self.cleaned_data["who"]).replace("\0", "").strip()

    def clean_reference(self) -> str:
        return str(self.cleaned_data["reference"]).replace("\0", "").strip()

    def people(self) -> list[User] | None:
        """Whom ``who`` means; None: everybody."""
        who = self.cleaned_data.get("who")
        return trail.people_named(who) if who else None

    def narrowed(self, rows: EventQuerySet) -> EventQuerySet:
        rows = super().narrowed(rows)
        if self.is_valid() and (door := self.cleaned_data["door"]):
            rows = rows.filter(door=door)
        if self.is_valid() and (reference := self.cleaned_data["reference"]):
            rows = rows.filter(reference=reference)
        return rows

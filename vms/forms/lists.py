"""What lists and reports of machines are asked."""

import uuid
from datetime import date
from typing import Any

from django import forms
from django.core.validators import MaxValueValidator, MinValueValidator

FIRST_DAY, LAST_DAY = date(2000, 1, 1), date(2199, 12, 31)


def _day(label: str) -> forms.DateField:
    return forms.DateField(
        label=label,
        widget=forms.DateInput(attrs={"type": "date"}),
        validators=[MinValueValidator(FIRST_DAY), MaxValueValidator(LAST_DAY)],
    )


class PeriodForm(forms.Form):
    """Two days of UTC, both of which count."""

    first = _day("From")
    until = _day("Until, with this day")

    def clean(self) -> dict[str, Any]:
        data = super().clean() or self.cleaned_data
        if {"first", "until"} <= set(data) and data["first"] > data["until"]:
            self.add_error("until", "This is before the first day.")
        return data


class UuidsField(forms.TypedMultipleChoiceField):
    """Any UUIDs: which of them name something is for the policy to say."""

    def valid_value(self, value: Any) -> bool:
        return True


class BulkForm(forms.Form):
    """Several machines and one verb; machines also as a pasted list of ids."""

    verb = forms.ChoiceField(
        choices=[("shut_down", "Shut down"), ("extend", "Extend the lease"), ("kill", "Kill")]
    )
    vm = UuidsField(coerce=uuid.UUID, required=False)
    ids = forms.CharField(required=False, max_length=4000)

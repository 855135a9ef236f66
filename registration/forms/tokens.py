"""Making an API token."""

from datetime import UTC, datetime, time, timedelta
from typing import Any

from django import forms
from django.conf import settings
from django.utils import timezone

from registration.actions.tokens import LONGEST_NAME
from registration.forms.base import Form, text
from registration.models import Scope

DAYS = (7, 30, 90, 365)
USUAL_DAYS = 30
A_DATE = "date"


class TokenForm(Form):
    name = text(
        "Name", "off", LONGEST_NAME, help_text="What it is for, such as the program that uses it."
    )
    scope = forms.ChoiceField(
        label="It may",
        choices=[
            (Scope.READ.value, "read: see what you see"),
            (Scope.WRITE.value, "read and write: do what you may do"),
        ],
        initial=Scope.READ.value,
        widget=forms.RadioSelect,
    )
    lasts = forms.ChoiceField(label="It ends", initial=str(USUAL_DAYS))
    until = forms.DateField(
        label="On this day",
        required=False,
        widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
        help_text="Only with “on a day of my choice”; at midnight UTC after it.",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        most = settings.PORTAL_TOKEN_DAYS
        today = timezone.now().date()
        offered = [days for days in DAYS if days <= most]
        self.fields["lasts"].choices = [  # type: ignore[attr-defined]
            *((str(days), f"in {days} days, {_ahead(days)}") for days in offered),
            (A_DATE, "on a day of my choice"),
        ]
        if USUAL_DAYS not in offered:
            self.fields["lasts"].initial = str(offered[-1]) if offered else A_DATE
        bounds = {"min": today.isoformat(), "max": (today + timedelta(days=most)).isoformat()}
        self.fields["until"].widget.attrs.update(bounds)

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean()
        if cleaned.get("lasts") == A_DATE and "until" in cleaned and not cleaned["until"]:
            self.add_error("until", "Choose the day on which the token ends.")
        return cleaned

    def expires_at(self) -> datetime:
        lasts = self.cleaned_data["lasts"]
        if lasts != A_DATE:
            return timezone.now() + timedelta(days=int(lasts))
        day_after = self.cleaned_data["until"] + timedelta(days=1)
        return datetime.combine(day_after, time.min, UTC)


def _ahead(days: int) -> str:
    return f"{timezone.now() + timedelta(days=days):%-d %B %Y}"

"""When a machine ends: on a day of its owner's choice."""

from datetime import UTC, datetime, time, timedelta
from typing import Any

from django import forms
from django.conf import settings
from django.utils import timezone


def end_of(day: Any) -> datetime | None:
    """The midnight after ``day``, UTC; None for none."""
    return datetime.combine(day + timedelta(days=1), time.min, UTC) if day else None


class UntilField(forms.DateField):
    """The launch page's: empty is as the site does."""

    def __init__(self, **more: Any) -> None:
        widget = forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d")
        super().__init__(required=False, label="Last day", widget=widget, **more)
        self.error_messages["invalid"] = "Write the day as 2026-12-31."

    def describe(self) -> None:
        """Say what the site does, as its settings are now."""
        days = settings.PORTAL_LEASE_DAYS
        hours = settings.PORTAL_LEASE_GRACE_HOURS
        empty = f"Empty: {days} days from now." if days > 0 else "Empty: it has no end."
        self.help_text = (
            f"At midnight UTC after it the machine is shut down; its disk is kept for {hours} "
            f"hours more. You are told before, and can extend it. {empty}"
        )
        today = timezone.now().date()
        self.widget.attrs["min"] = today.isoformat()
        if days > 0:
            self.widget.attrs["max"] = (today + timedelta(days=days)).isoformat()


class LeaseForm(forms.Form):
    until = UntilField()

    def ends_at(self) -> datetime | None:
        return end_of(self.cleaned_data["until"])

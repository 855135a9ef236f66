"""How disks' pages say how long is left."""

from datetime import datetime, timedelta

from django import template
from django.utils import timezone

register = template.Library()


@register.filter
def left(until: datetime | None) -> str:
    """6 days 5 hours, 5 hours, 12 minutes, less than a minute: rounded down; "" for none."""
    if until is None:
        return ""
    rest = until - timezone.now()
    for unit, step in (
        ("day", timedelta(days=1)), ("hour", timedelta(hours=1)), ("minute", timedelta(minutes=1))
    ):  # fmt: skip
        if number := int(rest / step) if rest > timedelta(0) else 0:
            hours = int((rest - number * step) / timedelta(hours=1)) if unit == "day" else 0
            return " ".join(
                _counted(*part) for part in ((number, unit), (hours, "hour")) if part[0]
            )
    return "less than a minute"


def _counted(number: int, unit: str) -> str:
    return f"{number} {unit}{'s' if number != 1 else ''}"

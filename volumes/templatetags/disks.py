"""How disks' pages say a size, and how long is left."""

from datetime import datetime, timedelta

from django import template
from django.utils import timezone

from volumes.quota import in_gib

register = template.Library()


@register.filter
def gib(size_bytes: int | None) -> str:
    """12 GiB, 0.29 GiB; what is smaller than that in MiB, KiB or bytes."""
    if size_bytes is None:
        return ""
    if size_bytes and size_bytes < (1 << 30) / 100:
        for unit, step in (("MiB", 1 << 20), ("KiB", 1 << 10)):
            if size_bytes >= step:
                return f"{size_bytes / step:.1f}".removesuffix(".0") + f" {unit}"
        return f"{size_bytes} bytes"
    return f"{in_gib(size_bytes)} GiB"


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

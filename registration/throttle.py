"""A brake on guessing: tries are counted per what was tried and where it came from.

A try is counted before it is made, and taken off if it was no failure: guesses made at once
cannot all pass before the first is counted. Names that exist cost what others cost.
"""

import hashlib
from datetime import datetime, timedelta

from django.db.models import F, QuerySet
from django.utils import timezone

from registration.models import Attempts

WINDOW = timedelta(minutes=15)


def take(limit: int, *what: str) -> datetime | None:
    """Count a try before it is made: None if it may be made, or when the next one may.

    Of tries made at once, no more than ``limit`` are let through.
    """
    now = timezone.now()
    rows = Attempts.objects.filter(key=_key(what))
    if not _add(rows, now):
        rows.filter(since__lte=now - WINDOW).update(since=now, count=0)
        Attempts.objects.bulk_create(
            [Attempts(key=_key(what), since=now, count=0)], ignore_conflicts=True
        )
        _add(rows, now)
        Attempts.objects.filter(since__lt=now - 4 * WINDOW).delete()
    began = rows.filter(count__gt=limit).values_list("since", flat=True).first()
    return began + WINDOW if began else None


def _add(rows: QuerySet[Attempts], now: datetime) -> int:
    return rows.filter(since__gt=now - WINDOW).update(count=F("count") + 1)


def give_back(*what: str) -> None:
    """A try that was no failure does not count."""
    Attempts.objects.filter(key=_key(what), count__gt=0).update(count=F("count") - 1)


def forget(*what: str) -> None:
    Attempts.objects.filter(key=_key(what)).delete()


def _key(what: tuple[str, ...]) -> str:
    return hashlib.sha256("\0".join(what).encode()).hexdigest()

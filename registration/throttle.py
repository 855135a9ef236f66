"""A brake on guessing: failures are counted per what was tried and where it came from.

One SELECT to ask and one UPDATE to count, for names that exist and for names that do not.
"""

import hashlib
from datetime import datetime, timedelta

from django.db.models import F
from django.utils import timezone

from registration.models import Attempts

WINDOW = timedelta(minutes=15)


def spent_until(limit: int, *what: str) -> datetime | None:
    """When ``what`` may be tried again, or None if it may be tried now."""
    since = timezone.now() - WINDOW
    rows = Attempts.objects.filter(key=_key(what), since__gt=since, count__gte=limit)
    began = rows.values_list("since", flat=True).first()
    return began + WINDOW if began else None


def count(*what: str) -> None:
    now = timezone.now()
    rows = Attempts.objects.filter(key=_key(what), since__gt=now - WINDOW)
    if rows.update(count=F("count") + 1):
        return
    Attempts.objects.update_or_create(key=_key(what), defaults={"since": now, "count": 1})
    Attempts.objects.filter(since__lt=now - 4 * WINDOW).delete()


def forget(*what: str) -> None:
    Attempts.objects.filter(key=_key(what)).delete()


def _key(what: tuple[str, ...]) -> str:
    return hashlib.sha256("\0".join(what).encode()).hexdigest()

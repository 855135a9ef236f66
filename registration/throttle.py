"""A brake on guessing: tries are counted per what was tried and where it came from.

A try is counted before it is made, and taken off if it was no failure: guesses made at once
cannot all pass before the first is counted. Names that exist cost what others cost.

Whoever has one IPv6 address has the 2**64 of its network: these are counted as one.
"""

import hashlib
from datetime import datetime, timedelta
from ipaddress import IPv6Address, IPv6Network, ip_address

from django.db.models import F, QuerySet
from django.utils import timezone

from registration.models import Attempts

WINDOW = timedelta(minutes=15)
#: What one customer of a network is given at least (RFC 6177): its bits are not counted apart.
IPV6_PREFIX = 64


def take(limit: int, *what: str, many: int = 1) -> datetime | None:
    """Count a try, or ``many``, before it is made: None if it may be, or when the next one may.

    Of tries made at once, no more than ``limit`` are let through.
    """
    now = timezone.now()
    rows = Attempts.objects.filter(key=_key(what))
    if not _add(rows, now, many):
        rows.filter(since__lte=now - WINDOW).update(since=now, count=0)
        Attempts.objects.bulk_create(
            [Attempts(key=_key(what), since=now, count=0)], ignore_conflicts=True
        )
        _add(rows, now, many)
        Attempts.objects.filter(since__lt=now - 4 * WINDOW).delete()
    began = rows.filter(count__gt=limit).values_list("since", flat=True).first()
    return began + WINDOW if began else None


def _add(rows: QuerySet[Attempts], now: datetime, many: int) -> int:
    return rows.filter(since__gt=now - WINDOW).update(count=F("count") + many)


def give_back(*what: str) -> None:
    """A try that was no failure does not count."""
    Attempts.objects.filter(key=_key(what), count__gt=0).update(count=F("count") - 1)


def forget(*what: str) -> None:
    Attempts.objects.filter(key=_key(what)).delete()


def _key(what: tuple[str, ...]) -> str:
    return hashlib.sha256("\0".join(map(place, what)).encode()).hexdigest()


def place(text: str) -> str:
    """Where an address counts: IPv4 as itself, IPv6 as its network. Other text is as it was."""
    try:
        address = ip_address(text)
    except ValueError:
        return text
    if not isinstance(address, IPv6Address):
        return str(address)
    if address.ipv4_mapped:
        return str(address.ipv4_mapped)
    return str(IPv6Network((int(address), IPV6_PREFIX), strict=False))

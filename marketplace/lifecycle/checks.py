"""Look whether the files that entries name are where they say; the head of the answer tells.

No row's life: what was found is written down, the longest not looked at first.
"""

import logging
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from django.conf import settings
from django.utils import timezone

from core import fetch
from marketplace.models import Entry, LocationCheck
from marketplace.states import EntryStatus

logger = logging.getLogger(__name__)

#: Addresses that one run looks at, and how long it may take: servers that do not answer are slow.
MOST_PER_RUN = 200
RUN_FOR = timedelta(minutes=5)
#: No address is looked at again sooner.
AGAIN_AFTER = timedelta(hours=20)
#: How long it is remembered what was found of an address that no valid entry names any more.
KEEP = timedelta(days=90)
LONGEST_URL = 500
_NEVER = datetime.min.replace(tzinfo=UTC)
#: The file is not wanted, whatever its size.
_ANY_SIZE = 1 << 62


class _Seen(Exception):
    """Ends a transfer before its first byte."""

    def __init__(self, head: fetch.Head) -> None:
        super().__init__()
        self.head = head


def check_some(*, most: int = MOST_PER_RUN) -> int:
    """Look at the addresses that are due; how many were looked at."""
    looked = _look_at(_due(most))
    LocationCheck.objects.filter(checked_at__lt=timezone.now() - KEEP).delete()
    return looked


def check_new() -> int:
    """Look at the addresses of what was published last, if nobody has; how many were."""
    entries = Entry.objects.newest().with_status(EntryStatus.VALID).filter(is_on_web=True)
    lists = entries.order_by("-pk").values_list("locations", flat=True)[:MOST_PER_RUN]
    urls = {url for urls in lists for url in urls if _is_elsewhere(url)}
    known = LocationCheck.objects.filter(url__in=urls).values_list("url", flat=True)
    return _look_at(sorted(urls - set(known))[:MOST_PER_RUN])


def _look_at(urls: Sequence[str]) -> int:
    began, looked = timezone.now(), 0
    for url in urls:
        if timezone.now() - began > RUN_FOR:
            break
        look(url)
        looked += 1
    return looked


def look(url: str) -> LocationCheck:
    """Ask what is there now, and write it down; of two at once the later one counts."""
    size, said, is_there = None, "", True
    try:
        size = _head(url).length
    except fetch.Unfetchable as error:
        said, is_there = str(error)[:300], False
    return _keep(
        LocationCheck(
            url=url, checked_at=timezone.now(), is_there=is_there, said=said, size_bytes=size
        )
    )


def note(url: str, *, size_bytes: int | None = None, fault: str = "") -> None:
    """What a fetch has found there: no look is a better one."""
    if _is_elsewhere(url):
        _keep(
            LocationCheck(
                url=url,
                checked_at=timezone.now(),
                is_there=not fault,
                said=fault[:300],
                size_bytes=size_bytes,
            )
        )


def _keep(check: LocationCheck) -> LocationCheck:
    LocationCheck.objects.bulk_create(
        [check],
        update_conflicts=True,
        unique_fields=["url"],
        update_fields=["checked_at", "is_there", "said", "size_bytes"],
    )
    logger.info("location.looked", extra={"is_there": check.is_there})
    return check


def _head(url: str) -> fetch.Head:
    """Raises: Unfetchable."""

    def stop(head: fetch.Head) -> None:
        raise _Seen(head)

    try:
        return fetch.fetch(
            url,
            lambda _offset, _piece: None,
            most_bytes=_ANY_SIZE,
            allowed=fetch.networks(settings.PORTAL_FETCH_NETWORKS),
            ports=settings.PORTAL_FETCH_PORTS,
            on_head=stop,
        )
    except _Seen as seen:
        return seen.head


def _due(most: int) -> list[str]:
    """What valid entries name and nobody has looked at for long, the longest first."""
    before = timezone.now() - AGAIN_AFTER
    known = dict(LocationCheck.objects.values_list("url", "checked_at"))
    due = {url for url in _named() if known.get(url, _NEVER) < before}
    return sorted(due, key=lambda url: (known.get(url, _NEVER), url))[:most]


def _named() -> set[str]:
    valid = Entry.objects.newest().with_status(EntryStatus.VALID)
    rows = valid.order_by().filter(is_on_web=True).exclude(locations=[])
    return {
        url
        for urls in rows.values_list("locations", flat=True).iterator()
        for url in urls
        if _is_elsewhere(url)
    }


def _is_elsewhere(url: str) -> bool:
    """What this site keeps itself, it knows without asking itself."""
    is_web = url.lower().startswith(("https://", "http://")) and len(url) <= LONGEST_URL
    return is_web and not url.startswith(f"{settings.PORTAL_URL}/")

"""Whose disks were how large when: what a report of usage adds up.

A disk counts from when it was made until it was gone, in the bin too, at the size that its
owner saw: one that grew counts as more from then on, and one that changed hands for each of
its owners while it was theirs. What never came to be does not count, and snapshots count in
the quota only. Sizes and owners of before are read back from the audit, which nobody changes.
"""

from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from django.db.models import Case, F, Q, Value, When
from django.utils import timezone

from core.models import Event, Outcome
from registration.models import User
from volumes.models import Volume
from volumes.states import VolumeState

#: Rows of disks that are read at a time.
CHUNK = 2000
#: What changes a disk's owner or size, or says that it never came to be.
RESIZES = ("grow", "restore_snapshot")
CHANGES = ("handed_over", "dismiss", *RESIZES)


class Span(NamedTuple):
    """The time during which a disk was one person's and had one size."""

    owner: int
    since: datetime
    until: datetime
    size_bytes: int


class _Change(NamedTuple):
    at: datetime
    verb: str
    owner: int | None  # before it
    detail: dict[str, Any]


def spans(since: datetime, until: datetime, *, owner: User | None = None) -> Iterator[Span]:
    """Every span that touches this period, of one person or of everybody. Two queries."""
    changes = _changes(since)
    disks = Volume.objects.exclude(state=VolumeState.FAILED).filter(
        ~Q(state=VolumeState.DELETED) | Q(state_since__gt=since), created_at__lt=until
    )
    if owner:
        given = [
            uuid for uuid, told in changes.items() if any(one.owner == owner.pk for one in told)
        ]
        disks = disks.filter(Q(owner=owner) | Q(uuid__in=given))
    end = Case(
        When(state=VolumeState.DELETED, then=F("state_since")), default=Value(timezone.now())
    )
    columns = disks.order_by().values_list("uuid", "owner_id", "created_at", end, "size_bytes")
    for uuid, *span in columns.iterator(CHUNK):
        for one in _backwards(Span(*span), changes.get(uuid, [])):
            if owner is None or one.owner == owner.pk:
                yield one


def _changes(since: datetime) -> dict[UUID, list[_Change]]:
    """By disk, the latest first."""
    events = Event.objects.filter(
        kind=Volume.KIND, verb__in=CHANGES, at__gt=since, outcome=Outcome.DONE
    )
    found: dict[UUID, list[_Change]] = defaultdict(list)
    columns = events.order_by("-pk").values_list("subject", "at", "verb", "owner_id", "detail")
    for subject, *change in columns.iterator(CHUNK):
        found[subject].append(_Change(*change))
    return found


def _backwards(last: Span, changes: list[_Change]) -> Iterator[Span]:
    """What a disk was before each change, from how it is now (or was at its end)."""
    for change in changes:
        if change.verb == "dismiss":
            return
        yield last._replace(since=max(change.at, last.since))
        last = last._replace(until=min(change.at, last.until))
        if change.verb == "handed_over" and change.owner is not None:
            last = last._replace(owner=change.owner)
        elif change.verb in RESIZES:
            size_bytes = change.detail.get("before", {}).get("size_bytes", last.size_bytes)
            last = last._replace(size_bytes=size_bytes)
    yield last

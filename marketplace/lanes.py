"""Lanes: how many steps that last may run at the same time in one process, and of whom.

A lane is never waited in by a thread: a row that finds no room is told so, and rung again. Nobody
fills a lane alone: of one person, and of one server, it takes a few.
"""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from urllib.parse import urlsplit

from django.utils import timezone

from core.machine import Stateful, due
from marketplace.models import DocumentArrival, Draft, ImageFile, Inspection, Source
from marketplace.states import (
    IN_LINE,
    ArrivalState,
    DraftSource,
    DraftState,
    ImageState,
    InspectionState,
    SourceState,
)

#: A row that was sent away and has not come again for so long waits no more.
_WAITS_FOR = timedelta(seconds=15)


class Lane:
    """Room for ``most`` steps at the same time, ``most_each`` of one person or server."""

    def __init__(self, doing: str, most: int, *, most_each: int = 0) -> None:
        self.most = most
        self.most_each = most_each or most
        self._doing = doing
        self._lock = threading.Lock()
        self._steps = 0
        self._of: Counter[str] = Counter()
        self._sent_away: dict[int, tuple[datetime, frozenset[str]]] = {}

    @contextmanager
    def room(self, row: Stateful) -> Iterator[str]:
        """Have a place in it for as long as the block lasts; yields why there is none, or ""."""
        keys = keys_of(row)
        why = self._enter(row.pk, keys)
        try:
            yield why
        finally:
            if not why:
                self._leave(keys)

    def is_wanted(self, row: Stateful) -> bool:
        """Whether somebody waits who could go on if ``row`` left."""
        ours, since = keys_of(row), timezone.now() - _WAITS_FOR
        with self._lock:
            return any(
                at > since and pk != row.pk and self._has_room_without(ours, keys)
                for pk, (at, keys) in self._sent_away.items()
            )

    def _enter(self, pk: int, keys: frozenset[str]) -> str:
        with self._lock:
            why = self._full(keys)
            if why:
                now = timezone.now()
                waits = self._sent_away.items()
                self._sent_away = {of: one for of, one in waits if now - one[0] < _WAITS_FOR}
                self._sent_away[pk] = now, keys
            else:
                self._sent_away.pop(pk, None)
                self._steps += 1
                self._of.update(keys)
            return why

    def _leave(self, keys: frozenset[str]) -> None:
        with self._lock:
            self._steps -= 1
            self._of.subtract(keys)
            self._of += Counter()  # keeps no names of who has nothing here

    def _has_room_without(self, ours: frozenset[str], keys: frozenset[str]) -> bool:
        return all(self._of[key] - (key in ours) < self.most_each for key in keys)

    def _full(self, keys: frozenset[str]) -> str:
        if self._steps >= self.most:
            return f"{IN_LINE}: the portal {self._doing}, {self.most} at a time."
        if any(self._of[key] >= self.most_each for key in keys):
            return (
                f"{IN_LINE}: the portal {self._doing}, {self.most_each} at a time for one person "
                "or from one server."
            )
        return ""


#: Steps that move bytes on this machine's own disks.
COPIES = Lane("copies and checks images", 2)
#: What waits for servers of others has lanes of its own, by kind: none holds up another kind.
IMAGES = Lane("fetches images", 4, most_each=2)
DRAFTS = Lane("measures files on the web", 2, most_each=1)
DOCUMENTS = Lane("fetches documents", 2, most_each=1)
IMPORTS = Lane("imports catalogues", 2, most_each=1)
_COPIED = frozenset({ImageState.CHECKING, ImageState.UNPACKING, ImageState.COPYING})


def lane_of(row: Stateful) -> Lane | None:
    """The lane of its next step; None: it takes a moment."""
    match row:
        case ImageFile(state=ImageState.FETCHING):
            return IMAGES
        case ImageFile(state=state) if state in _COPIED:
            return COPIES
        case Draft(state=DraftState.MEASURING, about=about):
            return DRAFTS if about == DraftSource.URL else COPIES
        case Inspection(state=InspectionState.READING):
            return COPIES
        case DocumentArrival(state=ArrivalState.FETCHING):
            return DOCUMENTS
        case Source(state=SourceState.IMPORTING):
            return IMPORTS
    return None


def keys_of(row: Stateful) -> frozenset[str]:
    """Who has its place: persons and the server."""
    match row:
        case ImageFile():
            return _keys(row.location, row.asked_by_id, row.entry.owner_id)
        case Draft() | DocumentArrival():
            return _keys(row.url, row.owner_id)
        case Source():
            return _keys(row.url)
        case Inspection():
            return _keys("", row.volume.owner_id)
    return frozenset()


def _keys(url: str, *persons: int | None) -> frozenset[str]:
    try:
        server = urlsplit(url).hostname
    except ValueError:
        server = None
    keys = {f"person {pk}" for pk in persons if pk}
    return frozenset(keys | ({f"server {server}"} if server else set()))


def tell(row: Stateful, why: str) -> None:
    """Write at a row that is due why it waits; nothing at one that somebody is busy with."""
    if due(row._row().filter(state=row.state)).exclude(reason=why).update(reason=why):
        row.announce()


def tell_no_more(row: Stateful) -> None:
    """It begins."""
    if row.reason.startswith(IN_LINE):
        row._row().filter(state=row.state, reason=row.reason).update(reason="")
        row.reason = ""

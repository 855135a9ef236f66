"""IMPORTING: read another catalogue, and take over what is wanted of it.

Killed at any point, it begins anew and finds what it did. A source that is switched off meanwhile
stops at the next batch.
"""

import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import timedelta
from itertools import islice
from typing import IO, Any

from django.conf import settings
from django.utils import timezone

from cloud.driver import CloudDriver
from core import fetch
from core.machine import Go, StaleState, Step
from marketplace.feeds import READERS, Found, Unreadable
from marketplace.imports import Import
from marketplace.models import Source
from marketplace.states import SourceState

#: Finds that are taken over between two looks whether the source is still on.
BATCH = 50
#: After a server that did not answer, or hung up.
AGAIN_AFTER = timedelta(hours=1)


def bring(source: Source, cloud: CloudDriver) -> Go:
    """IMPORTING: from the beginning to the end; a failure keeps what came before it."""
    work = Import(source)
    try:
        for batch in _batches(READERS[source.kind](source.url, get)):
            work.take(batch)
            source.keep(**_counted(work))
    except fetch.Unfetchable as error:
        again: dict[str, Any] = {"due_at": timezone.now() + AGAIN_AFTER} if error.is_passing else {}
        return _ended(work, str(error), **again)
    except Unreadable as error:
        return _ended(work, str(error))
    if not work.has_images:
        return _ended(work, "It lists no image: nothing was changed here.")
    return _ended(work, expired=work.expire_the_rest(), imported_at=timezone.now())


def _ended(work: Import, reason: str = "", *, expired: int = 0, **fields: Any) -> Go:
    kept = {**_counted(work), "refused": work.outcome.lines, **fields}

    def tell() -> None:
        figures = {"listed": work.outcome.seen, **work.outcome.figures, "expired": expired}
        work.source.record_event("imported", reason=reason, **figures)

    return Go(SourceState.DUE, reason, fields=kept, alongside=tell if work.outcome.seen else None)


def _counted(work: Import) -> dict[str, Any]:
    return {
        "seen": work.outcome.seen,
        "added": work.outcome.added,
        "figures": dict(work.outcome.others),
    }


def _batches(found: Iterable[Found]) -> Iterator[list[Found]]:
    rest = iter(found)
    while batch := list(islice(rest, BATCH)):
        yield batch


def get(url: str, *, most_bytes: int) -> IO[bytes]:
    """What is at ``url``, in a file without a name. Raises: Unfetchable."""
    file = tempfile.TemporaryFile()  # noqa: SIM115  (its reader closes it)

    def write(offset: int, piece: bytes) -> None:
        file.seek(offset)
        file.write(piece)

    try:
        fetch.fetch(
            url,
            write,
            most_bytes=most_bytes,
            allowed=fetch.networks(settings.PORTAL_FETCH_NETWORKS),
            ports=settings.PORTAL_FETCH_PORTS,
        )
    except fetch.Unfetchable:
        file.close()
        raise
    file.seek(0)
    return file


def begin_due(clouds: Iterable[str]) -> Iterator[Source]:
    """Begin the imports whose hour has come, and name them."""
    now = timezone.now()
    due = Source.objects.filter(cloud__in=list(clouds), state=SourceState.DUE, due_at__lte=now)
    for source in due:
        with suppress(StaleState):  # an administrator was faster
            source.move(SourceState.IMPORTING, **beginning(source))
            yield source


def beginning(source: Source) -> dict[str, Any]:
    """What changes with a source when its import begins: above all, when the next one does."""
    return {
        "due_at": timezone.now() + timedelta(hours=source.every_hours),
        "seen": 0,
        "added": 0,
        "figures": {},
    }


STEPS: Mapping[str, Step[Source]] = {SourceState.IMPORTING: bring}

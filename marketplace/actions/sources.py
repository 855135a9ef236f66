"""Other catalogues: added, switched on and off, imported from now, removed. Administrators' own."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import QuerySet

from core import fetch
from core.errors import Refused
from core.machine import IllegalMove, StaleState
from marketplace import tasks
from marketplace.feeds import simplestreams, stratuslab
from marketplace.lifecycle.importing import beginning
from marketplace.models import Source
from marketplace.states import SourceKind, SourceState
from registration.actions import rules
from registration.models import User

LEAST_HOURS, MOST_HOURS = 1, 24 * 28
FILTERS = ("os", "arch", "endorser")
#: Of one filter, and letters of one value.
MOST_VALUES, MOST_LETTERS = 50, 254


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceWish:
    """What an administrator says of a source. ``wanted`` as ``Source.wanted``."""

    name: str
    kind: str
    url: str
    note: str = ""
    wanted: Mapping[str, Any] = field(default_factory=dict)
    every_hours: int = 24


def add_source(wish: SourceWish, *, by: User) -> Source:
    """Note another catalogue, switched off.

    Raises:
        Refused: ``not_administrator``, ``source_kind``, ``source_address``, ``source_hours``,
            ``source_name``, ``source_taken``.
    """
    rules.must_be_administrator(by)
    columns = _judged(wish)
    _must_be_another(columns, Source.objects.all())
    try:
        with transaction.atomic():
            source = Source.objects.create(cloud=settings.DEFAULT_CLOUD, **columns)
            source.record_event("added", by=by, url=source.url)
            source.announce()
    except IntegrityError:
        raise _taken(wish) from None
    return source


def change_source(source: Source, wish: SourceWish, *, by: User) -> None:
    """Say anew where it is and what is wanted of it; in force from its next import on.

    Raises:
        Refused: as ``add_source``.
    """
    rules.must_be_administrator(by)
    columns = _judged(wish)
    before = {
        name: getattr(source, name) for name in columns if getattr(source, name) != columns[name]
    }
    if not before:
        return
    _must_be_another(columns, Source.objects.exclude(pk=source.pk))
    try:
        with transaction.atomic():
            Source.objects.filter(pk=source.pk).update(**columns)
            after = {name: columns[name] for name in before}
            source.record_event("changed", by=by, before=before, after=after)
            source.announce()
    except IntegrityError:
        raise _taken(wish) from None
    source.refresh_from_db()


def switch_source(source: Source, *, is_on: bool, by: User) -> None:
    """Begin to import from it now and then regularly, or import no more. Its entries stay.

    Raises:
        Refused: ``not_administrator``.
    """
    rules.must_be_administrator(by)
    if is_on == source.is_on:
        return
    if is_on:
        _begin(source, by=by, verb="source_on")
    else:
        _move(source, SourceState.OFF, by=by, verb="source_off", due_at=None)


def import_source(source: Source, *, by: User) -> None:
    """Import now instead of at its hour. Quiet if it is at it.

    Raises:
        Refused: ``not_administrator``, ``source_off``.
    """
    rules.must_be_administrator(by)
    if source.state == SourceState.IMPORTING:
        return
    if source.state == SourceState.OFF:
        raise Refused(
            "source_off", f"{source} is switched off. Switch it on: that imports at once."
        )
    _begin(source, by=by, verb="asked")


def remove_source(source: Source, *, by: User) -> None:
    """Forget a catalogue that nothing was ever taken from.

    Raises:
        Refused: ``not_administrator``, ``source_shipped``, ``source_on``, ``source_used``.
    """
    rules.must_be_administrator(by)
    with transaction.atomic():
        known = Source.objects.select_for_update().filter(pk=source.pk).first()
        if known is None:
            return
        _must_be_removable(known)
        known.record_event("removed", by=by, url=known.url)
        known.announce()
        known.delete()


def _must_be_removable(source: Source) -> None:
    if source.is_shipped:
        raise Refused(
            "source_shipped", f"{source} came with the portal. Switched off, it costs nothing."
        )
    if source.is_on:
        raise Refused("source_on", f"{source} is switched on. Switch it off first.")
    if source.entries.exists():
        raise Refused(
            "source_used",
            f"Entries of the catalogue came from {source}, and say so: it stays. Switched off, it "
            "costs nothing.",
        )


def _begin(source: Source, *, by: User, verb: str) -> None:
    cloud = source.cloud if source.cloud in settings.CLOUDS else settings.DEFAULT_CLOUD
    begun = beginning(source)
    _move(source, SourceState.IMPORTING, by=by, verb=verb, cloud=cloud, **begun)
    tasks.ring_row(source)


def _move(source: Source, to: str, *, by: User, verb: str, **fields: Any) -> None:
    try:
        source.move(to, by=by, verb=verb, **fields)
    except (StaleState, IllegalMove):
        source.refresh_from_db()  # somebody was faster: the page shows what is so now


def _judged(wish: SourceWish) -> dict[str, Any]:
    """Raises: Refused."""
    name, url = " ".join(wish.name.split()), wish.url.strip()
    if not 1 <= len(name) <= 80:
        raise Refused("source_name", "Give it a name of 80 letters at most.", field="name")
    if wish.kind not in SourceKind.values:
        raise Refused("source_kind", "Choose one of the kinds that are offered.", field="kind")
    if not LEAST_HOURS <= wish.every_hours <= MOST_HOURS:
        raise Refused(
            "source_hours",
            f"An import every {LEAST_HOURS} to {MOST_HOURS} hours is possible.",
            field="every_hours",
        )
    try:
        fetch.check(url, settings.PORTAL_FETCH_PORTS)
    except fetch.Unfetchable as error:
        raise Refused("source_address", str(error), field="url") from None
    if len(url) > 500:
        raise Refused("source_address", "An address has 500 letters at most.", field="url")
    return {
        "name": name,
        "kind": str(wish.kind),
        "url": url,
        "note": wish.note.strip()[:300],
        "wanted": _filters(wish.wanted),
        "every_hours": wish.every_hours,
    }


def _filters(wanted: Mapping[str, Any]) -> dict[str, Any]:
    """Those that are set, each value once and cut."""
    found: dict[str, Any] = {}
    for name in FILTERS:
        values = [str(value).strip()[:MOST_LETTERS] for value in wanted.get(name) or ()]
        if values := list(dict.fromkeys(filter(None, values)))[:MOST_VALUES]:
            found[name] = values
    if words := " ".join(str(wanted.get("words") or "").split())[:200]:
        found["words"] = words
    return found


def _must_be_another(columns: Mapping[str, Any], others: QuerySet[Source]) -> None:
    """Raises: Refused: ``source_taken``: it is on the list, at its field."""
    where = _place_of(columns["kind"], columns["url"])
    for other in others:
        if other.name.casefold() == columns["name"].casefold():
            sentence = f"Another source is called {other}: choose another name, or change that one."
            raise Refused("source_taken", sentence, field="name")
        if other.url == columns["url"] or _place_of(other.kind, other.url) == where:
            sentence = f"The source {other} has this address already: change that one."
            raise Refused("source_taken", sentence, field="url")


def _place_of(kind: str, url: str) -> str:
    """What an address leads to: several are of the same catalogue."""
    if kind == SourceKind.SIMPLESTREAMS:
        place = simplestreams.base_of(url)
    elif kind == SourceKind.STRATUSLAB:
        place = stratuslab.list_of(url, 0)
    else:
        place = url.rstrip("/")
    parts = urlsplit(place)
    return f"{kind} {parts.scheme}://{parts.netloc.lower()}{parts.path}"


def _taken(wish: SourceWish) -> Refused:
    """Somebody else was adding the same at the same time."""
    return Refused(
        "source_taken",
        f"Another source is called {wish.name} or has this address already; change that one.",
        field="name",
    )

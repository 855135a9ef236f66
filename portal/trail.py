"""The audit as people read it: sentences, changes, and pages that cost the same at any length.

Every filter has an index that also holds the time, so that the newest of a million lines are
found without sorting or counting them. A filter that means several columns (a person: who did
it, whose thing it is, as whom) is several questions, whose newest answers are put together.
"""

import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from django.urls import NoReverseMatch, reverse

from core import sizes
from core.models import NOTHING, Event, EventQuerySet
from portal import words
from registration.models import User, same

ROWS = 50
BATCH = 1000


# Reading ---------------------------------------------------------------------------------


def newest(
    parts: Sequence[EventQuerySet], *, before: Event | None = None, limit: int
) -> list[Event]:
    """The newest lines that are in any of ``parts``, and older than ``before``."""
    keys: set[tuple[Any, int]] = set()
    for part in parts:
        rows = part.order_by("-at", "-pk")
        if before is not None:
            rows = rows.filter(at__lte=before.at).exclude(at=before.at, pk__gte=before.pk)
        keys.update(rows.values_list("at", "pk")[:limit])
    chosen = [pk for _, pk in sorted(keys, reverse=True)[:limit]]
    found = Event.objects.select_related("by", "on_behalf_of", "owner").in_bulk(chosen)
    return [found[pk] for pk in chosen]


def all_of(parts: Sequence[EventQuerySet]) -> Iterator[Event]:
    """Every line, newest first, a batch at a time."""
    before: Event | None = None
    while batch := newest(parts, before=before, limit=BATCH):
        yield from batch
        before = batch[-1]


def about(parts: Sequence[EventQuerySet], people: Sequence[User]) -> list[EventQuerySet]:
    """What these people did, and what was done to what is theirs or as them."""
    return [
        part.filter(**{column: person.pk})
        for part in parts
        for person in people
        for column in ("by", "owner", "on_behalf_of")
    ]


def of_thing(rows: EventQuerySet, text: str) -> EventQuerySet:
    """By its UUID, or by the name it had then."""
    try:
        return rows.filter(subject=uuid.UUID(text))
    except ValueError:
        return rows.filter(subject_name=text)


def of_action(rows: EventQuerySet, action: str) -> EventQuerySet:
    """``action`` is a verb, or where a kind of thing went: ``moved:account:active``."""
    verb, _, move = action.partition(":")
    kind, _, state = move.partition(":")
    return rows.filter(verb=verb, kind=kind, now=state) if state else rows.filter(verb=verb)


def mine(user: User) -> list[EventQuerySet]:
    """What ``user`` may read: each part of it by an index."""
    rows = Event.objects.telling(user)
    return about([rows], [user])


# Telling ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Change:
    """One field: what it was, and what it became."""

    name: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Line:
    """An event in words: ``who`` did ``start`` ``thing`` ``end``, with the thing's page."""

    event: Event
    who: str
    start: str
    thing: str
    name: str
    url: str
    end: str
    is_mine: bool  # the reader did it, and may see from where
    changes: Sequence[Change]
    notes: Sequence[tuple[str, str]]  # what else is known: name and value


def told(events: Sequence[Event], *, reader: User) -> list[Line]:
    return [_told(event, reader) for event in events]


def _told(event: Event, reader: User) -> Line:
    kind = words.kind_of(event.kind)
    start, _, end = _phrase(event).partition("{}")
    is_oneself = event.kind == User.KIND and event.by_id is not None and (
        event.by_id == event.owner_id
    )  # fmt: skip
    return Line(
        event=event,
        who=_who(event),
        start=start.strip(),
        thing="their own account" if is_oneself else kind.noun,
        name="" if is_oneself else _name(event),
        url="" if is_oneself and not reader.is_staff else _url(event, kind, reader),
        end=end.strip(),
        is_mine=reader.is_staff or reader.pk in (event.by_id, event.on_behalf_of_id),
        changes=_changes(event, kind),
        notes=_notes(event),
    )


def _who(event: Event) -> str:
    if event.by is not None:
        return event.by.username
    is_portal = event.door in ("task", "command") or "rule_uuid" in event.detail
    return "The portal" if is_portal else "Somebody who was not signed in"


def _name(event: Event) -> str:
    if event.subject_name:
        return event.subject_name
    if event.subject == NOTHING:
        return "that nobody has"
    return str(event.subject)[:8]


def _phrase(event: Event) -> str:
    verb = words.verb_of(event.verb)
    if event.outcome == "denied":
        return f"tried to {verb.to} and was refused"
    if event.outcome == "failed":
        return f"could not {verb.to}"
    if event.verb != "moved":
        return verb.past
    if event.kind == User.KIND and "rule_uuid" in event.detail:
        return f"let in {{}} by the rule {event.detail.get('rule', '')}"
    known = words.move_of(event.kind, event.was, event.now)
    if event.kind == User.KIND and "vouched" in event.detail:
        known = "vouched for the address of {}"
    if known and (event.by_id or event.on_behalf_of_id):
        return known
    states = words.kind_of(event.kind).states
    was, now = states.get(event.was, event.was), states.get(event.now, event.now)
    return f"moved {{}} from {was} to {now}"


def _url(event: Event, kind: words.Kind, reader: User) -> str:
    may = reader.is_staff or (kind.is_theirs and event.owner_id == reader.pk)
    if not kind.page or not may or event.subject == NOTHING:
        return ""
    try:
        return reverse(kind.page, args=[event.subject])
    except NoReverseMatch:
        return ""


def _changes(event: Event, kind: words.Kind) -> list[Change]:
    before, after = event.detail.get("before", {}), event.detail.get("after", {})
    found = []
    if event.was and event.now:
        was, now = (kind.states.get(state, state) for state in (event.was, event.now))
        found.append(Change("state", was, now))
    if not isinstance(before, dict) or not isinstance(after, dict):
        return [*found, Change("value", in_words(before), in_words(after))]
    for name in sorted({*before, *after}):
        was, now = (in_words(values.get(name), name) for values in (before, after))
        found.append(Change(words.field_of(name), was, now))
    return found


def _notes(event: Event) -> list[tuple[str, str]]:
    return [
        (words.field_of(name), in_words(value, name))
        for name, value in sorted(event.detail.items())
        if name not in ("before", "after") and value not in ("", None, [], {})
    ]


def in_words(value: Any, name: str = "") -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value in (None, "", [], {}):
        return "—"
    if isinstance(value, int) and name.endswith("_bytes"):
        return sizes.in_words(value)
    if isinstance(value, dict):
        return ", ".join(f"{words.field_of(k)}: {in_words(v, k)}" for k, v in value.items())
    if isinstance(value, list):
        return ", ".join(in_words(one) for one in value)
    return str(value)


def sentence(line: Line) -> str:
    """The same, as plain text."""
    whole = f"{line.who} {line.start} {line.thing} {line.name} {line.end}"
    if line.event.on_behalf_of is not None:
        whole = f"{line.who}, as {line.event.on_behalf_of.username}, {whole[len(line.who) + 1 :]}"
    return " ".join(whole.split())


def people_named(text: str) -> list[User]:
    """Everybody who has, or had, this user name or address."""
    named = same("username", text) | same("email", text)
    return list(User.objects.filter(named)[:10])

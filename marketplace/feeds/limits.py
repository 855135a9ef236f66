"""JSON of strangers, read bit by bit: a hostile index costs a sentence, no memory.

What ``json`` makes of ``[[],[],…`` takes thirty times the bytes that were sent, and it recurses.
Here the parser only says what comes next; what is kept of it is counted. Numbers are those of
machines: one of a thousand digits is an error (and as an int crashes ijson 3.6).
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

import ijson

from marketplace.documents.values import HIDDEN
from marketplace.feeds.model import Unreadable

#: Of one document.
MOST_BYTES = 48 << 20
#: Of one object that is kept whole: strings, numbers, lists and objects in it.
MOST_VALUES = 200_000
MOST_DEPTH = 12
#: Members of the object whose members are read one at a time.
MOST_MEMBERS = 20_000
MOST_LETTERS = 4_000

#: All of one line; among them NUL, which databases refuse.
_UNPRINTED = re.compile(rf"[\x00-\x1f{HIDDEN}]+")
Events = Iterator[tuple[str, Any]]


def whole(file: IO[bytes]) -> Any:
    """The document as values.

    Raises:
        Unreadable: it is no JSON, or larger or deeper than an index has reason to be.
    """
    with _translated():
        events: Events = ijson.basic_parse(file, use_float=True)
        return _value(next(events, ("", None)), events, _Budget())


def members(file: IO[bytes], under: str) -> Iterator[tuple[str, Any]]:
    """The members of the object called ``under`` at the top of the document, one at a time.

    Raises:
        Unreadable: as ``whole``.
    """
    with _translated():
        events: Events = ijson.basic_parse(file, use_float=True)
        if next(events, ("", None))[0] != "start_map":
            raise Unreadable("The index is no JSON object.")
        for event, name in events:
            if event == "end_map":
                return
            if name == under:
                yield from _members(next(events, ("", None))[0], events)
            else:
                _skip(next(events, ("", None)), events)


def _members(first: str, events: Events) -> Iterator[tuple[str, Any]]:
    if first != "start_map":
        raise Unreadable("The index has a list or a word where an object belongs.")
    for count, (event, name) in enumerate(events):
        if event == "end_map":
            return
        if count == MOST_MEMBERS:
            raise Unreadable(f"The index lists more than {MOST_MEMBERS:,} products.")
        yield printable(str(name)), _value(next(events, ("", None)), events, _Budget())


class _Budget:
    """How much of one object may still be kept."""

    def __init__(self) -> None:
        self.left = MOST_VALUES

    def spend(self, depth: int) -> None:
        self.left -= 1
        if self.left < 0:
            raise Unreadable(f"One object of the index has more than {MOST_VALUES:,} values.")
        if depth > MOST_DEPTH:
            raise Unreadable(f"The index is nested deeper than {MOST_DEPTH} levels.")


def _value(first: tuple[str, Any], events: Events, budget: _Budget, depth: int = 0) -> Any:
    event, value = first
    budget.spend(depth)
    if event == "start_map":
        return _map(events, budget, depth + 1)
    if event == "start_array":
        return _array(events, budget, depth + 1)
    if event == "string" and len(value) > MOST_LETTERS:
        raise Unreadable(f"The index has a word of more than {MOST_LETTERS:,} letters.")
    if event not in ("string", "number", "boolean", "null"):
        raise Unreadable("The index ends before its end.")
    return value


def _map(events: Events, budget: _Budget, depth: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for event, name in events:
        if event == "end_map":
            break
        found[printable(str(name)[:MOST_LETTERS])] = _value(
            next(events, ("", None)), events, budget, depth
        )
    return found


def _array(events: Events, budget: _Budget, depth: int) -> list[Any]:
    found: list[Any] = []
    for first in events:
        if first[0] == "end_array":
            break
        found.append(_value(first, events, budget, depth))
    return found


def _skip(first: tuple[str, Any], events: Events) -> None:
    """Read past a value, however deep, and keep nothing of it."""
    depth = 1 if first[0] in ("start_map", "start_array") else 0
    while depth:
        event = next(events, ("", None))[0]
        if not event:
            raise Unreadable("The index ends before its end.")
        depth += (event in ("start_map", "start_array")) - (event in ("end_map", "end_array"))


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except (ijson.JSONError, ValueError, ArithmeticError) as error:
        why = printable(str(error))[:100]
        raise Unreadable(f"The index is no JSON: {why}") from error


def child(value: Any, *names: str) -> dict[str, Any]:
    """The object at the end of a path of names; an empty one where there is none."""
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return value if isinstance(value, dict) else {}


def text(value: Any, name: str, most: int = 200) -> str:
    """A member that is a word, printable and cut; "" for whatever else it is."""
    found = value.get(name) if isinstance(value, dict) else None
    return printable(found)[:most] if isinstance(found, str) else ""


def printable(text: str) -> str:
    """Without what nobody would see, or would see wrongly."""
    return _UNPRINTED.sub(" ", text).strip()


def number(value: Any, name: str) -> int | None:
    """A member that is a natural number a database can hold; None for whatever else it is."""
    found = value.get(name) if isinstance(value, dict) else None
    if isinstance(found, int) and not isinstance(found, bool) and 0 <= found < 2**62:
        return found
    return None

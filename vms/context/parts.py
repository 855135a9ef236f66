"""What a guest is to learn and to do, as a person says it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from cloud.types import ContextMethod

#: Parts of one machine, at the most.
MOST_PARTS = 40


@dataclass(frozen=True, slots=True)
class Part:
    """One piece of user data. ``subtype`` is what follows "text/" in its MIME type."""

    subtype: str
    name: str  # the base name of its file, as the guest will call it
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """How a guest is told (``method``), and what.

    ``literal`` is the whole user data, to the byte, and replaces ``parts``. ``pairs`` are
    KEY=value, in the order in which they were given.
    """

    method: ContextMethod = ContextMethod.CLOUD_INIT
    parts: tuple[Part, ...] = ()
    pairs: tuple[tuple[str, str], ...] = ()
    literal: str = ""

    def __bool__(self) -> bool:
        return bool(self.parts or self.pairs or self.literal)


def as_json(context: Context) -> dict[str, Any]:
    """For a JSON column; the method has a column of its own."""
    found: dict[str, Any] = {}
    if context.parts:
        found["parts"] = [
            {"type": part.subtype, "name": part.name, "text": part.text} for part in context.parts
        ]
    if context.pairs:
        found["pairs"] = dict(context.pairs)
    if context.literal:
        found["literal"] = context.literal
    return found


def from_json(method: str, kept: Mapping[str, Any]) -> Context:
    return Context(
        method=ContextMethod(method),
        parts=parts_from(kept.get("parts", ())),
        pairs=tuple(kept.get("pairs", {}).items()),
        literal=kept.get("literal", ""),
    )


def parts_from(rows: Iterable[Mapping[str, str]]) -> tuple[Part, ...]:
    return tuple(Part(row["type"], row["name"], row["text"]) for row in rows)


def tidy(text: str) -> str:
    """With the ends of lines that guests read, and without the mark of an editor."""
    return text.removeprefix("\ufeff").replace("\r\n", "\n")


def tidied(part: Part) -> Part:
    return replace(part, text=tidy(part.text))

"""What is different between two texts, paragraph by paragraph and word by word."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import zip_longest

SAME, ADDED, REMOVED, CHANGED, FOLDED = "same", "added", "removed", "changed", "folded"
#: Paragraphs less alike than this are told as one removed and one added.
ALIKE = 0.4
#: Pairs of words, or of paragraphs, that are compared; comparing costs up to their product.
#: Beyond, one is told as removed and the other as added.
MOST_PAIRS = 1_000_000

_BREAK = re.compile(r"\n\s*\n|\n(?=\s*(?:[-*+]|\d+[.)])\s)|\n(?=#)|(?<=\n)(?=#)")
_WORD = re.compile(r"\S+\s*")


@dataclass(frozen=True, slots=True)
class Piece:
    kind: str  # same, added, removed
    text: str


@dataclass(frozen=True, slots=True)
class Block:
    """A paragraph; or, folded, ``count`` of them that are as before."""

    kind: str
    pieces: tuple[Piece, ...] = ()
    count: int = 0


def differences(before: str, after: str) -> list[Block]:
    """Every paragraph that was touched, with one untouched on either side; [] if none was."""
    old, new = _paragraphs(before), _paragraphs(after)
    if old == new:
        return []
    return list(_folded(list(_blocks(old, new))))


def _paragraphs(text: str) -> list[str]:
    """With their lines joined: where a line is wrapped is no difference."""
    parts = _BREAK.split(text.replace("\r\n", "\n"))
    return [joined for part in parts if (joined := " ".join(part.split()))]


def _blocks(old: Sequence[str], new: Sequence[str]) -> Iterator[Block]:
    if len(old) * len(new) > MOST_PAIRS:
        yield from _replaced(old, new)
        return
    matcher = SequenceMatcher(a=old, b=new, autojunk=False)
    for what, start, end, new_start, new_end in matcher.get_opcodes():
        if what == "equal":
            for text in old[start:end]:
                yield _whole(SAME, text)
        else:
            yield from _replaced(old[start:end], new[new_start:new_end])


def _replaced(old: Sequence[str], new: Sequence[str]) -> Iterator[Block]:
    left = MOST_PAIRS
    for was, now in zip_longest(old, new):
        if was is not None and was == now:
            yield _whole(SAME, was)
            continue
        left -= _pairs(was, now)
        if left >= 0 and was is not None and now is not None and _are_alike(was, now):
            yield Block(CHANGED, tuple(_words(was, now)))
            continue
        if was is not None:
            yield _whole(REMOVED, was)
        if now is not None:
            yield _whole(ADDED, now)


def _pairs(was: str | None, now: str | None) -> int:
    return len((was or "").split()) * len((now or "").split())


def _whole(kind: str, text: str) -> Block:
    return Block(kind, (Piece(kind, text),))


def _are_alike(was: str, now: str) -> bool:
    return _matcher(was, now).ratio() >= ALIKE


def _matcher(was: str, now: str) -> "SequenceMatcher[str]":
    return SequenceMatcher(a=was.split(), b=now.split(), autojunk=False)


def _words(was: str, now: str) -> Iterator[Piece]:
    old, new = _WORD.findall(f"{was} "), _WORD.findall(f"{now} ")
    matcher = SequenceMatcher(a=old, b=new, autojunk=False)
    for what, start, end, new_start, new_end in matcher.get_opcodes():
        if what == "equal":
            yield Piece(SAME, "".join(old[start:end]))
            continue
        if end > start:
            yield Piece(REMOVED, "".join(old[start:end]))
        if new_end > new_start:
            yield Piece(ADDED, "".join(new[new_start:new_end]))


def _folded(blocks: Sequence[Block]) -> Iterator[Block]:
    """Stretches of what is as before become one line that says how long they are."""
    touched = {place for place, block in enumerate(blocks) if block.kind != SAME}
    near = {place + step for place in touched for step in (-1, 0, 1)}
    hidden = 0
    for place, block in enumerate(blocks):
        if place not in near:
            hidden += 1
            continue
        if hidden:
            yield Block(FOLDED, count=hidden)
            hidden = 0
        yield block
    if hidden:
        yield Block(FOLDED, count=hidden)

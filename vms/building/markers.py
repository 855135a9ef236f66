"""What a guest says of its steps, read from its serial line.

A guest can print what it likes: what it says concerns nobody's rows but its owner's.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

#: A mark that is not whole yet is read with what comes next.
LONGEST_LINE_BYTES = 400


@dataclass(frozen=True, slots=True)
class Said:
    """One mark. ``number`` 0: all is done. ``status`` None: the step has begun."""

    number: int
    status: int | None = None

    @property
    def is_done(self) -> bool:
        return self.number == 0


@dataclass(frozen=True, slots=True)
class Shown:
    """What a piece of the log shows: marks in their order, and a new start of the machine.

    ``restarted_after`` is how many of the marks came before that; None: it did not start anew.
    """

    marks: tuple[Said, ...]
    restarted_after: int | None = None


#: What the demo image and cloud-init write at every start. Bounded: a guest may write the first
#: words of it a thousand times on one line.
_STARTS = re.compile(
    rb"(portal-context: started|Cloud-init v\.[^\n]{1,40} running 'init(?:-local)?'"
    rb"[^\r\n]{0,200}+)[ \t]{0,200}+\r{0,200}+\n"
)
_DEMO = b"portal-context:"


def read(
    new: bytes, *, end: bytes, nonce: str, has_begun: bool, before: Callable[[], bytes]
) -> Shown:
    """What ``new`` says, which follows ``end`` on the line.

    ``has_begun``: a step had begun before. Then a start of the machine is one too many; its line
    with date and time that was there ``before`` is only printed again.
    """
    known = end[-LONGEST_LINE_BYTES:]
    text = known + new
    marks = list(_marks(text, nonce))
    earliest = 0 if has_begun else marks[0][0] if marks else len(text)
    restart = _restart(text, len(known), earliest, before)
    told = tuple(said for _, said in marks)
    if restart is None:
        return Shown(told)
    return Shown(told, sum(at < restart for at, _ in marks))


def _marks(text: bytes, nonce: str) -> Iterator[tuple[int, Said]]:
    pattern = rb"portal-build: %s (?:done|step (\d{1,3}) (?:begin|end (\d{1,3})))[ \t]*\r*\n"
    for found in re.finditer(pattern % nonce.encode(), text):
        if found[1] is None:
            yield found.start(), Said(0)
        elif found[2] is None:
            yield found.start(), Said(int(found[1]))
        else:
            yield found.start(), Said(int(found[1]), int(found[2]))


def _restart(text: bytes, known: int, earliest: int, before: Callable[[], bytes]) -> int | None:
    """Where the machine started anew."""
    printed: set[bytes] | None = None
    for found in _STARTS.finditer(text, earliest):
        if found.end() <= known:
            continue
        if found[1].startswith(_DEMO):
            return found.start()
        if printed is None:
            earlier = (before(), text[: found.start()])
            printed = {one[1] for piece in earlier for one in _STARTS.finditer(piece)}
        if found[1] not in printed:
            return found.start()
    return None

"""What a node says of its set-up, read from its serial line.

A guest can print what it likes: what it says concerns nobody's rows but its owner's.
"""

import re
from dataclasses import dataclass, replace

_MARK = re.compile(
    rb"portal-cluster: (?:(?P<done>done)|without(?P<without>(?: node\d{1,3}){1,60})"
    rb"|step (?P<step>[a-z]{1,20}) (?:begin|end (?P<status>\d{1,3})))[ \t]*\r*\n"
)
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|[^\n\t -~]")
TAIL_LINES, TAIL_CHARACTERS = 12, 1500


@dataclass(frozen=True, slots=True)
class Said:
    """How far a node is: the last step it has named, its exit status if it has ended.

    ``without``: names of the workers that a master has gone on without.
    """

    step: str = ""
    status: int | None = None
    is_done: bool = False
    tail: str = ""  # the last lines of a step that failed
    without: tuple[str, ...] = ()

    @property
    def has_failed(self) -> bool:
        return bool(self.status)


def read(log: bytes, tag: str) -> Said:
    """What ``log`` says since the node began to be set up for the cluster ``tag``."""
    start = max(log.rfind(f"portal-cluster: of {tag}".encode()), 0)
    said, begun = Said(), start
    without: tuple[str, ...] = ()
    for found in _MARK.finditer(log, start):
        if found["done"]:
            return Said(is_done=True, without=without)
        if found["without"]:
            without = tuple(found["without"].decode().split())
            continue
        step = found["step"].decode()
        if found["status"] is None:
            said, begun = Said(step), found.end()
        elif int(found["status"]):
            tail = last_lines(log[begun : found.start()])
            return Said(step, int(found["status"]), tail=tail, without=without)
        else:
            said = Said(step, 0)
    return replace(said, without=without)


def last_lines(text: bytes) -> str:
    """The end of what a step has printed, made harmless."""
    plain = _CONTROL.sub("", text.decode("ascii", "replace").replace("\r", ""))
    lines = [line for line in plain.split("\n") if line.strip()]
    return "\n".join(lines[-TAIL_LINES:])[-TAIL_CHARACTERS:]

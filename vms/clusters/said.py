"""What a node says of its set-up, read from its serial line.

A guest can print what it likes: what it says concerns nobody's rows but its owner's.
"""

import re
from dataclasses import dataclass

_MARK = re.compile(
    rb"portal-cluster: (?:(done)|step ([a-z]{1,20}) (?:begin|end (\d{1,3})))[ \t]*\r*\n"
)
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|[^\n\t -~]")
TAIL_LINES, TAIL_CHARACTERS = 12, 1500


@dataclass(frozen=True, slots=True)
class Said:
    """How far a node is: the last step it has named, its exit status if it has ended."""

    step: str = ""
    status: int | None = None
    is_done: bool = False
    tail: str = ""  # the last lines of a step that failed

    @property
    def has_failed(self) -> bool:
        return bool(self.status)


def read(log: bytes, tag: str) -> Said:
    """What ``log`` says since the node began to be set up for the cluster ``tag``."""
    start = max(log.rfind(f"portal-cluster: of {tag}".encode()), 0)
    said, begun = Said(), start
    for found in _MARK.finditer(log, start):
        if found[1]:
            return Said(is_done=True)
        step = found[2].decode()
        if found[3] is None:
            said, begun = Said(step), found.end()
        elif int(found[3]):
            return Said(step, int(found[3]), tail=last_lines(log[begun : found.start()]))
        else:
            said = Said(step, 0)
    return said


def last_lines(text: bytes) -> str:
    """The end of what a step has printed, made harmless."""
    plain = _CONTROL.sub("", text.decode("ascii", "replace").replace("\r", ""))
    lines = [line for line in plain.split("\n") if line.strip()]
    return "\n".join(lines[-TAIL_LINES:])[-TAIL_CHARACTERS:]

"""The guest's words made harmless to look at: it may print whatever it likes."""

import re

#: Sequences that terminals act on: CSI, OSC and their kin, two-character escapes.
_SEQUENCES = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b[ -/]*[0-~]|\x1b"
)
#: Control characters, and those that turn the direction of writing.
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]")
#: What a line that is written over and over was before. Looked for at the beginnings of lines
#: and of runs alone: a guest may write a MiB of one character.
_OVERWRITTEN = re.compile(r"^[^\n]*\r(?=[^\n])", re.MULTILINE)
_ENDS = re.compile(r"(?<!\r)\r++\n")
LAST_LINES, LAST_CHARS = 20, 4000


def clean(log: bytes) -> str:
    """As text with nothing in it but characters that are seen, tabs and ends of lines."""
    text = _SEQUENCES.sub("", log.decode("utf-8", "replace"))
    text = _ENDS.sub("\n", text)
    return _CONTROLS.sub("", _OVERWRITTEN.sub("", text))


def last_lines(log: bytes) -> str:
    """The end of it, as text."""
    lines = [line.rstrip() for line in clean(log[-8 * LAST_CHARS :]).splitlines()]
    kept = [line for line in lines if line][-LAST_LINES:]
    return "\n".join(kept)[-LAST_CHARS:]

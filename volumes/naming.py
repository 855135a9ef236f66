"""What the snapshots of disks may be called."""

from collections.abc import Sequence

from core.errors import Refused
from registration import names

LONGEST_SNAPSHOT_NAME = 40


def listed(names: Sequence[str]) -> str:
    """a; a and b; a, b and c."""
    return " and ".join(part for part in (", ".join(names[:-1]), *names[-1:]) if part)


def snapshot_name(text: str) -> str:
    """The text to keep. Raises: Refused: ``name_missing``, ``name_invalid``, ``name_too_long``."""
    text = names.line(text, "name_invalid", field="name")
    if not text:
        sentence = "Give the snapshot a name: you choose by it when you go back."
        raise Refused("name_missing", sentence, field="name")
    if len(text) > LONGEST_SNAPSHOT_NAME:
        raise Refused(
            "name_too_long",
            f"A snapshot's name has at most {LONGEST_SNAPSHOT_NAME} characters; this has "
            f"{len(text)}.",
            field="name",
        )
    return text

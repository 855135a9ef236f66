"""What disks and their snapshots may be called. Each rule returns the text to keep."""

from core.errors import Refused
from registration import names
from volumes.models import LONGEST_TAG

LONGEST_SNAPSHOT_NAME = 40


def disk_tag(text: str) -> str:
    """Blank stays blank. Raises: Refused: ``tag_invalid``, ``tag_too_long``."""
    return _line(text, "tag", "A tag", LONGEST_TAG)


def snapshot_name(text: str) -> str:
    """Raises: Refused: ``name_missing``, ``name_invalid``, ``name_too_long``."""
    text = _line(text, "name", "A snapshot's name", LONGEST_SNAPSHOT_NAME)
    if not text:
        sentence = "Give the snapshot a name: you choose by it when you go back."
        raise Refused("name_missing", sentence, field="name")
    return text


def _line(text: str, field: str, what: str, longest: int) -> str:
    text = names.line(text, f"{field}_invalid", field=field)
    if len(text) > longest:
        sentence = f"{what} has at most {longest} characters; this has {len(text)}."
        raise Refused(f"{field}_too_long", sentence, field=field)
    return text

"""What was said of a disk is said of its copies too, until somebody says otherwise."""

from collections.abc import Iterator
from typing import Any

from marketplace.models import Draft
from registration.models import User
from volumes.models import Origin, Volume

#: Copies of copies are followed no further.
MOST_COPIES = 10
_COPIES = frozenset({Origin.CLEANED, Origin.COPIED})
#: Answers that are about one file, one day, or what somebody has confirmed of it.
_OF_ONE = frozenset({"locations", "compression", "file_name", "valid", "rules"})


def answers_about(volume: Volume, *, by: User) -> dict[str, Any]:
    """The answers to a draft's form that ``by`` gave for the disk that this was copied from.

    Empty if it is no copy, or of somebody else's disk, or nothing was said of that.
    """
    for disk in _copied_from(volume, by):
        said = Draft.objects.filter(owner=by, volume=disk).exclude(fields={}).order_by("-pk")
        if (draft := said.first()) is not None:
            return {name: value for name, value in draft.fields.items() if name not in _OF_ONE}
    return {}


def _copied_from(volume: Volume, by: User) -> Iterator[Volume]:
    disk = volume
    for _ in range(MOST_COPIES):
        source = disk.source
        if disk.origin not in _COPIES or source is None or source.owner_id != by.pk:
            return
        yield source
        disk = source

"""Take an image of one's own out of use, with the disk that it is on."""

from collections.abc import Sequence
from dataclasses import dataclass

from django.views.decorators.debug import sensitive_variables

from core.errors import Refused
from marketplace import pdisk
from marketplace.actions.endorsing import deprecate
from marketplace.actions.pens import Pen
from marketplace.models import Entry
from registration.models import User
from volumes import actions as volumes
from volumes.models import Volume


@dataclass(frozen=True, slots=True)
class Removed:
    """The entry that says that the image is over, the disks that are in the bin, and those that
    are not, each with the reason."""

    entry: Entry
    binned: Sequence[Volume]
    left: Sequence[tuple[Volume, str]]


def disks_of(entry: Entry, owner: User) -> list[Volume]:
    """Disks of this site and of ``owner``'s that an entry leads to, and that are there."""
    keys = pdisk.disks_of(entry.locations)
    if not keys:
        return []
    return list(Volume.objects.listed().filter(uuid__in=keys, owner=owner).order_by("pk"))


@sensitive_variables("pen")
def remove_image(entry: Entry, *, by: User, reason: str, pen: Pen) -> Removed:
    """Deprecate an image, and put the disks of ``by`` that it is on into the bin.

    The site's copy of it goes as soon as no machine needs it. A disk that cannot go stays, and
    the image is deprecated all the same.

    Raises:
        Refused: those of ``deprecate``.
    """
    made = deprecate(entry, by=by, reason=reason, pen=pen)
    binned: list[Volume] = []
    left: list[tuple[Volume, str]] = []
    for disk in disks_of(entry, by):
        try:
            volumes.delete(disk, by=by)
        except Refused as refused:
            left.append((disk, str(refused)))
        else:
            binned.append(disk)
    return Removed(made, binned, left)

"""What is found out of a disk that arrives counts in its owner's quota at once."""

from django.db import transaction

from core.errors import Refused
from core.sizes import in_words
from registration.models import User
from volumes.models import SECTOR, Volume
from volumes.quota import bytes_left, must_fit

#: While it is not known how much is to come, quota is taken in steps of this.
STEP_BYTES = 256 << 20


def reserve(
    volume: Volume, size_bytes: int, *, spare_bytes: int = 0, what: str = "The disk in the file"
) -> None:
    """From inside a step: count the disk with ``size_bytes`` in its owner's quota from now on.

    ``spare_bytes``: as much of it as is left is taken as well. ``what`` has those bytes.

    Raises:
        Refused: ``quota_disk``.
        StaleState: as ``Stateful.keep``.
    """
    more = size_bytes - volume.size_bytes
    with transaction.atomic():
        owner_id = Volume.objects.values_list("owner", flat=True).get(pk=volume.pk)
        owner = User.objects.select_for_update(no_key=True).get(pk=owner_id)  # two disks, one quota
        if more > 0:
            _must_fit(owner, size_bytes, more, what)
        spare = min(spare_bytes, bytes_left(owner) - more) if spare_bytes else 0
        volume.keep(size_bytes=size_bytes + spare // SECTOR * SECTOR)


def _must_fit(owner: User, size_bytes: int, more: int, what: str) -> None:
    try:
        must_fit(owner, more)
    except Refused as refused:
        raise Refused(
            refused.code,
            f"{what} has {in_words(size_bytes)} or more, which is {in_words(more)} more than "
            f"was counted for it. {refused}",
        ) from refused

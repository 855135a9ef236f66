"""How much disk a person holds, and the refusal that they would meet."""

from django.db.models import Sum
from django.db.models.functions import Coalesce

from core.errors import Refused
from core.sizes import in_words
from registration.models import User
from volumes.models import DiskType, Snapshot, Volume


def bytes_held(user: User) -> int:
    """Of disks and their snapshots, those in the bin included."""
    snapshots = Snapshot.objects.held().filter(volume__owner=user)
    kept = snapshots.aggregate(n=Coalesce(Sum("size_bytes"), 0))["n"]
    return Volume.objects.filter(owner=user).bytes_held() + int(kept)


def bytes_left(user: User) -> int:
    return max(0, user.quota.disk_bytes - bytes_held(user))


def must_fit(user: User, more_bytes: int, *, field: str | None = None) -> None:
    """Call it in the transaction that writes the row, with the user's row locked.

    Raises:
        Refused: ``quota_disk``.
    """
    held, limit = bytes_held(user), user.quota.disk_bytes
    if held + more_bytes > limit:
        raise Refused(
            "quota_disk",
            f"Your disk quota is {in_words(limit)}: you hold {in_words(held)} and this needs "
            f"{in_words(more_bytes)}. Delete a disk (the bin counts too), or ask for more under "
            "“Quota and usage”.",
            field=field,
        )


def images_held(user: User) -> int:
    """Originals that machines are made from: of this person's, those in the bin included."""
    originals = Volume.objects.filter(owner=user, type=DiskType.MACHINE_IMAGE_ORIGIN)
    return originals.held().count()


def must_fit_image(user: User, *, planned: int = 0, field: str | None = None) -> None:
    """Whether there is room for one more. ``planned``: so many others are to come.

    Call it in the transaction that writes the row, with the user's row locked.

    Raises:
        Refused: ``quota_images``.
    """
    held, limit = images_held(user), user.quota.images
    if held + planned + 1 > limit:
        coming = f" and {planned} to come" if planned else ""
        raise Refused(
            "quota_images",
            f"Your quota is {limit} image{'' if limit == 1 else 's'}: you hold {held}{coming}, and "
            "this would be one more. Delete the disk of one (the bin counts too), or ask for more "
            "under “Quota and usage”.",
            field=field,
        )

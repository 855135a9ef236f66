"""Make disks, throw them away, take them back, and end them for good."""

from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.utils import timezone

from core.errors import Refused
from registration import names
from registration.models import GIB, User
from registration.states import AccountState
from volumes import tasks
from volumes.actions.beginning import Beginning, begin
from volumes.asking import alone_with
from volumes.models import (
    LARGEST_GIB,
    LONGEST_TAG,
    SMALLEST_GIB,
    Origin,
    Visibility,
    Volume,
)
from volumes.states import OfferState, VolumeState

#: So long an administrator has to find somebody for the disk of a closed account.
RESCUE = timedelta(days=7)


def create(
    *,
    owner: User,
    size_gib: int,
    create_key: UUID,
    tag: str = "",
    visibility: str = Visibility.PRIVATE,
    cloud: str = settings.DEFAULT_CLOUD,
) -> Volume:
    """An empty disk. It is CREATING when this returns. The same ``create_key`` twice is one disk.

    Raises:
        Refused: ``disk_size``, ``disk_tag``, ``not_active``, ``quota_disk``.
    """
    _must_be_a_size(size_gib)
    wanted = Beginning(
        create_key=create_key,
        state=VolumeState.CREATING,
        origin=Origin.CREATED,
        verb="create",
        size_bytes=size_gib * GIB,
        size_field="size_gib",
        values={"tag": disk_tag(tag), "visibility": visibility},
        told={"size_gib": size_gib},
        cloud=cloud,
    )
    return begin(owner, wanted)


def _must_be_a_size(size_gib: int) -> None:
    if not SMALLEST_GIB <= size_gib <= LARGEST_GIB:
        raise Refused(
            "disk_size",
            f"Size must be an integer between {SMALLEST_GIB} and {LARGEST_GIB}, in GiB.",
            field="size_gib",
        )


def disk_tag(text: str) -> str:
    """The tag to keep. Raises: Refused: ``disk_tag``."""
    tag = names.line(text, "disk_tag", field="tag")
    if len(tag) > LONGEST_TAG:
        sentence = f"A tag has at most {LONGEST_TAG} characters; this has {len(tag)}."
        raise Refused("disk_tag", sentence, field="tag")
    return tag


def delete(volume: Volume, *, by: User) -> None:
    """Put it into the bin, from where it comes back as it was; offers of it are withdrawn.

    Where the site keeps no bin (``PORTAL_BIN_DAYS`` is 0) it ends at once.

    Raises:
        Refused: ``not_yours``, ``not_active``, ``disk_in_use``, ``disk_state``.
    """
    days = settings.PORTAL_BIN_DAYS
    with alone_with(volume, "delete", by=by) as situation:
        until = timezone.now() + timedelta(days=days)
        _move(volume, "delete", VolumeState.BINNED, by=by, purge_at=until)
        if situation.offer:
            situation.offer.move(OfferState.WITHDRAWN, by=by, reason="The disk was deleted.")
        if not days:
            volume.move(VolumeState.DELETING, reason="This site keeps no bin.")
            tasks.ring_row(volume)


def recover(volume: Volume, *, by: User) -> None:
    """Take it out of the bin. What a closed account has left stays out for ``RESCUE``: offer it.

    Raises:
        Refused: ``not_yours``, ``not_active``, ``disk_state``, ``bin_over``.
    """
    with alone_with(volume, "recover", by=by):
        # From then on the engine may have begun to remove it.
        if volume.purge_at and volume.purge_at <= timezone.now():
            raise Refused("bin_over", "Its time in the bin is over: its bytes are being removed.")
        is_left = volume.owner.state == AccountState.CLOSED
        until = timezone.now() + RESCUE if is_left else None
        _move(volume, "recover", VolumeState.AVAILABLE, by=by, purge_at=until)


def purge(volume: Volume, *, by: User) -> None:
    """End a disk of the bin now; nobody gets it back.

    Raises:
        Refused: ``not_yours``, ``not_active``, ``disk_state``.
    """
    with alone_with(volume, "purge", by=by):
        _move(volume, "purge", VolumeState.DELETING, by=by, purge_at=timezone.now())
        tasks.ring_row(volume)


def cancel(volume: Volume, *, by: User) -> None:
    """Give up a disk that is still arriving; what has come in of it is removed.

    Raises:
        Refused: ``not_yours``, ``not_active``, ``disk_state``.
    """
    with alone_with(volume, "cancel", by=by):
        _move(volume, "cancel", VolumeState.CLEARING, by=by)
        tasks.ring_row(volume)


def abandon(volume: Volume, *, by: User) -> None:
    """Give up a disk that is still arriving, with what it is made of: whoever ends that.

    In the transaction of that end. No account is locked: who ends a machine has it locked already,
    and accounts come before machines.

    Raises: StaleState: it has just come, or has been given up.
    """
    _move(volume, "cancel", VolumeState.CLEARING, by=by)
    tasks.ring_row(volume)


def dismiss(volume: Volume, *, by: User) -> None:
    """Take the record of a disk that did not come to be out of the lists.

    Raises:
        Refused: ``not_yours``, ``not_active``, ``disk_state``.
    """
    with alone_with(volume, "dismiss", by=by):
        _move(volume, "dismiss", VolumeState.DELETED, by=by)


VERBS: dict[str, Callable[..., None]] = {
    "delete": delete,
    "recover": recover,
    "purge": purge,
    "cancel": cancel,
    "dismiss": dismiss,
}


def ask_many(volumes: Iterable[Volume], verb: str, *, by: User) -> tuple[list[Volume], list[str]]:
    """Ask the same of several disks: which took it, and why the others did not, by name."""
    done: list[Volume] = []
    refusals: list[str] = []
    for volume in volumes:
        try:
            VERBS[verb](volume, by=by)
        except Refused as refused:
            refusals.append(f"{volume}: {refused}")
        else:
            done.append(volume)
    return done, refusals


#: How the history says that a person asked it.
_SAID = {
    "delete": "Deleted", "recover": "Restored from the bin", "purge": "Deleted for good",
    "cancel": "Cancelled", "dismiss": "Dismissed",
}  # fmt: skip


def _move(volume: Volume, verb: str, to: str, *, by: User, **fields: Any) -> None:
    who = "its owner" if by.pk == volume.owner_id else f"administrator {by.username}"
    volume.move(to, by=by, verb=verb, reason=f"{_SAID[verb]} by {who}.", **fields)

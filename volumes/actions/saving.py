"""The disk that a machine's root disk becomes."""

from uuid import UUID

from registration.models import User
from volumes.actions.beginning import Beginning, begin
from volumes.models import LONGEST_TAG, SECTOR, DiskType, Origin, Volume
from volumes.states import VolumeState


def begin_saving(
    owner: User,
    *,
    vm_ref: str,
    vm_name: str,
    cloud: str,
    tag: str,
    size_bytes: int | None,
    create_key: UUID,
) -> Volume:
    """Have the root disk of a machine that is off become an image of ``owner``'s.

    It is SAVING when this returns. The same ``create_key`` twice is one disk. ``vm_ref`` is the
    machine's name in its cloud; ``size_bytes`` None: the engine will say. A longer ``tag`` is cut.

    Raises:
        Refused: ``not_active``, ``quota_disk``, ``quota_images``.
    """
    wanted = Beginning(
        create_key=create_key,
        state=VolumeState.SAVING,
        origin=Origin.SAVED,
        verb="asked",
        size_bytes=size_bytes or SECTOR,
        values={
            "tag": tag_of(tag),
            "type": DiskType.MACHINE_IMAGE_ORIGIN,
            "saved_from": vm_ref,
            "saved_name": vm_name[:80],
            "bytes_total": size_bytes or 0,
        },
        told={"saved_from": vm_name},
        cloud=cloud,
    )
    return begin(owner, wanted)


def tag_of(title: str) -> str:
    """The title of an image as its disk bears it."""
    return title[:LONGEST_TAG].strip()

"""Whom the portal tells what became of a file that is to be a disk."""

from core.machine import Move
from registration.actions import notify
from volumes.models import Volume
from volumes.states import VolumeState

V = VolumeState
#: A file is on its way to become the disk.
_COMING = frozenset({V.UPLOADING, V.FETCHING, V.CHECKING, V.UNPACKING, V.CONVERTING})


def volume_moved(volume: Volume, move: Move) -> None:
    """Its owner is told that it is there, or why not; not what they did themselves."""
    if move.was not in _COMING or move.by is not None:
        return
    if move.to == V.AVAILABLE:
        _tell(volume, f"The disk {volume} is ready: its file was taken in.", failed=False)
    elif move.to == V.CLEARING:
        _tell(volume, f"The disk {volume} could not be made: {move.reason}", failed=True)


def _tell(volume: Volume, sentence: str, *, failed: bool) -> None:
    notify(
        volume.owner, "disk_imported", sentence=sentence, url=volume.get_absolute_url(),
        about=volume, failed=failed,
    )  # fmt: skip

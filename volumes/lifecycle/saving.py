"""SAVING: a machine's root disk becomes a disk of its own, and its checksums are computed.

No step waits, none writes its row but through ``keep``, and each may run twice.
"""

import shutil
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.conf import settings
from django.utils import timezone

from cloud.diskfiles.identifiers import identifier_of
from cloud.driver import CloudDriver, Progress
from cloud.errors import CloudBusy, CloudFull
from cloud.types import DiskFormat, SavedDisk
from core.errors import Refused
from core.machine import Go, Step, progress
from volumes.lifecycle.reserving import reserve
from volumes.lifecycle.summing import sums_of_file
from volumes.models import Volume
from volumes.states import VolumeState

#: The machine is off meanwhile, and nobody can start it: soon somebody has to hear of it.
PATIENCE = timedelta(minutes=30)
#: Room on a disk comes when somebody removes something.
LOOK_AGAIN = timedelta(minutes=1)
_PREFIX = "saved-"


def saving(volume: Volume, cloud: CloudDriver) -> Go | None:
    """SAVING: have the engine make it, and compute what the engine has not."""
    if not volume.owner.is_active:
        return Go(VolumeState.CLEARING, "The account that it was to be saved for is not active.")
    try:
        saved = cloud.save_root_disk(
            volume.saved_from, token=volume.token, on_progress=_counting(volume)
        )
        sums = _sums(saved) or _summed(volume, saved, cloud)
        if saved.volume.size_bytes > volume.size_bytes:
            _count(volume, saved.volume.size_bytes)
    except Refused as refused:
        return Go(VolumeState.CLEARING, str(refused))
    except CloudBusy as busy:
        return _later(volume, busy)
    return Go(VolumeState.AVAILABLE, fields=_found(saved, sums))


def _found(saved: SavedDisk, sums: Mapping[str, str]) -> dict[str, Any]:
    size_bytes = saved.volume.size_bytes
    return {
        **sums,
        "cloud_ref": saved.volume.ref,
        "size_bytes": size_bytes,
        "used_bytes": saved.volume.used_bytes,
        "identifier": identifier_of(sums["sha1"]),
        "content_bytes": size_bytes,
        "bytes_done": size_bytes,
        "bytes_total": size_bytes,
    }


def _counting(volume: Volume) -> Progress:
    """Progress that counts the disk in its owner's quota as soon as its size is known."""
    write = progress(volume)

    def told(done: int, total: int) -> None:
        if total > volume.size_bytes:
            _count(volume, total)
        write(done, total)

    return told


def _count(volume: Volume, size_bytes: int) -> None:
    """Raises: Refused: ``quota_disk``: what was copied so far is abandoned."""
    reserve(volume, size_bytes, what="The machine's disk")


def _sums(saved: SavedDisk) -> dict[str, str]:
    if not (saved.sha1 and saved.sha256 and saved.sha512):
        return {}
    return {"sha1": saved.sha1, "sha256": saved.sha256, "sha512": saved.sha512}


def _summed(volume: Volume, saved: SavedDisk, cloud: CloudDriver) -> dict[str, str]:
    """The engine has not read the bytes: it writes them out, and they are read here."""
    where = Path(settings.PORTAL_DOWNLOADS, f"{_PREFIX}{volume.uuid}")
    shutil.rmtree(where, ignore_errors=True)
    write, size = progress(volume), saved.volume.size_bytes

    def told(half: int) -> Callable[[int, int], None]:
        return lambda done, total: write((half * size + done * size // max(total, 1)) // 2, size)

    try:
        where.mkdir(mode=0o700, parents=True)
        path = where / "disk.raw"
        cloud.export_volume(saved.volume.ref, path, DiskFormat.RAW, on_progress=told(0))
        return sums_of_file(path, told(1))
    finally:
        shutil.rmtree(where, ignore_errors=True)


def _later(volume: Volume, busy: CloudBusy) -> Go | None:
    now = timezone.now()
    if now - volume.state_since >= PATIENCE:
        return Go(VolumeState.CLEARING, str(busy))
    again = {"next_tick_at": now + LOOK_AGAIN} if isinstance(busy, CloudFull) else {}
    volume.keep(reason=f"{busy} The portal tries again."[:500], **again)
    return None


def remove_strays() -> None:
    """Remove what workers left that were killed while they computed checksums."""
    for left in Path(settings.PORTAL_DOWNLOADS).glob(f"{_PREFIX}*"):
        rows = Volume.objects.filter(state=VolumeState.SAVING).values_list("uuid", flat=True)
        if left.name not in {f"{_PREFIX}{key}" for key in rows}:
            shutil.rmtree(left, ignore_errors=True)


STEPS: Mapping[str, Step[Volume]] = {VolumeState.SAVING: saving}

"""CLEANING: a disk that begins as another one is, without some of its files.

No step waits, none writes its row but through ``keep``, and each may run twice.
"""

import shutil
from collections import defaultdict
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.conf import settings
from django.utils import timezone

from cloud.diskfiles import hygiene
from cloud.diskfiles.identifiers import identifier_of
from cloud.driver import CloudDriver
from cloud.errors import CloudBusy, CloudFull
from cloud.types import DiskFormat, VolumeSource
from core.machine import Go, Step, progress
from volumes.lifecycle.summing import sums_of_file
from volumes.models import Access, Volume
from volumes.states import VolumeState

#: A disk that cannot be read now is asked for again for so long.
PATIENCE = timedelta(minutes=30)
_PREFIX = "cleaned-"
#: The bar is cut in these: written out, cleaned, read, written back.
_QUARTERS = 4


def cleaning(volume: Volume, cloud: CloudDriver) -> Go | None:
    """CLEANING: write the source out, take the files away, and make a disk of what is left."""
    if reason := _why_not(volume):
        return Go(VolumeState.CLEARING, reason)
    try:
        made = cloud.find_volume(volume.token)
        if made is None:
            made = _made(volume, cloud)
    except hygiene.NotCleaned as refusal:
        return Go(VolumeState.CLEARING, f"Nothing was removed. {refusal}")
    except CloudFull as full:
        return Go(VolumeState.CLEARING, str(full))
    except CloudBusy as busy:
        return _later(volume, busy)
    fields: dict[str, Any] = {
        "cloud_ref": made.ref,
        "used_bytes": made.used_bytes,
        "content_bytes": volume.size_bytes,
        "identifier": identifier_of(volume.sha1),
        "bytes_done": volume.size_bytes,
        "bytes_total": volume.size_bytes,
    }
    return Go(VolumeState.AVAILABLE, fields=fields)


def _why_not(volume: Volume) -> str:
    source = volume.source
    if not volume.owner.is_active:
        return "The account that it was to be cleaned for is not active."
    if source is None or not source.cloud_ref:
        return "The disk that it was to be made from is gone."
    if source.access_of(volume.owner) != Access.OWN:
        return f"{source} belongs to somebody else now."
    if source.attachments.holding().filter(read_only=False).exists():
        return f"A machine may write to {source}: detach it first."
    return ""


def _made(volume: Volume, cloud: CloudDriver) -> Any:
    where = Path(settings.PORTAL_DOWNLOADS, f"{_PREFIX}{volume.uuid}")
    shutil.rmtree(where, ignore_errors=True)
    try:
        where.mkdir(mode=0o700, parents=True)
        path = where / "disk.raw"
        source = volume.source
        assert source is not None  # noqa: S101  (``_why_not`` has looked)
        tell = _quarters(volume)
        cloud.export_volume(source.cloud_ref, path, DiskFormat.RAW, on_progress=tell(0))
        hygiene.clean(path, volume.size_bytes, _paths(volume), on_tick=volume.keep)
        sums = sums_of_file(path, tell(2))
        volume.keep(**sums)  # before the engine has it: a kill between the two costs a pass
        file = VolumeSource(path=path, format=DiskFormat.RAW, size_bytes=volume.size_bytes)
        return cloud.import_volume(file, token=volume.token, on_progress=tell(3))
    finally:
        shutil.rmtree(where, ignore_errors=True)


def _paths(volume: Volume) -> dict[int, list[str]]:
    """What is to go, by the number of its partition."""
    paths: dict[int, list[str]] = defaultdict(list)
    for part, path in volume.clean_paths:
        paths[part].append(path)
    return paths


def _quarters(volume: Volume) -> Callable[[int], Callable[[int, int], None]]:
    write, size = progress(volume), volume.size_bytes

    def told(quarter: int) -> Callable[[int, int], None]:
        return lambda done, total: write(
            (quarter * size + done * size // max(total, 1)) // _QUARTERS, size
        )

    return told


def _later(volume: Volume, busy: CloudBusy) -> Go | None:
    if timezone.now() - volume.state_since >= PATIENCE:
        return Go(VolumeState.CLEARING, str(busy))
    volume.keep(reason=f"{busy} The portal tries again."[:500])
    return None


def remove_strays() -> None:
    """Remove what workers left that were killed while they cleaned."""
    for left in Path(settings.PORTAL_DOWNLOADS).glob(f"{_PREFIX}*"):
        rows = Volume.objects.filter(state=VolumeState.CLEANING).values_list("uuid", flat=True)
        if left.name not in {f"{_PREFIX}{key}" for key in rows}:
            shutil.rmtree(left, ignore_errors=True)


STEPS: Mapping[str, Step[Volume]] = {VolumeState.CLEANING: cleaning}

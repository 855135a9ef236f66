"""WANTED, READING: what is left of its maker in a disk.

No step waits, none writes its row but through ``keep``, and each may run twice. The disk is
written out to a file that ends with the step.
"""

import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.conf import settings
from django.utils import timezone

from cloud.diskfiles import hygiene
from cloud.driver import CloudDriver
from cloud.errors import CloudBusy, CloudFull
from cloud.types import DiskFormat
from core.machine import Go, Step, progress
from marketplace import traces
from marketplace.models import Inspection
from marketplace.states import InspectionState
from volumes.states import VolumeState

#: A disk that cannot be read now is asked for again for so long.
PATIENCE = timedelta(minutes=30)
_USABLE = (VolumeState.AVAILABLE, VolumeState.IN_USE)
_PREFIX = "inspected-"


def begin(inspection: Inspection, cloud: CloudDriver) -> Go | None:
    """WANTED: wait until the disk is there, if it is on its way."""
    volume = inspection.volume
    if volume.state in _USABLE:
        return Go(InspectionState.READING, fields={"bytes_done": 0, "bytes_total": 0})
    if volume.is_moving:
        return None
    return Go(InspectionState.FAILED, "The disk is gone, or is not there to be read.")


def look(inspection: Inspection, cloud: CloudDriver) -> Go | None:
    """READING: write the disk out, and look into its file systems."""
    volume = inspection.volume
    if volume.state not in _USABLE:
        return Go(InspectionState.FAILED, "The disk is gone, or is not there to be read now.")
    if volume.attachments.holding().filter(read_only=False).exists():
        return Go(
            InspectionState.FAILED,
            "A machine may write to the disk: detach it first, then have it looked into again.",
        )
    _tidy()
    where = place(inspection)
    shutil.rmtree(where, ignore_errors=True)
    try:
        where.mkdir(mode=0o700, parents=True)
        path = where / "disk.raw"
        cloud.export_volume(
            volume.cloud_ref, path, DiskFormat.RAW, on_progress=progress(inspection)
        )
        report = hygiene.read(path, volume.size_bytes, on_tick=_beat(inspection))
    except CloudFull as full:
        return Go(InspectionState.FAILED, str(full))
    except CloudBusy as busy:
        if timezone.now() - inspection.state_since > PATIENCE:
            return Go(InspectionState.FAILED, str(busy))
        inspection.keep(reason=f"{busy} The portal tries again."[:500])
        return None
    finally:
        shutil.rmtree(where, ignore_errors=True)
    if traces.may_have_changed(volume, since=inspection.state_since):
        return Go(
            InspectionState.FAILED,
            "The disk has changed while it was read: have it looked into again.",
        )
    return Go(InspectionState.READY, fields={"report": in_json(report)})


def _beat(inspection: Inspection) -> Callable[[], None]:
    """Whoever has lost the row stops."""
    last = timezone.now()

    def tell() -> None:
        nonlocal last
        if timezone.now() - last > timedelta(seconds=2):
            last = timezone.now()
            inspection.keep()

    return tell


def in_json(report: hygiene.Report) -> dict[str, Any]:
    """As ``Inspection.report`` keeps it."""
    return {
        "parts": [
            {"number": part.number, "kind": part.kind, "size_bytes": part.size_bytes}
            for part in report.parts
        ],
        "findings": [asdict(finding) for finding in report.findings],
        "unread": [{"part": one.part.number, "why": one.why} for one in report.unread],
        "is_cut": report.is_cut,
        "is_read": report.is_read,
    }


def place(inspection: Inspection) -> Path:
    """Where a disk lies while it is looked into: beside downloads, which take the same room."""
    return Path(settings.PORTAL_DOWNLOADS, f"{_PREFIX}{inspection.uuid}")


def _tidy() -> None:
    """Remove what workers left that were killed while they looked."""
    for left in Path(settings.PORTAL_DOWNLOADS).glob(f"{_PREFIX}*"):
        rows = Inspection.objects.filter(state=InspectionState.READING)
        if left.name not in {f"{_PREFIX}{key}" for key in rows.values_list("uuid", flat=True)}:
            shutil.rmtree(left, ignore_errors=True)


STEPS: Mapping[str, Step[Inspection]] = {
    InspectionState.WANTED: begin,
    InspectionState.READING: look,
}

"""CREATING, DELETING: a disk comes to be, and goes.

No step waits, none writes its row but through ``keep``, and each may run twice.
"""

from collections.abc import Mapping
from contextlib import suppress

from django.conf import settings
from django.utils import timezone

from cloud.driver import CloudDriver
from core.machine import Go, StaleState, Step
from volumes.models import Export, Volume
from volumes.states import ExportState, SnapshotState, VolumeState

#: Disks whose time in the bin is over and that one round ends; the next is a minute away.
ENDED_AT_ONCE = 500
_DOWNLOADS = (ExportState.PREPARING, ExportState.PACKING, ExportState.READY)


def make(volume: Volume, cloud: CloudDriver) -> Go:
    """CREATING: find the volume we may already have asked for, or ask."""
    info = cloud.find_volume(volume.token) or cloud.create_volume(
        volume.size_bytes, token=volume.token
    )
    fields = {"cloud_ref": info.ref, "used_bytes": info.used_bytes}
    return Go(VolumeState.AVAILABLE, fields=fields)


def remove(volume: Volume, cloud: CloudDriver) -> Go | None:
    """DELETING: remove it with its snapshots, look again, and only then call it gone."""
    _end_downloads(volume)
    info = cloud.find_volume(volume.token)
    ref = info.ref if info else volume.cloud_ref
    if ref:
        cloud.delete_volume(ref)
        if cloud.find_volume(volume.token) is not None:
            return None
    return Go(
        VolumeState.DELETED,
        volume.reason,
        fields={"cloud_ref": "", "used_bytes": None, "purge_at": None},
        alongside=lambda: _forget(volume),
    )


def _end_downloads(volume: Volume) -> None:
    """Nothing is made of it any more, and what was made goes with the next tidying."""
    for export in Export.objects.filter(volume=volume, state__in=_DOWNLOADS):
        with suppress(StaleState):  # it has just gone on; the next look ends it
            export.move(ExportState.EXPIRED, reason="The disk was deleted for good.")


def _forget(volume: Volume) -> None:
    """What was there only as long as the disk: its snapshots and its shares."""
    for snapshot in volume.snapshots.exclude(state=SnapshotState.DELETED):
        snapshot.move(SnapshotState.DELETED, reason="Its disk is gone.")
    volume.shares.all().delete()


def empty_bin() -> None:
    """End the disks whose time in the bin is over."""
    over = Volume.objects.filter(
        state=VolumeState.BINNED, purge_at__lte=timezone.now(), cloud__in=list(settings.CLOUDS)
    )
    for volume in over.order_by("purge_at")[:ENDED_AT_ONCE]:
        with suppress(StaleState):  # somebody took it out, or ended it, just now
            volume.move(VolumeState.DELETING, reason="Its time in the bin is over.")


STEPS: Mapping[str, Step[Volume]] = {
    VolumeState.CREATING: make,
    VolumeState.DELETING: remove,
}

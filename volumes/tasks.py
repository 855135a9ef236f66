"""Doors with bells: tasks carry ids, take one step, and ring for the next."""

from collections.abc import Mapping
from datetime import timedelta
from threading import BoundedSemaphore
from typing import Any

from celery import shared_task
from django.conf import settings

from core.bells import NOW, ring
from core.machine import Stateful, due, tick
from volumes.lifecycle import (
    ATTACHMENT_STEPS,
    EXPORT_STEPS,
    SNAPSHOT_STEPS,
    VOLUME_STEPS,
    arriving,
    cleaning,
    closing,
    comparing,
    exporting,
    making,
    saving,
    snapshots,
)
from volumes.models import Attachment, Export, Snapshot, Volume
from volumes.states import ExportState, VolumeState

#: Rows of each table that one sweep rings; the next sweep is two seconds away.
SWEEP_ROWS = 200
#: Steps that move bytes and run at the same time in one process; its other threads answer
#: questions.
BULK_AT_ONCE = 2
#: They wait for servers of others, so they have lanes of their own, and hold up no other disk.
FETCHES_AT_ONCE = 4
BULK: Mapping[type[Stateful], frozenset[str]] = {
    Volume: frozenset(
        {
            VolumeState.FETCHING,
            VolumeState.CHECKING,
            VolumeState.UNPACKING,
            VolumeState.CONVERTING,
            VolumeState.COPYING,
            VolumeState.SAVING,
            VolumeState.CLEANING,
        }
    ),
    Export: frozenset({ExportState.PREPARING, ExportState.PACKING}),
}

_lanes = BoundedSemaphore(BULK_AT_ONCE)
_fetches = BoundedSemaphore(FETCHES_AT_ONCE)


@shared_task(name="volumes.tick_volume")
def tick_volume(pk: int) -> None:
    _tick(Volume.objects.select_related("owner").filter(pk=pk).first(), VOLUME_STEPS)


@shared_task(name="volumes.tick_attachment")
def tick_attachment(pk: int) -> None:
    rows = Attachment.objects.select_related("volume", "vm")
    _tick(rows.filter(pk=pk).first(), ATTACHMENT_STEPS)


@shared_task(name="volumes.tick_snapshot")
def tick_snapshot(pk: int) -> None:
    _tick(Snapshot.objects.select_related("volume").filter(pk=pk).first(), SNAPSHOT_STEPS)


@shared_task(name="volumes.tick_export")
def tick_export(pk: int) -> None:
    rows = Export.objects.select_related("volume", "snapshot")
    _tick(rows.filter(pk=pk).first(), EXPORT_STEPS)


def _tick(row: Any, steps: Mapping[str, Any]) -> None:
    if row is None:
        return
    lane = _lane(row)
    if lane and not lane.acquire(blocking=False):
        return  # the sweep rings again; a bell of our own would multiply with it
    try:
        wait = tick(row, steps, is_long=True)
    finally:
        if lane:
            lane.release()
    if wait is not None:
        ring_row(row, after=wait)


def _lane(row: Stateful) -> BoundedSemaphore | None:
    if not _is_bulk(row):
        return None
    return _fetches if row.state == VolumeState.FETCHING else _lanes


def _is_bulk(row: Stateful) -> bool:
    return str(row.state) in BULK.get(type(row), frozenset())


@shared_task(name="volumes.sweep")
def sweep() -> None:
    """Ring whatever is overdue. A bell can get lost; a row cannot.

    Nobody answers the bells of a cloud that the site no longer has: they would pile up.
    """
    clouds = list(settings.CLOUDS)
    for volume in due(Volume.objects.filter(cloud__in=clouds))[:SWEEP_ROWS]:
        ring_row(volume)
    for table in (Attachment, Snapshot, Export):
        rows: Any = table._default_manager.filter(volume__cloud__in=clouds)
        for row in due(rows.select_related("volume"))[:SWEEP_ROWS]:
            ring_row(row)


@shared_task(name="volumes.tidy")
def tidy() -> None:
    """End what is past its time: disks in the bin and of closed accounts, snapshots that failed,
    uploads, downloads, stray files."""
    closing.bin_what_is_left()
    making.empty_bin()
    snapshots.remove_failed()
    exporting.tidy()
    arriving.stray_arrivals()
    saving.remove_strays()
    cleaning.remove_strays()


@shared_task(name="volumes.compare")
def compare() -> None:
    """Compare every cloud's disks with their rows."""
    for cloud in settings.CLOUDS:
        comparing.compare(cloud)


_TASKS: Mapping[type[Stateful], Any] = {
    Volume: tick_volume,
    Attachment: tick_attachment,
    Snapshot: tick_snapshot,
    Export: tick_export,
}


def ring_row(row: Any, *, after: timedelta = NOW) -> None:
    """Have a worker of this row's cloud look at it, once this transaction commits."""
    lane = "bulk" if _is_bulk(row) else "cloud"
    ring(_TASKS[type(row)], row.pk, queue=f"{lane}.{row.cloud}", after=after)

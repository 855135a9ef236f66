"""Keep what a disk holds now, go back to it, and forget it."""

from core.errors import Refused
from registration.models import User, same
from volumes import tasks
from volumes.asking import alone_with, must
from volumes.models import Export, Snapshot, Volume
from volumes.naming import snapshot_name
from volumes.quota import must_fit
from volumes.states import ExportState, SnapshotState, VolumeState

MOST_SNAPSHOTS = 20  # of one disk


def take_snapshot(volume: Volume, *, by: User, name: str) -> Snapshot:
    """Keep what the disk holds now. It is TAKING when this returns.

    Of a disk that a machine writes to, it is what a power cut would have left.

    Raises:
        Refused: ``not_yours``, ``disk_state``, ``name_missing``, ``name_invalid``,
            ``name_too_long``, ``name_taken``, ``too_many_snapshots``, ``quota_disk``.
    """
    name = snapshot_name(name)
    with alone_with(volume, "snapshot", by=by) as situation:
        held = Snapshot.objects.held().filter(volume=volume)
        if held.filter(same("name", name)).exists():
            sentence = f"There is a snapshot {name} of this disk already. Choose another name."
            raise Refused("name_taken", sentence, field="name")
        if held.count() >= MOST_SNAPSHOTS:
            raise Refused(
                "too_many_snapshots",
                f"{volume} has {MOST_SNAPSHOTS} snapshots, which is the most. Delete one first.",
            )
        must_fit(by, volume.size_bytes)
        snapshot = Snapshot(
            volume=volume,
            name=name,
            size_bytes=volume.size_bytes,
            was_in_use=bool(situation.writers),
        )
        snapshot.next_tick_at = snapshot.state_since
        snapshot.save(force_insert=True)
        volume.record_event("snapshot", by=by, name=name, was_in_use=snapshot.was_in_use)
        snapshot.announce()
        tasks.ring_row(snapshot)
    return snapshot


def restore_snapshot(snapshot: Snapshot, *, by: User, typed: str) -> None:
    """Have the disk hold again what it did then. It is RESTORING when this returns.

    What was written since is lost, so ``typed`` is the snapshot's name: it is meant.

    Raises:
        Refused: ``not_yours``, ``disk_state``, ``disk_in_use``, ``disk_offered``,
            ``snapshot_taking``, ``snapshot_state``, ``disk_busy``, ``name_not_typed``,
            ``quota_disk``.
    """
    volume = snapshot.volume
    must(volume, "restore_snapshot", by=by)
    if typed.strip() != snapshot.name:
        sentence = f"Type {snapshot.name} to go back to it: what was written since is lost."
        raise Refused("name_not_typed", sentence, field="typed")
    with alone_with(volume, "restore_snapshot", by=by):
        snapshot.refresh_from_db()
        _must_be_ready(snapshot)
        _must_not_be_read(volume)
        must_fit(by, max(0, snapshot.size_bytes - volume.size_bytes))
        volume.move(
            VolumeState.RESTORING,
            by=by,
            verb="restore_snapshot",
            reason=f"Back to the snapshot {snapshot.name}.",
            detail={
                "before": {"size_bytes": volume.size_bytes},
                "after": {"size_bytes": snapshot.size_bytes},
            },
            wanted_snapshot=snapshot.uuid,
            wanted_bytes=max(snapshot.size_bytes, volume.size_bytes),
        )
        tasks.ring_row(volume)


def delete_snapshot(snapshot: Snapshot, *, by: User) -> None:
    """Forget a snapshot; the disk stays as it is. It is DELETING when this returns.

    Raises:
        Refused: ``not_yours``, ``snapshot_state``, ``snapshot_in_use``.
    """
    volume = snapshot.volume
    with alone_with(volume, "delete_snapshot", by=by):
        snapshot.refresh_from_db()
        if snapshot.state != SnapshotState.FAILED:
            _must_be_ready(snapshot)
        _must_be_free(snapshot)
        snapshot.move(SnapshotState.DELETING, by=by, verb="snapshot_deleted")
        tasks.ring_row(snapshot)


def _must_be_ready(snapshot: Snapshot) -> None:
    if snapshot.state != SnapshotState.READY:
        state = snapshot.get_state_display().lower()
        raise Refused("snapshot_state", f"The snapshot {snapshot.name} is {state}.")


def _must_be_free(snapshot: Snapshot) -> None:
    copies = Volume.objects.filter(wanted_snapshot=snapshot.uuid)
    exports = Export.objects.filter(snapshot=snapshot, state=ExportState.PREPARING)
    if copies.filter(state__in=(VolumeState.COPYING, VolumeState.RESTORING)).exists():
        sentence = "A disk is being made from this snapshot: wait until that is done."
    elif exports.exists():
        sentence = "A download of this snapshot is being prepared: wait until that is ready."
    else:
        return
    raise Refused("snapshot_in_use", sentence)


def _must_not_be_read(volume: Volume) -> None:
    """What reads the disk as it is now would read two halves."""
    made = (VolumeState.COPYING, VolumeState.CLEANING)
    copies = Volume.objects.filter(source=volume, state__in=made, wanted_snapshot=None)
    exports = Export.objects.filter(volume=volume, state=ExportState.PREPARING, snapshot=None)
    if copies.exists():
        raise Refused("disk_busy", f"{volume} is being copied: wait until that is done.")
    if exports.exists():
        sentence = f"A download of {volume} is being prepared: wait until that is ready."
        raise Refused("disk_busy", sentence)

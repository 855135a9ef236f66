"""Keep what a machine's disks hold now, and make machines from it again.

The copies are disks and snapshots like any other: they count in the quota, they outlive the
machine, and they can be downloaded and published.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from uuid import UUID, uuid5

from django.db import IntegrityError, transaction

from core.errors import Refused
from core.models import deny, record
from registration.models import User
from vms.lifecycle import disk_bytes
from vms.models import VM, Backup
from vms.states import VmState
from volumes import actions as volumes
from volumes.models import Attachment, Snapshot, Volume
from volumes.naming import snapshot_name
from volumes.states import SNAPSHOT_HOLDS, SnapshotState, VolumeState

LONGEST_NAME = 40
MOST_BACKUPS = 50  # of one person
#: There is a disk to copy, and the engine knows it.
TAKES = frozenset({VmState.RUNNING, VmState.UNKNOWN})


@dataclass(frozen=True, slots=True)
class Disks:
    """What a machine made from a backup boots from, and has plugged in: copies, on their way."""

    root: Volume
    others: Sequence[Volume]


def backed_up_with(vm: VM, *, by: User) -> tuple[list[Volume], list[Volume]]:
    """Of the disks plugged into ``vm``: those that a backup may have, and those of others."""
    held = Attachment.objects.holding().filter(vm=vm).exclude(is_root=True)
    disks = [row.volume for row in held.select_related("volume__owner").order_by("volume")]
    own = [disk for disk in disks if disk.owner_id == by.pk]
    return own, [disk for disk in disks if disk.owner_id != by.pk]


def back_up(vm: VM, *, name: str, by: User, key: UUID, disks: Iterable[Volume] = ()) -> Backup:
    """Copy a machine's root disk, and take snapshots of ``disks`` that are plugged into it.

    Of a machine that runs it is what a power cut would have left. All of it or nothing; the same
    ``key`` twice is one backup. The copies come while this has long returned.

    Raises:
        Refused: ``not_yours``, ``vm_state``, ``backup_disks``, ``backup_key``,
            ``too_many_backups``, ``quota_images``, ``quota_disk``, ``not_active``, those of
            ``volumes.actions.take_snapshot``.
    """
    if vm.owner_id != by.pk:
        vm.record_denial("back_up", by=by)
        raise Refused("not_yours", f"Only {vm.owner} may copy what is on the disks of {vm}.")
    if known := _known(by, key):
        return known
    name = snapshot_name(name)
    with transaction.atomic():
        User.objects.select_for_update(no_key=True).get(pk=by.pk)
        if known := _known(by, key):  # sent twice at once
            return known
        now = VM.objects.select_for_update(no_key=True, of=("self",)).for_rows().get(pk=vm.pk)
        _must_be_there(now, by)
        chosen = _must_be_plugged(now, disks, by)
        backup = _begin(now, name, by, key)
        _copy_root(backup, now, by)
        for disk in chosen:
            backup.snapshots.add(volumes.take_snapshot(disk, by=by, name=name))
        now.record_event("back_up", by=by, name=name, disks=[str(disk) for disk in chosen])
        record("backup", backup.uuid, "asked", by=by, owner=by.pk, label=str(backup)[:100])
    return backup


def _known(owner: User, key: UUID) -> Backup | None:
    return Backup.objects.filter(owner=owner, uuid=key).first()


def _must_be_there(vm: VM, by: User) -> None:
    if vm.state not in TAKES or not vm.cloud_ref:
        raise Refused(
            "vm_state",
            f"{vm} is {vm.get_state_display()}: a machine is backed up while it runs, or while it "
            "is halted.",
        )
    if Backup.objects.filter(owner=by).count() >= MOST_BACKUPS:
        raise Refused(
            "too_many_backups", f"You have {MOST_BACKUPS} backups, the most. Delete one first."
        )


def _must_be_plugged(vm: VM, disks: Iterable[Volume], by: User) -> list[Volume]:
    own, _ = backed_up_with(vm, by=by)
    wanted = {disk.pk for disk in disks}
    if missing := wanted - {disk.pk for disk in own}:
        plural = "One disk" if len(missing) == 1 else f"{len(missing)} disks"
        raise Refused(
            "backup_disks",
            f"{plural} that you chose: not plugged into {vm} any more, or not yours.",
            field="disks",
        )
    return [disk for disk in own if disk.pk in wanted]  # by their keys: as locks are taken


def _begin(vm: VM, name: str, owner: User, key: UUID) -> Backup:
    try:
        with transaction.atomic():
            return Backup.objects.create(
                uuid=key, owner=owner, vm=vm, name=name, was_running=vm.state == VmState.RUNNING
            )
    except IntegrityError:  # another person's
        raise Refused("backup_key", "This key is taken. Reload the page, and try again.") from None


def _copy_root(backup: Backup, vm: VM, by: User) -> None:
    """A machine that boots from a disk of its owner has a snapshot of that; others a copy."""
    if vm.root_disk:
        backup.snapshots.add(volumes.take_snapshot(vm.root_disk, by=by, name=backup.name))
        return
    backup.root = volumes.begin_saving(
        by,
        vm_ref=vm.cloud_ref,
        vm_name=vm.name,
        cloud=vm.cloud,
        tag=volumes.tag_of(f"{backup.name} {vm.name}"),
        size_bytes=disk_bytes(vm),
        create_key=uuid5(backup.uuid, "root"),
    )
    backup.save(update_fields=["root"])


def delete_backup(backup: Backup, *, by: User) -> None:
    """Put the copy of the root disk into the bin, and delete the snapshots for good.

    Raises:
        Refused: ``not_yours``, those of ``volumes.actions.delete``, ``cancel``, ``dismiss`` and
            ``delete_snapshot``.
    """
    _must_be_theirs(backup, "removed", by)
    with transaction.atomic():
        User.objects.select_for_update(no_key=True).get(pk=by.pk)
        if backup.root:
            _let_go(backup.root, by)
        for snapshot in backup.snapshots.select_related("volume").order_by("volume"):
            if snapshot.state in (SnapshotState.READY, SnapshotState.FAILED):
                volumes.delete_snapshot(snapshot, by=by)
            elif snapshot.state in SNAPSHOT_HOLDS:
                state = snapshot.get_state_display().lower()
                raise Refused("snapshot_state", f"The snapshot {snapshot} is {state}: wait for it.")
        record("backup", backup.uuid, "removed", by=by, owner=by.pk, label=str(backup)[:100])
        Backup.objects.filter(pk=backup.pk).delete()


def _must_be_theirs(backup: Backup, verb: str, by: User) -> None:
    if backup.owner_id != by.pk:
        deny("backup", backup.uuid, verb, by=by, owner=backup.owner_id, label=str(backup)[:100])
        raise Refused("not_yours", "This is somebody else's backup.")


def _let_go(disk: Volume, by: User) -> None:
    if "cancel" in disk.verbs:
        volumes.cancel(disk, by=by)
    elif "dismiss" in disk.verbs:
        volumes.dismiss(disk, by=by)
    elif disk.state not in (VolumeState.BINNED, VolumeState.DELETING, VolumeState.DELETED):
        volumes.delete(disk, by=by)


def root_snapshot(backup: Backup) -> Snapshot | None:
    """Of a machine that boots from a disk: what that held."""
    disk = backup.vm.root_disk_id
    return next((one for one in backup.snapshots.all() if one.volume_id == disk), None)


def copy_backup(backup: Backup, *, by: User, key: UUID) -> Disks:
    """Disks for a new machine, which hold what the backup does; they are COPYING at first.

    When they are there, launch from ``root`` with ``others``. The same ``key`` twice copies once.

    Raises:
        Refused: ``not_yours``, ``backup_gone``, those of ``volumes.actions.copy``.
    """
    _must_be_theirs(backup, "copy", by)
    with transaction.atomic():
        User.objects.select_for_update(no_key=True).get(pk=by.pk)
        root = _root_again(backup, by, key)
        first = root_snapshot(backup)
        others = [
            _from_snapshot(snapshot, by, key)
            for snapshot in backup.snapshots.select_related("volume").order_by("volume")
            if snapshot != first
        ]
        record("backup", backup.uuid, "copy", by=by, owner=by.pk, label=str(backup)[:100])
    return Disks(root, others)


def _root_again(backup: Backup, by: User, key: UUID) -> Volume:
    if snapshot := root_snapshot(backup):
        return _from_snapshot(snapshot, by, key)
    if backup.root is None or "copy" not in backup.root.verbs:
        raise Refused(
            "backup_gone",
            "The copy of the root disk is not there: it is on its way still, or was deleted.",
        )
    tag = volumes.tag_of(str(backup.root))
    return volumes.copy(backup.root, by=by, create_key=uuid5(key, "root"), tag=tag)


def _from_snapshot(snapshot: Snapshot, by: User, key: UUID) -> Volume:
    return volumes.copy(
        snapshot.volume,
        by=by,
        create_key=uuid5(key, snapshot.token),
        tag=volumes.tag_of(f"{snapshot.name} {snapshot.volume}"),
        snapshot=snapshot,
    )

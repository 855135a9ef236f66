"""Backups of machines, for programs."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID, uuid4

from ninja import Field, Schema, Status

from registration.bearer import ApiRequest
from registration.doors import find_or_404
from vms import actions
from vms.actions.backups import LONGEST_NAME
from vms.api.machines import MachineRef, find, router
from vms.models import Backup
from volumes.actions import MOST_DISKS
from volumes.models import Volume


class BackupIn(Schema):
    name: Annotated[str, Field(min_length=1, max_length=LONGEST_NAME)] = Field(
        description="Of your choice"
    )
    disks: Annotated[list[UUID], Field(max_length=MOST_DISKS)] = Field(
        [], description="Of your disks that are plugged in: those that get a snapshot"
    )
    key: UUID | None = Field(None, description="Of your choice: the same twice is one backup")


class CopiedOut(Schema):
    uuid: UUID
    tag: str
    state: str


class SnapshotRef(Schema):
    uuid: UUID
    name: str
    state: str
    disk: UUID

    @staticmethod
    def resolve_disk(row: Any) -> UUID:
        found: UUID = row.volume.uuid
        return found


class BackupOut(Schema):
    uuid: UUID
    name: str
    machine: MachineRef
    was_running: bool = Field(description="It holds what a power cut would have left")
    created_at: datetime
    root_disk: CopiedOut | None = Field(
        description="The copy of the root disk; null: it was deleted, or is one of the snapshots"
    )
    snapshots: list[SnapshotRef]

    @staticmethod
    def resolve_machine(row: Backup) -> Any:
        return row.vm

    @staticmethod
    def resolve_root_disk(row: Backup) -> Any:
        return row.root

    @staticmethod
    def resolve_snapshots(row: Backup) -> Any:
        return list(row.snapshots.all())


class CopyKey(Schema):
    key: UUID | None = Field(None, description="Of your choice: the same twice copies once")


class RestoredOut(Schema):
    boot_disk: UUID = Field(description="Launch a machine from it once it is available")
    disks: list[UUID] = Field(description="To be plugged in with it")


@router.get("/backups", response=list[BackupOut], summary="Your backups, the newest first")
def list_backups(request: ApiRequest) -> Any:
    """Of machines that are gone too; there are at most 50."""
    return _rows(request).filter(owner=request.user)


@router.get("/backups/{uuid:backup}", response=BackupOut, summary="One backup")
def one_backup(request: ApiRequest, backup: UUID) -> Backup:
    return _find(request, backup)


@router.post("/vms/{uuid:vm}/backups", response={201: BackupOut}, url_name="back_up",
             summary="Copy a machine's root disk, and take snapshots of others")  # fmt: skip
def back_up(request: ApiRequest, vm: UUID, wanted: BackupIn) -> Status[Backup]:
    """The copies are on their way: look at the backup until they are available and ready."""
    machine = find(request, vm, verb="back_up")
    own = Volume.objects.visible_to(request.user).select_related("owner")
    disks = [find_or_404(own, request, "snapshot", uuid=key) for key in wanted.disks]
    made = actions.back_up(
        machine, name=wanted.name, by=request.user, key=wanted.key or uuid4(), disks=disks
    )
    return Status(201, _find(request, made.uuid))


@router.post("/backups/{uuid:backup}/copy", response={201: RestoredOut}, url_name="copy_backup",
             summary="Make disks for a new machine from it")  # fmt: skip
def copy_backup(
    request: ApiRequest, backup: UUID, wanted: CopyKey | None = None
) -> Status[dict[str, Any]]:
    """When they are available, launch a machine with boot_disk and disks. The backup stays."""
    key = (wanted.key if wanted else None) or uuid4()
    made = actions.copy_backup(_find(request, backup, verb="copy"), by=request.user, key=key)
    return Status(201, {"boot_disk": made.root.uuid, "disks": [disk.uuid for disk in made.others]})


@router.delete("/backups/{uuid:backup}", response={204: None}, summary="Delete a backup")
def delete_backup(request: ApiRequest, backup: UUID) -> Status[None]:
    """The copy of the root disk goes into the bin; its snapshots are removed for good."""
    actions.delete_backup(_find(request, backup, verb="removed"), by=request.user)
    return Status(204, None)


def _rows(request: ApiRequest) -> Any:
    rows = Backup.objects.visible_to(request.user).select_related("vm", "root", "owner")
    return rows.prefetch_related("snapshots__volume")


def _find(request: ApiRequest, key: UUID, *, verb: str = "") -> Backup:
    made: Backup = find_or_404(_rows(request), request, verb, uuid=key)
    return made

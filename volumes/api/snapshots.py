"""What a disk held at one time."""

from datetime import datetime
from uuid import UUID

from django.http import Http404
from ninja import Field, Router, Schema, Status

from registration.bearer import ApiRequest
from volumes import actions
from volumes.api.disks import DiskOut, find, find_as_owner, shown
from volumes.models import Snapshot
from volumes.naming import LONGEST_SNAPSHOT_NAME
from volumes.states import SnapshotState

router = Router()


class SnapshotOut(Schema):
    uuid: UUID
    name: str
    state: SnapshotState
    state_since: datetime
    reason: str = Field(description="A sentence saying why it is in this state, or blank")
    size_bytes: int = Field(description="Of the disk then: what counts in the quota")
    was_in_use: bool = Field(description="A machine was writing: it is as after a power cut")
    created_at: datetime


class SnapshotIn(Schema):
    name: str = Field(
        description=f"Up to {LONGEST_SNAPSHOT_NAME} characters; each of a disk has another"
    )


class RestoreIn(Schema):
    typed: str = Field(description="The snapshot's name: what was written since is lost")


@router.get("/disks/{uuid:disk}/snapshots", response=list[SnapshotOut], url_name="disk_snapshots",
            summary="A disk's snapshots, the oldest first")  # fmt: skip
def list_snapshots(request: ApiRequest, disk: UUID) -> list[Snapshot]:
    volume = find_as_owner(request, disk, verb="opened")
    return list(Snapshot.objects.exclude(state=SnapshotState.DELETED).filter(volume=volume))


@router.post("/disks/{uuid:disk}/snapshots", response={201: SnapshotOut}, summary="Take a snapshot")
def take_snapshot(request: ApiRequest, disk: UUID, wanted: SnapshotIn) -> Status[Snapshot]:
    """Of a disk that a machine writes to, it is what a power cut would have left."""
    volume = find(request, disk, verb="snapshot")
    return Status(201, actions.take_snapshot(volume, by=request.user, name=wanted.name))


@router.get("/disks/{uuid:disk}/snapshots/{uuid:snapshot}", response=SnapshotOut,
            summary="One snapshot", url_name="disk_snapshot")  # fmt: skip
def one_snapshot(request: ApiRequest, disk: UUID, snapshot: UUID) -> Snapshot:
    return _find(request, disk, snapshot, "opened")


@router.delete("/disks/{uuid:disk}/snapshots/{uuid:snapshot}", response={202: SnapshotOut},
               summary="Delete a snapshot; the disk stays as it is")  # fmt: skip
def delete_snapshot(request: ApiRequest, disk: UUID, snapshot: UUID) -> Status[Snapshot]:
    found = _find(request, disk, snapshot, "snapshot_deleted")
    actions.delete_snapshot(found, by=request.user)
    return Status(202, found)


@router.post("/disks/{uuid:disk}/snapshots/{uuid:snapshot}/restore", response={202: DiskOut},
             summary="Take the disk back to a snapshot", url_name="restore_snapshot")  # fmt: skip
def restore_snapshot(
    request: ApiRequest, disk: UUID, snapshot: UUID, wanted: RestoreIn
) -> Status[object]:
    """It holds again what it held then, and is as large. No machine may have it."""
    found = _find(request, disk, snapshot, "restore_snapshot")
    actions.restore_snapshot(found, by=request.user, typed=wanted.typed)
    return Status(202, shown(request, disk))


def _find(request: ApiRequest, disk: UUID, key: UUID, verb: str) -> Snapshot:
    """Below its disk, and for nobody but who sees that as its owner."""
    volume = find_as_owner(request, disk, verb=verb)
    rows = Snapshot.objects.exclude(state=SnapshotState.DELETED).select_related("volume__owner")
    found = rows.filter(volume=volume, uuid=key).first()
    if found is None:
        raise Http404
    return found

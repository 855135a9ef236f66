"""Make a disk that begins as another one is, or was."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from core.errors import Refused
from registration.models import User
from volumes.actions.beginning import Beginning, begin
from volumes.actions.making import disk_tag
from volumes.asking import Situation, alone_with, must
from volumes.models import Access, DiskType, Origin, Snapshot, Volume
from volumes.states import SnapshotState, VolumeState

T = DiskType
#: What a copy is for, where that is something else than its source. Source: StratusLab pdisk
#: (stratuslab.md 4.2): an original is kept, its copy is used.
BECOMES: Mapping[str, DiskType] = {
    T.MACHINE_IMAGE_ORIGIN: T.MACHINE_IMAGE_LIVE,
    T.DATA_IMAGE_ORIGIN: T.DATA_IMAGE_LIVE,
}


def copy(
    volume: Volume,
    *,
    by: User,
    create_key: UUID,
    tag: str = "",
    snapshot: Snapshot | None = None,
    as_original: bool = False,
) -> Volume:
    """Copy a disk as it is now, or was at ``snapshot``, to a new one of ``by``'s.

    It is COPYING when this returns. The same ``create_key`` twice is one disk.
    ``as_original``: what boots machines becomes an original to make others from.

    Raises:
        Refused: ``not_yours``, ``disk_state``, ``disk_written``, ``disk_tag``, ``quota_disk``,
            ``snapshot_state``, ``copy_original``.
    """
    tag = disk_tag(tag)
    known = Volume.objects.filter(owner=by, create_key=create_key)
    if made := known.first():
        return made
    _must_be_readable(volume, snapshot, by)
    with alone_with(volume, "copy", by=by) as situation:
        if made := known.first():
            return made
        if snapshot is None:
            _must_be_still(situation)
        else:
            _must_be_there(snapshot)
        type_ = _type_of_copy(volume, as_original=as_original)
        wanted = _beginning(volume, snapshot, create_key, {"tag": tag, "type": type_})
        made = begin(by, wanted)
        of = wanted.told["snapshot"]
        volume.record_event("copy", by=by, to=made.token, snapshot=of)
    return made


def _must_be_readable(volume: Volume, snapshot: Snapshot | None, by: User) -> None:
    """Snapshots are the owner's: others may read what the disk holds, not what it once held."""
    must(volume, "copy", by=by)
    if snapshot and (snapshot.volume_id != volume.pk or volume.access_of(by) != Access.OWN):
        volume.record_denial("copy", by=by)
        raise Refused("not_yours", "Only the disk's owner may copy one of its snapshots.")


def _must_be_still(situation: Situation) -> None:
    if refusal := situation.being_written():
        raise refusal


def _must_be_there(snapshot: Snapshot) -> None:
    snapshot.refresh_from_db()
    if snapshot.state != SnapshotState.READY:
        state = snapshot.get_state_display().lower()
        raise Refused("snapshot_state", f"The snapshot {snapshot.name} is {state}.")


def _type_of_copy(volume: Volume, *, as_original: bool) -> str:
    if not as_original:
        return BECOMES.get(volume.type, DiskType(volume.type))
    if volume.type != T.MACHINE_IMAGE_LIVE:
        raise Refused(
            "copy_original",
            f"{volume} is “{volume.get_type_display()}”: only a live machine image can be saved "
            "as an original.",
            field="as_original",
        )
    return T.MACHINE_IMAGE_ORIGIN


def _beginning(
    volume: Volume, snapshot: Snapshot | None, create_key: UUID, values: Mapping[str, Any]
) -> Beginning:
    size_bytes = snapshot.size_bytes if snapshot else volume.size_bytes
    return Beginning(
        create_key=create_key,
        state=VolumeState.COPYING,
        origin=Origin.COPIED,
        verb="asked",
        size_bytes=size_bytes,
        values={
            **values,
            "source": volume,
            "bytes_total": size_bytes,
            "wanted_snapshot": snapshot.uuid if snapshot else None,
        },
        told={
            "copy_of": volume.token,
            "snapshot": str(snapshot.name) if snapshot else "",
        },
        cloud=volume.cloud,
    )

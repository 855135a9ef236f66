"""COPYING, GROWING, RESTORING: what is made of a disk that there is.

No step waits, none writes its row but through ``keep``, and each may run twice.
"""

from collections.abc import Mapping
from typing import Any

from django.utils import timezone

from cloud.driver import CloudDriver
from cloud.errors import CloudError
from core.machine import Go, Step, progress
from core.room import waiting_for_room
from volumes.models import Access, Attachment, Snapshot, Volume, settle_use
from volumes.states import VolumeState


def copying(volume: Volume, cloud: CloudDriver) -> Go | None:
    """COPYING: have the engine make it of its source; what it holds is known if that is."""
    source = volume.source
    if source is None:
        return Go(VolumeState.CLEARING, "The disk that it was to be copied from is gone.")
    snapshot = _snapshot_of(volume)
    made = cloud.find_volume(volume.token)
    if made is None:
        if reason := _why_not(volume, source, snapshot):
            return Go(VolumeState.CLEARING, reason)
        made = cloud.copy_volume(
            source.cloud_ref,
            token=volume.token,
            snapshot=snapshot.token if snapshot else "",
            on_progress=progress(volume),
        )
    fields: dict[str, Any] = {
        "cloud_ref": made.ref,
        "size_bytes": made.size_bytes,
        "used_bytes": made.used_bytes,
        "wanted_snapshot": None,
    }
    return Go(VolumeState.AVAILABLE, fields=fields | _known_bytes(source, snapshot))


def _why_not(volume: Volume, source: Volume, snapshot: Snapshot | None) -> str:
    """What has come between the asking and the copying, or ""."""
    owner = volume.owner
    if not owner.is_active:
        return "The account that it was to be copied for is not active."
    access = source.access_of(owner)
    if access is None or (snapshot and access != Access.OWN):
        return f"{source} is not open to {owner} any more."
    if snapshot is None and _is_written(source):
        return f"A machine began to write to {source} before it was copied."
    return ""


def _snapshot_of(volume: Volume) -> Snapshot | None:
    if volume.wanted_snapshot is None:
        return None
    return Snapshot.objects.get(uuid=volume.wanted_snapshot)


def _is_written(volume: Volume) -> bool:
    return Attachment.objects.holding().filter(volume=volume, read_only=False).exists()


def _known_bytes(source: Volume, snapshot: Snapshot | None) -> dict[str, Any]:
    """What the copy's bytes are, as long as they are those that the source came in with.

    Otherwise it is somebody's data from its beginning, of which no checksum is known.
    """
    source.refresh_from_db()
    since = source.written_at
    if since is not None and (snapshot is None or snapshot.created_at >= since):
        return {"written_at": since}
    names = ("identifier", "content_bytes", "sha1", "sha256", "sha512")
    return {name: getattr(source, name) for name in names}


def growing(volume: Volume, cloud: CloudDriver) -> Go | None:
    """GROWING: ask the engine; the disk goes back to where it was, in a machine or not.

    The table of deadlines knows one end and not which of the two: this step keeps the time.
    """
    wanted = volume.wanted_bytes or volume.size_bytes
    try:
        info = cloud.grow_volume(volume.cloud_ref, wanted)
    except CloudError as exc:
        if exc.retryable and not _is_late(volume):
            raise
        late = "The engine did not grow it in time. " if exc.retryable else ""
        return _back(volume, f"It has not grown. {late}{exc}")
    return _back(volume, size_bytes=info.size_bytes, used_bytes=info.used_bytes)


def _is_late(volume: Volume) -> bool:
    limit = volume.DEADLINES[VolumeState.GROWING].after
    return timezone.now() - volume.state_since >= limit


def _back(volume: Volume, reason: str = "", **fields: Any) -> Go:
    return Go(
        VolumeState.AVAILABLE,
        reason,
        fields={**fields, "wanted_bytes": None},
        alongside=lambda: settle_use(volume, reason=reason),
    )


def restoring(volume: Volume, cloud: CloudDriver) -> Go | None:
    """RESTORING: have the engine put back what the disk held then."""
    cloud.restore_snapshot(volume.cloud_ref, token=str(volume.wanted_snapshot))
    info = cloud.get_volume(volume.cloud_ref)
    return Go(
        VolumeState.AVAILABLE,
        fields={
            "size_bytes": info.size_bytes,
            "used_bytes": info.used_bytes,
            "wanted_snapshot": None,
            "wanted_bytes": None,
        },
    )


STEPS: Mapping[str, Step[Volume]] = {
    VolumeState.COPYING: waiting_for_room(copying),
    VolumeState.GROWING: growing,
    VolumeState.RESTORING: restoring,
}

"""Files to download, made of disks."""

from django.db import transaction

from core.errors import Refused
from core.machine import StaleState
from registration.models import User
from volumes import outgoing, tasks
from volumes.asking import alone_with
from volumes.models import Export, ExportFormat, Snapshot, Volume
from volumes.states import ExportState, SnapshotState

X = ExportState

#: Of one person, at a time: each takes as much of the site's disk as what is downloaded.
MOST_DOWNLOADS = 10
LIVE = frozenset({X.PREPARING, X.PACKING, X.READY})


def ask_download(
    volume: Volume, *, by: User, format: str, snapshot: Snapshot | None = None
) -> Export:
    """Have a file made of a disk, or of one of its snapshots. It is PREPARING when this returns.

    Asked again while the same is being made, it is that one.

    Raises:
        Refused: ``not_yours``, ``not_active``, ``disk_state``, ``disk_written``,
            ``snapshot_state``, ``too_many_downloads``, ``download_format``.
    """
    if format not in ExportFormat.values:
        raise Refused("download_format", f"Choose one of {', '.join(ExportFormat.values)}.")
    with alone_with(volume, "download", by=by) as situation:
        mine = Export.objects.filter(owner=by)
        being_made = mine.filter(state__in=(X.PREPARING, X.PACKING))
        same = being_made.filter(volume=volume, format=format, snapshot=snapshot)
        if made := same.first():
            return made
        if snapshot:
            _must_be_there(snapshot, volume)
        elif refusal := situation.being_written():
            raise refusal
        if mine.filter(state__in=LIVE).count() >= MOST_DOWNLOADS:
            raise Refused(
                "too_many_downloads",
                f"You have {MOST_DOWNLOADS} downloads, which is the most at a time. Remove one "
                "first.",
            )
        return _made(volume, by, format, snapshot)


def _made(volume: Volume, by: User, format: str, snapshot: Snapshot | None) -> Export:
    size_bytes = snapshot.size_bytes if snapshot else volume.size_bytes
    export = Export(
        volume=volume, owner=by, format=format, snapshot=snapshot, bytes_total=size_bytes
    )
    export.next_tick_at = export.state_since
    export.save(force_insert=True)
    export.record_event("download", by=by, now=X.PREPARING, format=format)
    of = f" of its snapshot {snapshot.name}" if snapshot else ""
    volume.record_event(
        "download", by=by, reason=f"A download{of} as {export.get_format_display()}."
    )
    export.announce()
    tasks.ring_row(export)
    return export


def _must_be_there(snapshot: Snapshot, volume: Volume) -> None:
    """Raises: Refused: ``snapshot_state``."""
    found = Snapshot.objects.filter(pk=snapshot.pk, volume=volume, state=SnapshotState.READY)
    if not found.exists():
        raise Refused("snapshot_state", f"{volume} has no such snapshot that is ready.")


def remove_download(export: Export, *, by: User) -> None:
    """End a download, ready or not. Quiet if it has ended.

    Raises:
        Refused: ``not_yours``.
    """
    if export.owner_id != by.pk and not by.is_staff:
        export.record_denial("download_remove", by=by)
        raise Refused("not_yours", "This download is somebody else's.")
    while export.state in LIVE:
        try:
            with transaction.atomic():
                export.move(
                    X.EXPIRED, by=by, verb="download_remove", reason=_removed_by(export, by)
                )
                transaction.on_commit(lambda: outgoing.forget(export.uuid), robust=True)
        except StaleState:  # it has just gone on; the wish is about the file
            export.refresh_from_db()


def _removed_by(export: Export, by: User) -> str:
    if by.pk == export.owner_id:
        return "Removed by who asked for it."
    return f"Removed by administrator {by.username}."


def being_read(volume: Volume) -> str:
    """Why nothing may write to a disk now, as far as downloads go; or ""."""
    reading = Export.objects.filter(volume=volume, state=X.PREPARING, snapshot__isnull=True)
    if not reading.exists():
        return ""
    return f"A download of {volume} is being prepared: wait until that is ready."

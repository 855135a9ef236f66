"""Files to download, made of disks."""

from datetime import datetime, timedelta
from functools import partial

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from core.errors import Refused
from core.machine import StaleState
from core.models import Event
from core.sizes import in_words
from registration.models import User
from volumes import outgoing, tasks
from volumes.asking import alone_with
from volumes.models import Attachment, Export, ExportFormat, Snapshot, Volume
from volumes.states import AttachmentState, ExportState, SnapshotState

X = ExportState

#: Of one person, at a time: each takes as much of the site's disk as what is downloaded.
MOST_DOWNLOADS = 10
LIVE = frozenset({X.PREPARING, X.PACKING, X.READY})


def ask_download(
    volume: Volume, *, by: User, format: str, snapshot: Snapshot | None = None
) -> Export:
    """Have a file made of a disk, or of one of its snapshots. It is PREPARING when this returns.

    Asked again while the same is being made, or lies ready, it is that one.

    Raises:
        Refused: ``not_yours``, ``not_active``, ``disk_state``, ``disk_written``,
            ``snapshot_state``, ``too_many_downloads``, ``downloads_full``, ``download_format``.
    """
    if format not in ExportFormat.values:
        raise Refused("download_format", f"Choose one of {', '.join(ExportFormat.values)}.")
    with alone_with(volume, "download", by=by) as situation:
        mine = Export.objects.filter(owner=by, state__in=LIVE)
        same = mine.filter(volume=volume, format=format, snapshot=snapshot)
        if made := same.filter(state__in=(X.PREPARING, X.PACKING)).first():
            return made
        if snapshot:
            _must_be_there(snapshot, volume)
        elif refusal := situation.being_written():
            raise refusal
        if ready := _kept(same.filter(state=X.READY), volume):
            return ready
        if mine.count() >= MOST_DOWNLOADS:
            raise Refused(
                "too_many_downloads",
                f"You have {MOST_DOWNLOADS} downloads, which is the most at a time. Remove one "
                "first.",
            )
        _must_fit(by, mine, _size(volume, snapshot))
        return _made(volume, by, format, snapshot)


def _kept(ready: QuerySet[Export], volume: Volume) -> Export | None:
    """A file that is there and still what the disk holds; kept anew from now on."""
    now = timezone.now()
    for export in ready.filter(expires_at__gt=now):
        if export.snapshot_id is None and _has_changed(volume, since=export.created_at):
            continue
        until = now + timedelta(hours=settings.PORTAL_DOWNLOAD_HOURS)
        if Export.objects.filter(pk=export.pk, state=X.READY).update(expires_at=until):
            export.expires_at = until
            export.announce()
            return export
    return None


def _has_changed(volume: Volume, *, since: datetime) -> bool:
    """Whether something may have written to the disk."""
    written = Attachment.objects.filter(volume=volume, read_only=False).exclude(
        state=AttachmentState.DETACHED, state_since__lt=since
    )
    remade = Event.objects.filter(
        subject=volume.uuid, verb__in=("grow", "restore_snapshot"), at__gte=since
    )
    return written.exists() or remade.exists()


def _size(volume: Volume, snapshot: Snapshot | None) -> int:
    return snapshot.size_bytes if snapshot else volume.size_bytes


def _must_fit(by: User, mine: QuerySet[Export], more_bytes: int) -> None:
    """What is not ready yet counts as much as the disk that it is made of.

    Raises: Refused: ``downloads_full``.
    """
    held = sum(
        export.size_bytes
        if export.size_bytes is not None
        else _size(export.volume, export.snapshot)
        for export in mine.select_related("volume", "snapshot")
    )
    limit = by.quota.disk_bytes
    if held + more_bytes > limit:
        raise Refused(
            "downloads_full",
            f"Your downloads may have as much as your disk quota, {in_words(limit)} together: "
            f"they have {in_words(held)}, and this may have {in_words(more_bytes)}. Remove one "
            "that you have taken, or ask for more quota under “Quota and usage”.",
        )


def _made(volume: Volume, by: User, format: str, snapshot: Snapshot | None) -> Export:
    export = Export(
        volume=volume,
        owner=by,
        format=format,
        snapshot=snapshot,
        bytes_total=_size(volume, snapshot),
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

    What still reads a disk may be ended by the disk's owner as well: it keeps others from writing.

    Raises:
        Refused: ``not_yours``.
    """
    is_reading_theirs = export.state == X.PREPARING and export.volume.owner_id == by.pk
    if not (export.owner_id == by.pk or is_reading_theirs or by.is_staff):
        export.record_denial("download_remove", by=by)
        raise Refused("not_yours", "This download is somebody else's.")
    end(export, by=by, reason=_removed_by(export, by))


def end(export: Export, *, by: User, reason: str) -> None:
    """Whatever it is at, and its file with it; within a transaction, once that commits."""
    while export.state in LIVE:
        try:
            with transaction.atomic():
                export.move(X.EXPIRED, by=by, verb="download_remove", reason=reason)
                transaction.on_commit(partial(outgoing.forget, export.uuid), robust=True)
        except StaleState:  # it has just gone on; the wish is about the file
            export.refresh_from_db()


def end_of_others(volume: Volume, *, by: User) -> None:
    """The disk has another owner: those end whose people may no longer read what is in them."""
    rows = Export.objects.filter(volume=volume, state__in=LIVE).exclude(owner=volume.owner)
    for export in rows.select_related("volume", "owner"):
        if export.snapshot_id is not None or volume.access_of(export.owner) is None:
            end(export, by=by, reason="The disk has another owner.")


def _removed_by(export: Export, by: User) -> str:
    if by.pk == export.owner_id:
        return "Removed by who asked for it."
    if by.pk == export.volume.owner_id:
        return "Ended by the disk's owner: it kept machines from writing to the disk."
    return f"Removed by administrator {by.username}."

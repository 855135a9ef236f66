"""Files made of disks, to download."""

from datetime import datetime
from typing import Any
from uuid import UUID

from django.conf import settings
from django.urls import reverse
from ninja import Field, Router, Schema, Status

from registration.bearer import ApiRequest
from registration.doors import find_or_404
from volumes import actions, outgoing
from volumes.api.disks import find, own_snapshot
from volumes.models import Export, ExportFormat
from volumes.states import ExportState

router = Router()


class DownloadOut(Schema):
    uuid: UUID
    disk: UUID
    snapshot: UUID | None
    format: ExportFormat
    state: ExportState
    reason: str = Field(description="A sentence saying why it is in this state, or blank")
    bytes_done: int = Field(description="Of what is being done now: reading, packing, summing")
    bytes_total: int
    file_name: str
    size_bytes: int | None = Field(description="Of the file, once it is ready")
    sha256: str = Field(description="Of the file, once it is ready")
    url: str = Field(
        description="Where the file is once it is ready, for the same token; takes Range"
    )
    expires_at: datetime | None = Field(description="When the file is removed")
    created_at: datetime


class DownloadIn(Schema):
    format: ExportFormat = Field(ExportFormat.ZSTD, description="Of the file")
    snapshot: UUID | None = Field(
        None, description="Of your own disk: as it was then; left out: as it is now"
    )


def _out(export: Export) -> dict[str, Any]:
    same = (
        "uuid", "format", "state", "reason", "bytes_done", "bytes_total", "size_bytes", "sha256",
        "expires_at", "created_at",
    )  # fmt: skip
    is_ready = export.state == ExportState.READY
    path = reverse("volumes:download_file", args=[export.uuid])
    return {name: getattr(export, name) for name in same} | {
        "disk": export.volume.uuid,
        "snapshot": export.snapshot.uuid if export.snapshot else None,
        "file_name": outgoing.file_name(export),
        "url": f"{settings.PORTAL_URL}{path}" if is_ready else "",
    }


@router.get("/disks/{uuid:disk}/downloads", response=list[DownloadOut],
            summary="Your downloads of a disk, the newest first",
            url_name="disk_downloads")  # fmt: skip
def list_downloads(request: ApiRequest, disk: UUID) -> list[dict[str, Any]]:
    volume = find(request, disk)
    mine = Export.objects.filter(owner=request.user, volume=volume, state__in=actions.LIVE)
    return [_out(export) for export in mine.select_related("volume", "snapshot")]


@router.post("/disks/{uuid:disk}/downloads", response={201: DownloadOut},
             summary="Have a file made of a disk")  # fmt: skip
def make_download(request: ApiRequest, disk: UUID, wanted: DownloadIn) -> Status[dict[str, Any]]:
    """Asked again while the same is being made, or is ready and the disk is as it was, it is
    that one. What you have may be together as large as your disk quota."""
    volume = find(request, disk, verb="download")
    snapshot = own_snapshot(request, volume, wanted.snapshot)
    export = actions.ask_download(volume, by=request.user, format=wanted.format, snapshot=snapshot)
    return Status(201, _out(export))


@router.get("/downloads/{uuid:download}", response=DownloadOut, summary="One download",
            url_name="download")  # fmt: skip
def one_download(request: ApiRequest, download: UUID) -> dict[str, Any]:
    return _out(_mine(request, download))


@router.delete("/downloads/{uuid:download}", response={204: None}, summary="Remove a download")
def remove_download(request: ApiRequest, download: UUID) -> Status[None]:
    """Also while it is being made. It is quiet about one that has ended."""
    export = _mine(request, download, verb="download_remove")
    actions.remove_download(export, by=request.user)
    return Status(204, None)


def _mine(request: ApiRequest, key: UUID, *, verb: str = "") -> Export:
    rows = Export.objects.filter(owner=request.user).select_related("volume", "snapshot")
    return find_or_404(rows, request, verb, uuid=key)

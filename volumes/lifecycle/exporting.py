"""PREPARING, PACKING: from a disk to a file to download, and the end of that file.

No step waits, none writes its row but through ``keep``, and each may run twice: a file has
its name only when it is whole.
"""

import gzip
import hashlib
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import IO, Any, Protocol

from backports import zstd
from django.conf import settings
from django.utils import timezone

from cloud.driver import CloudDriver
from cloud.errors import CloudBusy
from cloud.types import DiskFormat
from core.machine import Go, StaleState, Step, progress
from core.room import waiting_for_room
from volumes import outgoing
from volumes.models import Access, Export, ExportFormat
from volumes.states import ExportState

CHUNK = 1 << 20
#: Half the time of the usual 6, for a file that is a few percent larger.
GZIP_LEVEL = 4
ZSTD_LEVEL = 3
PACKED = frozenset({ExportFormat.GZIP, ExportFormat.ZSTD})
#: Rows whose files are wanted.
WANTED = (ExportState.PREPARING, ExportState.PACKING, ExportState.READY)
#: Files that one look removes.
AT_ONCE = 200


def prepare(export: Export, cloud: CloudDriver) -> Go:
    """PREPARING: have the cloud write the disk, unless it has."""
    where = outgoing.plain(export)
    if not where.exists():
        if not _may_read(export):
            return Go(ExportState.FAILED, f"{export.volume} is not open to you any more.")
        outgoing.make(export)
        cloud.export_volume(
            export.volume.cloud_ref,
            where,
            DiskFormat.QCOW2 if export.format == ExportFormat.QCOW2 else DiskFormat.RAW,
            snapshot=export.snapshot.token if export.snapshot else "",
            on_progress=progress(export),
        )
    counters = {"bytes_done": 0, "bytes_total": where.stat().st_size}
    return Go(ExportState.PACKING, fields=counters)


def _may_read(export: Export) -> bool:
    """Whether who asked might ask now: it may have waited for long."""
    access = export.volume.access_of(export.owner)
    wanted = (Access.OWN,) if export.snapshot else tuple(Access)
    return export.owner.is_active and access in wanted


def pack(export: Export, cloud: CloudDriver) -> Go | None:
    """PACKING: pack it, if that was asked for, and compute the checksum of what came of it."""
    plain, ready = outgoing.plain(export), outgoing.file(export)
    try:
        if export.format in PACKED and plain.exists():
            sha256 = _packed(export, plain, ready)
            plain.unlink(missing_ok=True)
        else:
            _make_durable(ready)
            sha256 = _summed(ready, progress(export))
        size_bytes = ready.stat().st_size
    except FileNotFoundError:  # removed by who asked for it; or by somebody on the host
        if Export.objects.filter(pk=export.pk, state=ExportState.PACKING).exists():
            return Go(ExportState.FAILED, "Its file is gone. Ask for the download again.")
        return None
    return Go(
        ExportState.READY,
        fields={
            "sha256": sha256,
            "size_bytes": size_bytes,
            "bytes_done": size_bytes,
            "bytes_total": size_bytes,
            "expires_at": timezone.now() + timedelta(hours=settings.PORTAL_DOWNLOAD_HOURS),
        },
    )


def _packed(export: Export, plain: Path, ready: Path) -> str:
    need, room = plain.stat().st_blocks * 512, outgoing.room_bytes()
    if need > room:
        raise CloudBusy(
            f"Packing it takes up to {need >> 20} MiB and there are {room >> 20} MiB of disk left."
        )
    with _whole(outgoing.partial(export), ready) as partial, partial.open("wb") as file:
        summing = _Summing(file)
        with plain.open("rb") as source, _packer(export.format, summing) as packer:
            _copy(source, packer, plain.stat().st_size, progress(export))
        export.keep()  # whoever has lost the lease gives nothing its name
    return summing.hexdigest()


class _Writes(Protocol):
    def write(self, data: bytes, /) -> Any: ...


class _Summing:
    """Writes on, and computes the checksum of what is written."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._digest = hashlib.sha256()
        self.hexdigest = self._digest.hexdigest

    def write(self, data: bytes) -> int:
        self._digest.update(data)
        return self._file.write(data)

    def flush(self) -> None:
        self._file.flush()


def _packer(format: str, target: Any) -> Any:
    """A file that packs. Of gzip without name and time: the same disk is the same file."""
    if format == ExportFormat.GZIP:
        return gzip.GzipFile("", "wb", GZIP_LEVEL, target, mtime=0)
    return zstd.ZstdFile(target, "w", level=ZSTD_LEVEL)


def _copy(source: IO[bytes], target: _Writes, total: int, tell: Callable[[int, int], None]) -> None:
    done = 0
    while chunk := source.read(CHUNK):
        target.write(chunk)
        done += len(chunk)
        tell(done, total)


def _summed(path: Path, tell: Callable[[int, int], None]) -> str:
    digest = hashlib.sha256()
    total = path.stat().st_size
    with path.open("rb") as source:
        done = 0
        while chunk := source.read(CHUNK):
            digest.update(chunk)
            done += len(chunk)
            tell(done, total)
    return digest.hexdigest()


@contextmanager
def _whole(partial: Path, ready: Path) -> Iterator[Path]:
    """A name that becomes ``ready`` at the end."""
    try:
        yield partial
        _make_durable(partial)
        partial.rename(ready)
        _make_durable(ready)
    finally:
        partial.unlink(missing_ok=True)


def _make_durable(path: Path) -> None:
    """The row will say that it is there: a power cut must not prove it wrong."""
    for one in (path, path.parent):
        fd = os.open(one, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)


# Their end ------------------------------------------------------------------------------


def tidy() -> None:
    """End downloads whose time is over, and remove every file that nobody wants."""
    over = Export.objects.filter(state=ExportState.READY, expires_at__lte=timezone.now())
    for export in over.select_related("volume", "snapshot")[:AT_ONCE]:
        with suppress(StaleState):
            export.move(ExportState.EXPIRED, verb="download_over", reason="Its time was over.")
    keys = set(outgoing.all_keys())
    wanted = Export.objects.filter(state__in=WANTED).values_list("uuid", flat=True)
    for key in sorted(keys - set(wanted))[:AT_ONCE]:
        outgoing.forget(key)


STEPS: Mapping[str, Step[Export]] = {
    ExportState.PREPARING: waiting_for_room(prepare),
    ExportState.PACKING: pack,
}

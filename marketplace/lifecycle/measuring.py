"""WANTED, MEASURING: size and checksums of what a draft is about.

No step waits, none writes its row but through ``keep``, and each may run twice. Nothing is
kept of what is measured: a disk is exported to a file that ends with the step, and what a
server sends is counted and summed as it passes.
"""

import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from django.conf import settings
from django.utils import timezone

from cloud.diskfiles import headers, packing
from cloud.diskfiles.digests import Digests
from cloud.diskfiles.headers import Packing
from cloud.diskfiles.identifiers import identifier_of
from cloud.diskfiles.refusal import FileRefused
from cloud.driver import CloudDriver
from cloud.errors import CloudBusy, CloudFull
from cloud.types import DiskFormat
from core import fetch
from core.machine import Go, Step, progress
from core.sizes import in_words
from marketplace import sniffing
from marketplace.lifecycle.passing import Passing
from marketplace.models import Draft
from marketplace.states import Compression, DraftSource, DraftState
from registration.models import GIB
from volumes.models import Access, Attachment, Origin, Volume
from volumes.states import AttachmentState, VolumeState

#: A disk that cannot be read now is asked for again for so long.
PATIENCE = timedelta(minutes=30)
#: How the file at an address is packed, as entries say it.
COMPRESSIONS: Mapping[Packing, Compression] = {
    Packing.NONE: Compression.NONE,
    Packing.GZIP: Compression.GZIP,
    Packing.BZIP2: Compression.BZIP2,
    Packing.XZ: Compression.XZ,
    Packing.ZSTD: Compression.ZSTD,
}
_USABLE = (VolumeState.AVAILABLE, VolumeState.IN_USE)
_PREFIX = "draft-"


def begin(draft: Draft, cloud: CloudDriver) -> Go:
    """WANTED: see that there is something to measure."""
    problem = _obstacle(draft)
    if problem:
        return Go(DraftState.FAILED, problem)
    return Go(DraftState.MEASURING)


def measure(draft: Draft, cloud: CloudDriver) -> Go | None:
    """MEASURING: read every byte once, saying how far it is."""
    problem = _obstacle(draft)
    if problem:
        return Go(DraftState.FAILED, problem)
    if draft.about == DraftSource.URL:
        return _measure_url(draft)
    return _measure_disk(draft, cloud)


def _obstacle(draft: Draft) -> str:
    if not draft.owner.is_active:
        return "The account that it is measured for is not active."
    if draft.about == DraftSource.URL:
        return ""
    volume = draft.volume
    if volume is None or volume.state not in _USABLE:
        return "The disk is gone, or is not there to be read now."
    if volume.access_of(draft.owner) != Access.OWN:
        return "The disk belongs to somebody else now."
    if volume.attachments.holding().filter(read_only=False).exists():
        return "A machine may write to the disk: detach it first, then have it measured again."
    return ""


# A disk ---------------------------------------------------------------------------------


def _measure_disk(draft: Draft, cloud: CloudDriver) -> Go | None:
    volume = draft.volume
    assert volume is not None  # noqa: S101  (``_obstacle`` has looked)
    known = sums_of(volume)
    if known:
        return _ready(draft, known, volume.size_bytes, _unread(volume.size_bytes), Packing.NONE)
    _tidy()
    where = place(draft.uuid)
    try:
        where.mkdir(mode=0o700, parents=True)
        sums = _exported(draft, volume, cloud, where / "disk.raw")
        with (where / "disk.raw").open("rb") as file:
            found = sniffing.raw(file.read(sniffing.HEAD_BYTES), volume.size_bytes)
    except CloudFull as full:
        return Go(DraftState.FAILED, str(full))
    except CloudBusy as busy:
        if timezone.now() - draft.state_since > PATIENCE:
            return Go(DraftState.FAILED, str(busy))
        draft.keep(reason=f"{busy} The portal tries again.")
        return None
    finally:
        shutil.rmtree(where, ignore_errors=True)
    if _was_written(volume, draft):
        return Go(
            DraftState.FAILED,
            "A machine had the disk and may have written to it meanwhile: detach it, then have "
            "it measured again.",
        )
    return _ready(draft, sums, volume.size_bytes, found, Packing.NONE)


def _unread(size_bytes: int) -> sniffing.Sniffed:
    return sniffing.Sniffed(format=DiskFormat.RAW, virtual_size_bytes=size_bytes)


def sums_of(volume: Volume) -> dict[str, str]:
    """The checksums of its bytes, where they are known without reading it; else nothing.

    What is known of a disk is what its file held: they are the same only if that file was the
    raw disk to the last byte, and nothing has been written since. What was saved from a machine
    was summed as it was saved.
    """
    arrival = getattr(volume, "arrival", None)
    came_raw = arrival is not None and arrival.format == DiskFormat.RAW
    came_raw = came_raw or volume.origin == Origin.SAVED
    is_untouched = volume.written_at is None and volume.content_bytes == volume.size_bytes
    if not (came_raw and is_untouched and volume.sha1 and volume.sha256 and volume.sha512):
        return {}
    return {"sha1": volume.sha1, "sha256": volume.sha256, "sha512": volume.sha512}


def _exported(draft: Draft, volume: Volume, cloud: CloudDriver, path: Path) -> dict[str, str]:
    """Two halves of one bar: the disk is written out, and what was written is read."""
    write = progress(draft)
    size = volume.size_bytes

    def told(half: int) -> Callable[[int, int], None]:
        return lambda done, total: write((half * size + done * size // max(total, 1)) // 2, size)

    cloud.export_volume(volume.cloud_ref, path, DiskFormat.RAW, on_progress=told(0))
    draft.keep(reason="")
    with path.open("rb") as file:
        return _summed(_counted(packing.pieces(file), size, told(1)))


def _counted(
    pieces: Iterable[bytes], total: int, tell: Callable[[int, int], None]
) -> Iterator[bytes]:
    done = 0
    for piece in pieces:
        yield piece
        done += len(piece)
        tell(done, total)


def _summed(pieces: Iterable[bytes]) -> dict[str, str]:
    with Digests() as digests:
        for piece in pieces:
            digests.update(piece)
        return digests.found()


def _was_written(volume: Volume, draft: Draft) -> bool:
    """Whether a machine could write to it at any moment since the draft is being measured."""
    writers = Attachment.objects.filter(volume=volume, read_only=False)
    over = writers.filter(state=AttachmentState.DETACHED, state_since__lt=draft.state_since)
    return writers.exclude(pk__in=over.values("pk")).exists()


def place(key: UUID) -> Path:
    """Where a disk lies while it is measured: beside downloads, which take the same room."""
    return Path(settings.PORTAL_DOWNLOADS, f"{_PREFIX}{key}")


def _tidy() -> None:
    """Remove what workers left that were killed while they measured."""
    for left in Path(settings.PORTAL_DOWNLOADS).glob(f"{_PREFIX}*"):
        measured = Draft.objects.filter(state=DraftState.MEASURING)
        names = {f"{_PREFIX}{key}" for key in measured.values_list("uuid", flat=True)}
        if left.name not in names:
            shutil.rmtree(left, ignore_errors=True)


# A file on the web ----------------------------------------------------------------------


def _measure_url(draft: Draft) -> Go:
    most = settings.PORTAL_IMAGE_GIB * GIB
    tell = progress(draft)
    try:
        with Passing(draft.url, most_bytes=most) as passing, Digests() as digests:
            packed = _packing_of(passing)
            head, tail, size = b"", b"", 0
            for piece in packing.unpacked(passing, packed):
                size += len(piece)
                if size > most:
                    return Go(DraftState.FAILED, _too_large(most))
                head += piece[: sniffing.HEAD_BYTES - len(head)]
                tail = tail[-sniffing.TAIL_BYTES :] + piece[-sniffing.TAIL_BYTES :]
                if piece:
                    digests.update(piece)
                tell(passing.done, max(passing.total, passing.done))
            sums = digests.found()
    except fetch.Unfetchable as error:
        return Go(DraftState.FAILED, str(error))
    except FileRefused as refused:
        return Go(DraftState.FAILED, str(refused))
    if not size:
        return Go(DraftState.FAILED, "The file at this address is empty.")
    found = sniffing.sniff(head, tail[-sniffing.TAIL_BYTES :], size)
    if found.needs_another:
        return Go(
            DraftState.FAILED,
            "The image is half a disk: the other half is in another file (a backing file). Make "
            "one of both with qemu-img convert -O qcow2.",
        )
    return _ready(draft, sums, size, found, packed)


def _packing_of(passing: Passing) -> Packing:
    return headers.packing_of(passing.look_ahead(headers.HEAD_BYTES))


def _too_large(most_bytes: int) -> str:
    return (
        f"What is packed in the file is larger than the {in_words(most_bytes)} that this site "
        "takes as an image."
    )


def _ready(
    draft: Draft,
    sums: Mapping[str, str],
    size_bytes: int,
    found: sniffing.Sniffed,
    packed: Packing,
) -> Go:
    fields: dict[str, Any] = {
        **sums,
        "identifier": identifier_of(sums["sha1"]),
        "size_bytes": size_bytes,
        "virtual_size_bytes": found.virtual_size_bytes,
        "format": str(found.format),
        "compression": str(COMPRESSIONS[packed]),
        "doubt": found.doubt,
        "bytes_done": max(draft.bytes_total, 1),
        "bytes_total": max(draft.bytes_total, 1),
    }
    return Go(DraftState.READY, fields=fields)


STEPS: Mapping[str, Step[Draft]] = {
    DraftState.WANTED: begin,
    DraftState.MEASURING: measure,
}

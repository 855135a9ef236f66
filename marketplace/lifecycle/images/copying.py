"""COPYING: have the cloud keep it; converted before, if the cloud boots no such disk."""

from collections.abc import Mapping
from pathlib import Path

from cloud.diskfiles import convert
from cloud.diskfiles.digests import difference
from cloud.diskfiles.refusal import FileRefused
from cloud.driver import CloudDriver
from cloud.types import DiskFormat, ImageFormat, ImageInfo, ImageSource
from core.machine import Go, Step, progress
from core.room import waiting_for_room
from marketplace import arrivals
from marketplace.lifecycle.images import locating, proving
from marketplace.models import ImageFile
from marketplace.states import ImageState

_TWO = (
    "Another image of the same identifier is kept here: two files with one SHA-1 have been made on "
    "purpose. Ask an administrator."
)


def copy(image: ImageFile, cloud: CloudDriver) -> Go:
    info = cloud.find_image(image.identifier)
    if info is not None and image.ref:  # it was fetched to prove the entry's word
        if difference(_common(image.sums, image.came_sums), image.came_sums):
            return Go(ImageState.CLEARING, _TWO)
    else:
        source = _kept_here(image) if image.entry.is_kept_here else _fetched(image)
        if source is None:
            return locating.anew(image) if image.location else _gone(image)
        try:
            info = cloud.import_image(source, token=image.identifier, on_progress=progress(image))
        except FileRefused as refused:
            return Go(ImageState.CLEARING, str(refused))
    arrivals.remove(image.uuid)
    return ready(image, info)


def _common(kept: Mapping[str, str], came: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in kept.items() if name in came}


def _gone(image: ImageFile) -> Go:
    return Go(ImageState.CLEARING, "The file of this image is no longer on this site.")


def _kept_here(image: ImageFile) -> ImageSource | None:
    """The site's own file, which the cloud verifies: nobody has read it before."""
    entry, path = image.entry, image.entry.site_file
    if path is None or not path.is_file():
        return None
    return ImageSource(
        path=path,
        format=ImageFormat(entry.format),
        size_bytes=entry.size_bytes or path.stat().st_size,
        md5=entry.md5,
        sha1=entry.sha1,
        sha256=entry.sha256,
        sha512=entry.sha512,
    )


def _fetched(image: ImageFile) -> ImageSource | None:
    """What has come and was verified; None: it is not there any more."""
    key = image.uuid
    path = arrivals.unpacked(key) if image.packing else arrivals.received(key)
    if not path.is_file():
        return None
    format = DiskFormat(image.file_format)
    if format not in (DiskFormat.RAW, DiskFormat.QCOW2):
        path, format = _converted(image, path, format), DiskFormat.QCOW2
    return ImageSource(
        path=path,
        format=ImageFormat(format.value),
        size_bytes=path.stat().st_size,
        sha256=image.file_sha256,
        is_verified=True,
    )


def _converted(image: ImageFile, path: Path, format: DiskFormat) -> Path:
    """Raises: FileRefused; CloudFull."""
    target = arrivals.converted(image.uuid)
    target.unlink(missing_ok=True)
    convert.convert(
        path,
        format,
        target,
        DiskFormat.QCOW2,
        size_bytes=image.virtual_size_bytes or 0,
        on_progress=progress(image),
    )
    return target


def ready(image: ImageFile, info: ImageInfo) -> Go:
    """The cloud has it, and the entry's word was found true."""
    entry = image.entry
    came = image.came_sums or (locating.stated(entry) if entry.is_kept_here else {})
    return Go(
        ImageState.READY,
        fields={
            "sums": image.sums | came if image.ref else came or image.sums,
            "size_bytes": image.came_bytes or image.size_bytes or entry.size_bytes,
            "came_sums": {},
            "ref": info.ref,
            "virtual_size_bytes": info.virtual_size_bytes,
            "kept_bytes": info.size_bytes if info.used_bytes is None else info.used_bytes,
            "proof_disks": proving.disks(image),
            "bytes_done": info.size_bytes,
            "bytes_total": info.size_bytes,
            "failures": [],
            "failing_since": None,
        },
        alongside=lambda: _prove(image),
    )


def _prove(image: ImageFile) -> None:
    image.proven_by.add(image.entry)
    image.refused.filter(entry=image.entry).delete()


STEPS: Mapping[str, Step[ImageFile]] = {ImageState.COPYING: waiting_for_room(copy)}

"""CHECKING, UNPACKING: whether these are the bytes that the entry speaks of, and what they are.

What is packed is compared by what is in it, as endorsers state it; by the file itself where
that is what they have stated (many indexes do).
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from django.conf import settings

from cloud.diskfiles import appending, convert, headers, unpacking
from cloud.diskfiles.digests import difference
from cloud.diskfiles.headers import Packing
from cloud.diskfiles.refusal import FileRefused
from cloud.driver import CloudDriver
from cloud.errors import CloudBusy
from cloud.types import DiskFormat
from core.machine import Go, Step, progress
from marketplace import arrivals
from marketplace.lifecycle.images import locating
from marketplace.models import Entry, ImageFile
from marketplace.states import ImageState
from registration.models import GIB

Sums = Mapping[str, str]


def check(image: ImageFile, cloud: CloudDriver) -> Go | None:
    path = arrivals.received(image.uuid)
    if not path.is_file():
        return locating.anew(image)
    _must_be_written(path)
    with path.open("rb") as file:
        packed = headers.packing_of(file.read(headers.HEAD_BYTES))
    size_bytes = path.stat().st_size
    # A fetch that was broken off has summed nothing: once more from its beginning.
    sums = image.came_sums or _summed(image, path)
    why = _why_other(image.entry, size_bytes, sums)
    found = {"came_sums": {}} if why else {"came_sums": sums, "came_bytes": size_bytes}
    if packed:
        fields = _counted(path) | {"packing": packed.value} | found
        return Go(ImageState.UNPACKING, fields=fields)
    if why:
        return locating.next_or_over(image, why)
    return _accepted(image, path, found, sums["sha256"])


def _must_be_written(path: Path) -> None:
    """Who begins to write after this finds the image in another state, and writes nothing.

    Raises: CloudBusy: somebody writes still.
    """
    try:
        appending.must_be_free(path)
    except appending.Busy as error:
        raise CloudBusy("Another worker brings the last of it.") from error


def _summed(image: ImageFile, path: Path) -> dict[str, str]:
    read = unpacking.read(
        path,
        Packing.NONE,
        arrivals.unpacked(image.uuid),
        sums_file=False,
        meter=lambda done: None,
        on_progress=progress(image),
        names=locating.summed(image.entry),
    )
    return read.sums


def _why_other(entry: Entry, size_bytes: int, sums: Sums) -> str:
    """What the entry states of its bytes that is not so of these, with both values; or ""."""
    if entry.size_bytes is not None and entry.size_bytes != size_bytes:
        return f"expected {entry.size_bytes} bytes, got {size_bytes}."
    differs = difference(locating.stated(entry), sums)
    return f"{differs}." if differs else ""


def _counted(path: Path) -> dict[str, Any]:
    return {"bytes_done": 0, "bytes_total": path.stat().st_size}


def _accepted(image: ImageFile, path: Path, found: dict[str, Any], sha256: str) -> Go | None:
    """These are the bytes: see that a machine may start from what they are.

    Another location has the same ones, so what breaks a rule here ends it all.
    """
    try:
        about = _inspected(image, path)
    except FileRefused as refused:
        return Go(ImageState.CLEARING, str(refused))
    is_used_as_is = about.format in (DiskFormat.RAW, DiskFormat.QCOW2)
    return Go(
        ImageState.COPYING,
        fields=found
        | _counted(path)
        | {
            "file_format": about.format.value,
            "file_sha256": sha256 if is_used_as_is else "",
            "virtual_size_bytes": about.size_bytes,
        },
    )


def _inspected(image: ImageFile, path: Path) -> headers.Found:
    """Raises: FileRefused."""
    with path.open("rb") as file:
        if headers.packing_of(file.read(headers.HEAD_BYTES)):
            raise FileRefused("packed_twice", "The image is packed twice: nothing can start it.")
    found = headers.inspect(path, largest_bytes=settings.PORTAL_IMAGE_GIB * GIB * 16)
    said = DiskFormat(image.entry.format)
    if found.format is not said:
        raise FileRefused(
            "format_differs",
            f"The entry says that the image is a {said.name} disk, and it is a "
            f"{found.format.name} disk. Its endorser has to say it anew.",
        )
    convert.check(path, found.format, on_tick=_alive(image))
    return found


def _alive(image: ImageFile) -> Callable[[], None]:
    """Renews the lease while a child is busy that says nothing."""
    tell = progress(image)
    return lambda: tell(image.bytes_done, image.bytes_total)


def unpack(image: ImageFile, cloud: CloudDriver) -> Go | None:
    """UNPACKING: read it once, from its beginning even if it was begun before."""
    path, target = arrivals.received(image.uuid), arrivals.unpacked(image.uuid)
    if not path.is_file():
        return locating.anew(image)
    is_verified = bool(image.came_sums)  # the packed file itself is what the entry states
    try:
        read = unpacking.read(
            path,
            Packing(image.packing),
            target,
            sums_file=False,
            meter=_metered(image, is_verified=is_verified),
            on_progress=progress(image),
            names={"sha256"} if is_verified else locating.summed(image.entry),
        )
    except FileRefused as refused:
        if refused.rule == "no_room":
            return Go(ImageState.CLEARING, str(refused))
        return locating.next_or_over(image, str(refused))
    if not is_verified and (why := _why_other(image.entry, read.size_bytes, read.sums)):
        return locating.next_or_over(image, why)
    found = {} if is_verified else {"came_sums": read.sums, "came_bytes": read.size_bytes}
    return _accepted(image, target, found, read.sums["sha256"])


def _metered(image: ImageFile, *, is_verified: bool) -> Callable[[int], None]:
    """Ends it as soon as more has come out than can be right: a bomb goes off no further."""
    limit = settings.PORTAL_IMAGE_GIB * GIB
    wanted = None if is_verified else image.entry.size_bytes

    def meter(done: int) -> None:
        if arrivals.room_bytes() == 0:
            raise unpacking.no_room()
        if wanted is not None and done > wanted:
            raise FileRefused("size_differs", f"expected {wanted} bytes, got more.")
        if done > limit:
            raise FileRefused(
                "too_large",
                f"Unpacked, the image is larger than the {settings.PORTAL_IMAGE_GIB} GiB that "
                "this site takes.",
            )

    return meter


STEPS: Mapping[str, Step[ImageFile]] = {
    ImageState.CHECKING: check,
    ImageState.UNPACKING: unpack,
}

"""The steps of an image's life inside one cloud: look, then ask, then say where to go.

No step waits, none writes its row but through ``keep``, and each may run twice.
"""

from collections.abc import Mapping
from typing import Any

from cloud.driver import CloudDriver
from cloud.types import ImageFormat, ImageInfo, ImageSource
from core.machine import Go, Step, progress
from marketplace.models import Entry, ImageFile
from marketplace.states import ImageState


def look(image: ImageFile, cloud: CloudDriver) -> Go:
    """WANTED: the cloud may have it already; else see that there is something to copy."""
    info = cloud.find_image(image.identifier)
    if info is not None:
        return Go(ImageState.READY, fields=_seen(info))
    problem = missing(image.entry)
    if problem:
        return Go(ImageState.FAILED, problem)
    counters = {"bytes_done": 0, "bytes_total": image.entry.size_bytes or 0}
    return Go(ImageState.COPYING, fields=counters)


def copy(image: ImageFile, cloud: CloudDriver) -> Go:
    """COPYING: copy and check every byte, saying how far it is."""
    path = image.entry.site_file
    problem = missing(image.entry)
    if path is None or problem:
        return Go(ImageState.FAILED, problem)
    entry = image.entry
    source = ImageSource(
        path=path,
        format=ImageFormat(entry.format),
        size_bytes=entry.size_bytes or path.stat().st_size,
        sha1=entry.sha1,
        sha256=entry.sha256,
        sha512=entry.sha512,
    )
    info = cloud.import_image(source, token=image.identifier, on_progress=progress(image))
    return Go(ImageState.READY, fields=_seen(info))


def missing(entry: Entry) -> str:
    """Why the bytes of this entry cannot be had on this site, or ""."""
    path = entry.site_file
    if path is None:
        return (
            "This image is not kept on this site, and the portal does not fetch images from "
            "elsewhere. Choose one that this site provides."
        )
    if not path.is_file():
        return (
            f"The file of this image is no longer on this site. An administrator can put "
            f"{path.name} back into the portal's images folder, or build the image again."
        )
    return ""


def _seen(info: ImageInfo) -> dict[str, Any]:
    return {
        "ref": info.ref,
        "virtual_size_bytes": info.virtual_size_bytes,
        "bytes_done": info.size_bytes,
        "bytes_total": info.size_bytes,
    }


STEPS: Mapping[str, Step[ImageFile]] = {
    ImageState.WANTED: look,
    ImageState.COPYING: copy,
}

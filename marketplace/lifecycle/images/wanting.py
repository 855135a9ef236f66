"""WANTED: the cloud may have it already; else find where its bytes come from."""

from collections.abc import Mapping

from django.conf import settings

from cloud.driver import CloudDriver
from core.machine import Go, Step
from core.sizes import in_words
from marketplace.lifecycle.images import locating, proving
from marketplace.lifecycle.images.copying import ready
from marketplace.models import Entry, ImageFile
from marketplace.states import ImageState
from registration.models import GIB


def look(image: ImageFile, cloud: CloudDriver) -> Go:
    entry = image.entry
    info = cloud.find_image(image.identifier)
    if info is not None and proving.is_proven(image, entry):
        return ready(image, info)
    if problem := missing(entry):
        return _failed(image, problem)
    counters = {"bytes_done": 0, "bytes_total": entry.size_bytes or 0, "failures": []}
    if entry.is_kept_here:
        return Go(ImageState.COPYING, fields=counters)
    return Go(ImageState.FETCHING, fields=locating.begin(entry.locations[0]) | counters)


def missing(entry: Entry) -> str:
    """Why the bytes of this entry cannot be had, or ""."""
    path = entry.site_file
    if path is not None and not path.is_file():
        return (
            f"The file of this image is no longer on this site. An administrator can put "
            f"{path.name} back into the portal's images folder, or build the image again."
        )
    if path is not None:
        return ""
    if not entry.locations:
        return locating.in_words([])
    if not {*locating.stated(entry)} - {"md5"}:
        return "The image's entry states no checksum that its file could be verified by."
    if (entry.size_bytes or 0) > settings.PORTAL_IMAGE_GIB * GIB:
        return (
            f"The image has {in_words(entry.size_bytes or 0)}, and this site takes images of "
            f"{settings.PORTAL_IMAGE_GIB} GiB at most. An administrator can change that "
            "(PORTAL_IMAGE_GIB)."
        )
    return ""


def _failed(image: ImageFile, reason: str) -> Go:
    # What the cloud has of it, others may use: it is looked at there.
    return (
        Go(ImageState.CLEARING, reason)
        if image.ref
        else Go(ImageState.FAILED, reason, alongside=lambda: locating.note_failure(image, reason))
    )


STEPS: Mapping[str, Step[ImageFile]] = {ImageState.WANTED: look}

"""CLEARING, EVICTING: remove what is left of one that failed, or the copy that nobody needs."""

from collections.abc import Mapping

from cloud.driver import CloudDriver
from core.machine import Go, Step
from marketplace import arrivals
from marketplace.lifecycle.images import locating
from marketplace.models import Draft, ImageFile
from marketplace.states import LET_GO, ON_ITS_WAY, DraftState, ImageState

#: Rows whose files are still coming, or being looked at.
_LANDING = (*ON_ITS_WAY, ImageState.CLEARING)
_MEASURED = (DraftState.WANTED, DraftState.MEASURING)


def clear(image: ImageFile, cloud: CloudDriver) -> Go | None:
    """CLEARING: nothing is kept of what failed; what the cloud had before, others use on."""
    arrivals.remove(image.uuid)
    reason = image.reason

    def note() -> None:
        locating.note_failure(image, reason)

    info = cloud.find_image(image.identifier)
    is_let_go = reason == LET_GO
    if info is not None and image.ref:
        alongside = None if is_let_go else note
        return Go(ImageState.READY, fields={"failures": []}, alongside=alongside)
    if info is not None:
        cloud.delete_image(info.ref)
    if is_let_go:
        return Go(ImageState.EVICTED, reason, fields={"ref": "", "kept_bytes": 0})
    return Go(ImageState.FAILED, reason, fields={"ref": "", "kept_bytes": 0}, alongside=note)


def evict(image: ImageFile, cloud: CloudDriver) -> Go | None:
    """EVICTING: machines that run from it go on; the next launch fetches it again."""
    info = cloud.find_image(image.identifier)
    if info is not None:
        cloud.delete_image(info.ref)
        if cloud.find_image(image.identifier) is not None:
            return None
    return Go(ImageState.EVICTED, image.reason, fields={"ref": "", "kept_bytes": 0})


def tidy() -> None:
    """Remove what lies on the landing place for no row that is on its way."""
    there = set(arrivals.landed())
    awaited = set(
        ImageFile.objects.filter(uuid__in=there, state__in=_LANDING).values_list("uuid", flat=True)
    ) | set(
        Draft.objects.filter(uuid__in=there, state__in=_MEASURED).values_list("uuid", flat=True)
    )
    for key in there - awaited:
        arrivals.remove(key)


STEPS: Mapping[str, Step[ImageFile]] = {
    ImageState.CLEARING: clear,
    ImageState.EVICTING: evict,
}

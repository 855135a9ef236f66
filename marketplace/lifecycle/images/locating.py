"""Where the bytes of an image come from, one location after the other."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from django.utils import timezone

from core.machine import Go
from marketplace.models import Entry, ImageFailure, ImageFile
from marketplace.states import ImageState

#: Of an address, so much is shown in a sentence.
_SHOWN = 90
#: A server that is not to be had now is given up after so long; sooner if there is another.
PATIENCE = timedelta(minutes=5)
PATIENCE_WITH_OTHERS = timedelta(seconds=30)


def left(image: ImageFile) -> list[str]:
    """The locations that have not been tried, in order."""
    tried = {location for location, _ in image.failures}
    return [one for one in image.entry.locations if one not in tried]


def begin(location: str) -> dict[str, Any]:
    """What a row says as its file begins to come from ``location``."""
    return {
        "location": location,
        "validator": "",
        "packing": "",
        "file_format": "",
        "file_sha256": "",
        "came_sums": {},
        "came_bytes": None,
        "failing_since": None,
        "bytes_done": 0,
        "bytes_total": 0,
    }


def next_or_over(image: ImageFile, why: str) -> Go | None:
    """This location does not lead to the image: try the next, or say what was tried.

    None: the row, which is FETCHING, has been told to go on from the next.
    """
    failures = [*image.failures, [image.location, why]]
    image.failures = failures
    rest = left(image)
    if not rest:
        return Go(ImageState.CLEARING, in_words(failures), fields={"failures": failures})
    fields = begin(rest[0]) | {"failures": failures}
    if image.state != ImageState.FETCHING:
        return Go(ImageState.FETCHING, fields=fields)
    image.keep(reason="", **fields)
    return None


def anew(image: ImageFile) -> Go:
    """What had come is gone: have it come again from where it came from."""
    return Go(ImageState.FETCHING, fields=begin(image.location))


def in_words(failures: Sequence[Sequence[str]]) -> str:
    """Why none of the locations led to the image."""
    if not failures:
        return "The image's entry names no place where its file is."
    said = [f"{_short(location)}: {why}" for location, why in failures]
    if len(said) == 1:
        return f"The image could not be brought here. {said[0]}"
    return f"None of the image's {len(said)} locations led to it. " + " ".join(said)


def _short(location: str) -> str:
    bare = location.partition("?")[0]
    return bare if len(bare) <= _SHOWN else f"{bare[:_SHOWN]}…"


def patience(image: ImageFile) -> timedelta:
    others = [one for one in left(image) if one != image.location]
    return PATIENCE_WITH_OTHERS if others else PATIENCE


def note_failure(image: ImageFile, reason: str) -> None:
    """Whoever waits for it on the word of this entry hears of it, whatever the row does next."""
    ImageFailure.objects.update_or_create(
        image=image,
        entry=image.entry,
        defaults={"failed_at": timezone.now(), "reason": reason[:500]},
    )


def summed(entry: Entry) -> set[str]:
    """Which checksums are computed of what comes: SHA-1 too, which names it once it is signed."""
    return {*stated(entry), "sha256", "sha1"}


def stated(entry: Entry) -> dict[str, str]:
    """The checksums that an entry states, by the names of ``hashlib``."""
    sums = {name: getattr(entry, name) for name in ("md5", "sha1", "sha256", "sha512")}
    return {name: value.lower() for name, value in sums.items() if value}

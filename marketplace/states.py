"""The life of an image inside one cloud, and the status of an entry, as data."""

from collections.abc import Mapping
from datetime import timedelta

from django.db.models import TextChoices

from core.machine import Deadline, Deadlines, Moves


class ImageState(TextChoices):
    WANTED = "wanted"
    COPYING = "copying"
    READY = "ready"
    FAILED = "failed"


S = ImageState

IMAGE_MOVES: Moves = {
    S.WANTED: frozenset({S.COPYING, S.READY, S.FAILED}),
    S.COPYING: frozenset({S.READY, S.FAILED}),
    S.READY: frozenset({S.WANTED}),  # the cloud has lost it, or found it damaged
    S.FAILED: frozenset({S.WANTED}),  # somebody asks again
}

_LOOK_EVERY = timedelta(seconds=2)

#: A state listed here is moving: a worker looks at it until it leaves.
IMAGE_DEADLINES: Deadlines = {
    S.WANTED: Deadline(
        timedelta(minutes=10), S.FAILED, _LOOK_EVERY, "The cloud took no image within {limit}."
    ),
    S.COPYING: Deadline(
        timedelta(hours=1), S.FAILED, _LOOK_EVERY, "The image was not copied within {limit}."
    ),
}

#: What each state means, for whoever meets the word for the first time.
IMAGE_MEANINGS: Mapping[str, str] = {
    S.WANTED: "A machine needs this image; its copying starts in a moment.",
    S.COPYING: "The image is being copied into the cloud and checked against its checksums.",
    S.READY: "The cloud keeps a checked copy of this image; machines start from it at once.",
    S.FAILED: "The image could not be copied. The next launch tries again.",
}


class EntryStatus(TextChoices):
    """Whether an entry may be used now. Source: StratusLab Marketplace, ``query``."""

    VALID = "valid"
    EXPIRED = "expired"
    DEPRECATED = "deprecated"
    UNDATED = "undated"  # states no end of validity: reached by its address, never listed


class Kind(TextChoices):
    MACHINE = "machine"
    DISK = "disk"


class Compression(TextChoices):
    """How the file at the location is packed; checksums are of what is inside."""

    NONE = "", "none"
    GZIP = "gz", "gzip"
    BZIP2 = "bz2", "bzip2"


class Visibility(TextChoices):
    PUBLIC = "public"
    PRIVATE = "private"

"""Where files land that are on their way to be images: under names of ours.

::

    PORTAL_IMAGE_ARRIVALS/<uuid of the row>/file        as it comes in; only ever appended to
                                           /disk.raw    what was packed in it
                                           /disk.qcow2  made of a disk of another format
"""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

from django.conf import settings

from cloud.diskfiles import appending
from registration.models import GIB

#: Left free on the landing place: databases and logs live there as well.
FLOOR_BYTES = GIB


def folder(key: UUID) -> Path:
    return Path(settings.PORTAL_IMAGE_ARRIVALS, str(key))


def received(key: UUID) -> Path:
    """The file as it comes in. Its size says how much of it is there."""
    return folder(key) / "file"


def unpacked(key: UUID) -> Path:
    return folder(key) / "disk.raw"


def converted(key: UUID) -> Path:
    return folder(key) / "disk.qcow2"


def make(key: UUID) -> Path:
    """Make the row's folder if it is not there; the path of its file."""
    folder(key).mkdir(mode=0o700, parents=True, exist_ok=True)
    return received(key)


def room_bytes() -> int:
    """How much may still land."""
    return appending.room_bytes(Path(settings.PORTAL_IMAGE_ARRIVALS), floor_bytes=FLOOR_BYTES)


def remove(key: UUID) -> None:
    """Remove what has landed. Quiet if nothing has."""
    shutil.rmtree(folder(key), ignore_errors=True)


def landed() -> Iterator[UUID]:
    """Every folder of the landing place that is named as ours are."""
    place = Path(settings.PORTAL_IMAGE_ARRIVALS)
    for name in sorted(os.listdir(place)) if place.is_dir() else ():
        try:
            yield UUID(name)
        except ValueError:
            continue  # not ours to touch

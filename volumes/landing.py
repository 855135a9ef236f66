"""Where files land that become disks: under names of ours, one folder for each disk.

::

    PORTAL_ARRIVALS/<uuid of the disk>/file       as it comes in; only ever appended to
                                      /disk.raw   what was packed in it
"""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

from django.conf import settings
from django.db.models import F, Sum

from cloud.diskfiles import appending
from registration.models import GIB
from volumes.models import Arrival, Volume
from volumes.states import VolumeState

#: Left free on the landing place: databases and logs live there as well.
FLOOR_BYTES = GIB


def folder(volume: Volume) -> Path:
    return Path(settings.PORTAL_ARRIVALS, str(volume.uuid))


def received(volume: Volume) -> Path:
    """The file as it comes in. Its size says how much of it is there."""
    return folder(volume) / "file"


def unpacked(volume: Volume) -> Path:
    return folder(volume) / "disk.raw"


def received_bytes(volume: Volume) -> int:
    return appending.size_bytes(received(volume))


def make(volume: Volume) -> Path:
    """Make the disk's folder if it is not there; the path of its file."""
    folder(volume).mkdir(mode=0o700, parents=True, exist_ok=True)
    return received(volume)


def room_bytes() -> int:
    """How much may still land."""
    return appending.room_bytes(Path(settings.PORTAL_ARRIVALS), floor_bytes=FLOOR_BYTES)


def unpromised_bytes(*, but: Volume | None = None) -> int:
    """How much may still land beside all that is announced and on its way, ``but`` this one."""
    coming = Arrival.objects.filter(
        volume__state__in=(VolumeState.UPLOADING, VolumeState.FETCHING),
        length__gt=F("volume__bytes_done"),
    )
    if but is not None:
        coming = coming.exclude(volume=but)
    promised = coming.aggregate(n=Sum(F("length") - F("volume__bytes_done")))["n"]
    return max(0, room_bytes() - int(promised or 0))


def remove(volume: Volume) -> None:
    """Remove what has landed of a disk. Quiet if nothing has."""
    shutil.rmtree(folder(volume), ignore_errors=True)


def landed() -> Iterator[tuple[UUID, Path]]:
    """Every folder of the landing place that is named as ours are."""
    place = Path(settings.PORTAL_ARRIVALS)
    for name in sorted(os.listdir(place)) if place.is_dir() else ():
        try:
            yield UUID(name), place / name
        except ValueError:
            continue  # not ours to touch

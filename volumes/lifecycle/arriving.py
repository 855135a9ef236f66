"""CHECKING, UNPACKING, CONVERTING, CLEARING: from a landed file to a disk.

No step waits, none writes its row but through ``keep``, and each may run twice. What breaks
a rule goes to CLEARING with a sentence that names it; nothing is kept of it but the record.
"""

import functools
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from django.db import Error as DatabaseTrouble

from cloud.diskfiles import appending, convert, headers, packing, unpacking
from cloud.diskfiles.headers import Packing
from cloud.diskfiles.identifiers import identifier_of
from cloud.diskfiles.refusal import FileRefused
from cloud.driver import CloudDriver
from cloud.errors import CloudBusy, CloudError
from cloud.types import DiskFormat, VolumeSource
from core.errors import Refused
from core.logs import request_id
from core.machine import Go, StaleState, Step, progress
from core.room import waiting_for_room
from registration.models import GIB
from volumes import landing
from volumes.lifecycle.reserving import STEP_BYTES, reserve
from volumes.models import LARGEST_GIB, Arrival, DiskType, Volume
from volumes.states import VolumeState

logger = logging.getLogger(__name__)

LARGEST_BYTES = LARGEST_GIB * GIB
#: Ends of a step that say nothing of the file: the next look may fare better.
_PASSING = (CloudError, StaleState, OSError, DatabaseTrouble)

ArrivalStep = Callable[[Volume, Arrival, CloudDriver], Go | None]


class _Guard:
    """A bug ends the arrival, with a reference to the log, rather than be met again and again."""

    def __init__(self, volume: Volume) -> None:
        self._volume = volume

    def __enter__(self) -> None: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        if isinstance(error, Exception) and not isinstance(error, _PASSING):
            logger.error("arrival.crashed", exc_info=error, extra={"subject": self._volume.token})
            self._volume.move(
                VolumeState.CLEARING,
                reason=f"Something went wrong inside the portal. Reference: {request_id.get()}.",
            )


def _of_arrival(step: ArrivalStep) -> Step[Volume]:
    @functools.wraps(step)
    def guarded(volume: Volume, cloud: CloudDriver) -> Go | None:
        with _Guard(volume):
            try:
                return step(volume, Arrival.objects.get(volume=volume), cloud)
            except (Refused, FileRefused) as refusal:
                return Go(VolumeState.CLEARING, str(refusal))

    return guarded


@_of_arrival
def check(volume: Volume, arrival: Arrival, cloud: CloudDriver) -> Go:
    """CHECKING: what it is and how large, from its head, before anything is made of it."""
    path = _must_be_there(landing.received(volume))
    _must_be_written(path)
    with path.open("rb") as file:
        head = file.read(headers.HEAD_BYTES)
    packed = headers.packing_of(head, declared=_declared(arrival), name=arrival.file_name)
    fields: dict[str, Any] = {"bytes_done": 0, "bytes_total": path.stat().st_size}
    if packed:
        reserve(volume, max(volume.size_bytes, _claimed(path, packed, arrival)))
    else:
        fields |= _accept(volume, arrival, path)
    arrival.packing = packed.value
    return Go(VolumeState.UNPACKING, fields=fields, alongside=_keeping(arrival))


def _claimed(path: Path, packed: Packing, arrival: Arrival) -> int:
    """What a packed file says of itself at its beginning and at its end: a first judgement.

    Raises:
        FileRefused: it is an archive, says to be too large, or is not what was announced.
    """
    says = packing.says_bytes(path, packed)
    _must_be_possible(says)
    if arrival.expected_bytes and says and arrival.expected_bytes < says:
        _must_not_exceed(says, arrival, path.stat().st_size)
    head = packing.beginning(path, packed, headers.HEAD_BYTES)
    if _declared(arrival) is DiskFormat.RAW:
        return headers.padded(says)
    if headers.packing_of(head):
        raise FileRefused("packed_twice", "The file is packed twice. Unpack it once.")
    headers.must_not_be_strange(head)
    claimed = headers.claimed_bytes(head)
    _must_be_possible(claimed)
    return headers.padded(max(says, claimed))


def _declared(arrival: Arrival) -> DiskFormat | None:
    """What its sender says that it is, or what an inspection found."""
    return DiskFormat(arrival.format) if arrival.format else None


def _must_be_possible(size_bytes: int) -> None:
    if size_bytes > LARGEST_BYTES:
        raise FileRefused(
            "too_large",
            f"The disk in the file says to have {size_bytes} bytes; a disk has at most "
            f"{LARGEST_BYTES} ({LARGEST_GIB} GiB).",
        )


def _must_not_exceed(size_bytes: int, arrival: Arrival, file_bytes: int) -> None:
    """More comes out than was announced. Raises: FileRefused: ``size_differs``."""
    wanted = arrival.expected_bytes
    if wanted is not None and size_bytes > wanted != file_bytes:
        raise FileRefused(
            "size_differs",
            f"The file should have {wanted} bytes, and there are {size_bytes} or more in it.",
        )


def _accept(volume: Volume, arrival: Arrival, path: Path) -> dict[str, Any]:
    """Inspect what is not packed any more, count it, and note what it is; what changes.

    Raises:
        FileRefused; Refused.
    """
    found = headers.inspect(
        path,
        declared=_declared(arrival),
        name=arrival.file_name,
        largest_bytes=LARGEST_BYTES,
    )
    convert.check(path, found.format, on_tick=_alive(volume))
    reserve(volume, found.size_bytes)
    arrival.format = found.format.value
    arrival.label = found.label
    # An image of a CD is read, whatever it was to be.
    return {"type": DiskType.DATA_IMAGE_RAW_READONLY} if found.is_iso else {}


def _alive(volume: Volume) -> Callable[[], None]:
    """Renews the lease while a child is busy that says nothing."""
    tell = progress(volume)
    return lambda: tell(volume.bytes_done, volume.bytes_total)


def _keeping(arrival: Arrival) -> Callable[[], None]:
    return lambda: arrival.save(update_fields=["packing", "format", "label"])


@_of_arrival
def unpack(volume: Volume, arrival: Arrival, cloud: CloudDriver) -> Go:
    """UNPACKING: read it once, from its beginning even if it was begun before."""
    path, packed = _must_be_there(landing.received(volume)), Packing(arrival.packing)
    expects_sum = bool(arrival.expected_sha1 or arrival.expected_sha256)
    content = unpacking.read(
        path,
        packed,
        landing.unpacked(volume),
        sums_file=expects_sum,
        meter=_metered(volume, arrival, path) if packed else _unmetered,
        on_progress=progress(volume),
    )
    content.must_be(arrival)
    changed = _accept(volume, arrival, landing.unpacked(volume)) if packed else {}
    return Go(
        VolumeState.CONVERTING,
        fields={
            **content.sums,
            **changed,
            "identifier": identifier_of(content.sums["sha1"]),
            "content_bytes": content.size_bytes,
            "bytes_done": 0,
            "bytes_total": volume.size_bytes,
        },
        alongside=_keeping(arrival),
    )


def _metered(volume: Volume, arrival: Arrival, path: Path) -> unpacking.Meter:
    """Judges what has come out so far: its owner's quota grows with it, and ends it."""
    file_bytes = path.stat().st_size

    def meter(done: int) -> None:
        if landing.room_bytes() == 0:
            raise unpacking.no_room()
        _must_not_exceed(done, arrival, file_bytes)
        if done <= volume.size_bytes:
            return
        _must_be_possible(done)
        reserve(volume, headers.padded(done), spare_bytes=STEP_BYTES)

    return meter


def _unmetered(done: int) -> None:
    """What is not packed was counted before."""


def _must_be_written(path: Path) -> None:
    """Who begins to write after this finds the disk in another state, and writes nothing.

    Raises: CloudBusy: somebody writes still.
    """
    try:
        appending.must_be_free(path)
    except appending.Busy as error:
        raise CloudBusy("Another worker brings the last of it.") from error


def _must_be_there(path: Path) -> Path:
    if not path.is_file():
        raise FileRefused("not_there", "The file that came in is gone. Send it again.")
    return path


@_of_arrival
def bring_in(volume: Volume, arrival: Arrival, cloud: CloudDriver) -> Go:
    """CONVERTING: find the volume that we may have already, or have it made of the file."""
    info = cloud.find_volume(volume.token)
    if info is None:
        path = landing.unpacked(volume) if arrival.packing else landing.received(volume)
        source = VolumeSource(
            path=_must_be_there(path),
            format=DiskFormat(arrival.format),
            size_bytes=volume.size_bytes,
        )
        info = cloud.import_volume(source, token=volume.token, on_progress=progress(volume))
    landing.remove(volume)
    return Go(
        VolumeState.AVAILABLE,
        fields={
            "cloud_ref": info.ref,
            "used_bytes": info.used_bytes,
            "bytes_done": volume.size_bytes,
            "bytes_total": volume.size_bytes,
        },
    )


def clear(volume: Volume, cloud: CloudDriver) -> Go | None:
    """CLEARING: remove what landed and what the engine made of it; the reason stays."""
    landing.remove(volume)
    info = cloud.find_volume(volume.token)
    if info is not None:
        cloud.delete_volume(info.ref)
        if cloud.find_volume(volume.token) is not None:
            return None
    return Go(VolumeState.FAILED, volume.reason, fields={"cloud_ref": "", "used_bytes": None})


#: Those of a disk whose file is still here, or on its way.
_LANDING = frozenset(
    {
        VolumeState.UPLOADING,
        VolumeState.FETCHING,
        VolumeState.CHECKING,
        VolumeState.UNPACKING,
        VolumeState.CONVERTING,
        VolumeState.CLEARING,
    }
)


def stray_arrivals() -> None:
    """Remove what lies on the landing place for no disk that is on its way."""
    there = dict(landing.landed())
    awaited = set(
        Volume.objects.filter(uuid__in=there, state__in=_LANDING).values_list("uuid", flat=True)
    )
    for uuid in there.keys() - awaited:
        landing.remove(Volume(uuid=uuid))


STEPS: Mapping[str, Step[Volume]] = {
    VolumeState.CHECKING: check,
    VolumeState.UNPACKING: unpack,
    VolumeState.CONVERTING: waiting_for_room(bring_in),
    VolumeState.CLEARING: clear,
}

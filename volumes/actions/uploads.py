"""Bring a file from somebody's computer: begin, tell how far it is, and say that it is there."""

import re
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import PurePath
from uuid import UUID, uuid4

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from core.errors import Refused
from core.machine import hurry
from core.sizes import in_words
from registration import names
from registration.models import GIB, User
from volumes import landing, tasks
from volumes.actions.beginning import (
    Beginning,
    begin,
    must_be_choices,
    must_be_digests,
    padded,
)
from volumes.actions.making import disk_tag
from volumes.models import (
    LARGEST_GIB,
    LONGEST_TAG,
    Arrival,
    DiskType,
    Origin,
    Visibility,
    Volume,
)
from volumes.states import VolumeState

#: Begun and not complete, of one person: further ones would only lie about.
MOST_UNFINISHED = 100
LONGEST_FILE_NAME = 255
_ENDINGS = re.compile(
    r"(\.(img|raw|iso|qcow2?|vdi|vmdk|vhdx?|gz|gzip|bz2|xz|zst|zstd))+$", re.IGNORECASE
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Parcel:
    """What a person says of the file that they send. ``length`` is its size in bytes.

    ``size_bytes`` is how large the disk in it will be, if they know; ``format`` forces one
    ("raw": whatever it looks like), "" lets the portal look.
    """

    length: int
    file_name: str = ""
    tag: str | None = None  # None: from the file's name
    visibility: str = Visibility.PRIVATE
    type: str = DiskType.DATA_IMAGE_RAW_READ_WRITE
    format: str = ""
    sha1: str = ""
    sha256: str = ""
    size_bytes: int | None = None
    create_key: UUID = field(default_factory=uuid4)


def begin_upload(*, owner: User, parcel: Parcel, cloud: str = settings.DEFAULT_CLOUD) -> Volume:
    """A disk whose file is to come. The same ``create_key`` twice is one disk.

    Raises:
        Refused: ``upload_length``, ``upload_too_large``, ``disk_tag``, ``upload_choice``,
            ``upload_digest``, ``no_room``, ``not_active``, ``quota_disk``, ``too_many_uploads``,
            ``public_image``.
    """
    _must_be_possible(parcel)
    file_name = parcel.file_name[:LONGEST_FILE_NAME]
    beginning = Beginning(
        create_key=parcel.create_key,
        state=VolumeState.UPLOADING,
        origin=Origin.UPLOADED,
        verb="upload",
        size_bytes=padded(max(parcel.length, parcel.size_bytes or 0)),
        values={
            "tag": _tag(parcel),
            "bytes_total": parcel.length,
            "visibility": parcel.visibility,
            "type": parcel.type,
        },
        told={"file": file_name, "bytes": parcel.length},
        cloud=cloud,
    )
    return begin(owner, beginning, also=lambda v: _expect(v, parcel), check=_must_not_be_too_many)


def _expect(volume: Volume, parcel: Parcel) -> None:
    Arrival.objects.create(
        volume=volume,
        file_name=names.one_line(parcel.file_name)[:LONGEST_FILE_NAME],
        length=parcel.length,
        expected_sha1=parcel.sha1.lower(),
        expected_sha256=parcel.sha256.lower(),
        format=parcel.format,
        expires_at=_expiry(timezone.now()),
    )


def _expiry(now: datetime) -> datetime:
    return now + timedelta(hours=settings.PORTAL_UPLOAD_HOURS)


def largest_upload() -> int:
    """Of one file, in bytes."""
    return int(settings.PORTAL_ARRIVAL_GIB) * GIB


def _must_be_possible(parcel: Parcel) -> None:
    if parcel.length < 1:
        raise Refused("upload_length", "The file is empty: there is no disk in it.")
    if parcel.length > (most := largest_upload()):
        raise Refused(
            "upload_too_large",
            f"A file may have {in_words(most)} at most; this has {in_words(parcel.length)}.",
        )
    if max(parcel.length, parcel.size_bytes or 0) > LARGEST_GIB * GIB:
        sentence = f"A disk may have {LARGEST_GIB} GiB at most; this would have more."
        raise Refused("upload_too_large", sentence)
    must_be_choices(parcel)
    must_be_digests(parcel)
    must_have_room(parcel.length)


def must_have_room(more_bytes: int, *, beside: Volume | None = None) -> None:
    """``beside`` has been promised its room already.

    Raises:
        Refused: ``no_room``, the site's own disk would be full.
    """
    if more_bytes > (room := landing.unpromised_bytes(but=beside)):
        raise Refused(
            "no_room",
            f"The site's disk has room for {in_words(room)} beside what is on its way, and "
            f"{in_words(more_bytes)} are to come. Try again later, or ask an administrator.",
        )


def _must_not_be_too_many(owner: User) -> None:
    if unfinished(owner).count() >= MOST_UNFINISHED:
        raise Refused(
            "too_many_uploads",
            f"You have {MOST_UNFINISHED} uploads that are not complete. Finish some, or cancel "
            "them.",
        )


def _tag(parcel: Parcel) -> str:
    if parcel.tag is None:
        return tag_from(parcel.file_name)
    return disk_tag(parcel.tag)


def tag_from(file_name: str) -> str:
    """What a disk is called unless somebody says otherwise: debian-12 for debian-12.img.xz."""
    name = names.one_line(PurePath(file_name).name)
    return (_ENDINGS.sub("", name) or name)[:LONGEST_TAG].strip()


def unfinished(owner: User) -> "QuerySet[Volume]":
    """Uploads of ``owner`` whose file is not complete."""
    return Volume.objects.filter(owner=owner, origin=Origin.UPLOADED, state=VolumeState.UPLOADING)


def note_bytes(pk: int, offset: int) -> bool:
    """Write down how far an upload is, and that it is alive; False: nobody wants it any more."""
    rows = Volume.objects.filter(pk=pk, state=VolumeState.UPLOADING)
    now = timezone.now()
    with transaction.atomic():
        if not rows.update(bytes_done=offset):
            return False
        Arrival.objects.filter(volume=pk).update(last_at=now, expires_at=_expiry(now))
        Volume.objects.get(pk=pk).announce()
    return True


def note_complete(pk: int) -> None:
    """The last byte is there: have a worker look at it now."""
    volume = Volume.objects.get(pk=pk)
    hurry(volume)
    tasks.ring_row(volume)

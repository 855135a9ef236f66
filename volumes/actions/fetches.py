"""Bring a file from an address: the portal fetches it, a worker makes the disk of it."""

from dataclasses import dataclass, field
from pathlib import PurePosixPath
from urllib.parse import unquote, urlsplit, urlunsplit
from uuid import UUID, uuid4

from django.conf import settings

from core import fetch as fetcher
from core.errors import Refused
from registration.models import GIB, User
from volumes.actions.beginning import (
    Beginning,
    begin,
    must_be_choices,
    must_be_digests,
    padded,
)
from volumes.actions.making import disk_tag
from volumes.actions.uploads import must_have_room, tag_from
from volumes.models import LARGEST_GIB, Arrival, DiskType, Origin, Visibility, Volume
from volumes.states import VolumeState

LONGEST_URL = 2000
#: On their way at the same time, of one person: the site has one line to the outside.
MOST_FETCHES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a person says of the file to fetch; checksums and size are of what is packed in it."""

    url: str
    tag: str = ""  # "": from the file's name
    visibility: str = Visibility.PRIVATE
    type: str = DiskType.DATA_IMAGE_RAW_READ_WRITE
    format: str = ""  # "": the portal looks
    expected_bytes: int | None = None
    sha1: str = ""
    sha256: str = ""
    create_key: UUID = field(default_factory=uuid4)


def fetch(*, owner: User, wanted: Wanted) -> Volume:
    """A disk whose file is fetched. The same ``create_key`` twice is one disk.

    Raises:
        Refused: ``url``, ``disk_tag``, ``upload_choice``, ``upload_digest``, ``fetch_size``,
            ``no_room``, ``not_active``, ``quota_disk``, ``too_many_fetches``, ``public_image``.
    """
    must_be_fetchable(wanted.url)
    must_be_choices(wanted)
    must_be_digests(wanted)
    size = wanted.expected_bytes or 0
    if size > LARGEST_GIB * GIB:
        sentence = f"A disk may have {LARGEST_GIB} GiB at most; this would have more."
        raise Refused("fetch_size", sentence, field="expected_bytes")
    must_have_room(1)  # its length is not known yet
    name = file_name_of(wanted.url)
    beginning = Beginning(
        create_key=wanted.create_key,
        state=VolumeState.FETCHING,
        origin=Origin.FETCHED,
        verb="fetch",
        size_bytes=padded(size),
        size_field="expected_bytes",
        values={
            "tag": disk_tag(wanted.tag) or tag_from(name),
            "visibility": wanted.visibility,
            "type": wanted.type,
        },
        told={"url": without_query(wanted.url)},
    )
    return begin(owner, beginning, also=lambda v: _expect(v, wanted, name), check=_must_not_be_many)


def _expect(volume: Volume, wanted: Wanted, name: str) -> None:
    Arrival.objects.create(
        volume=volume,
        url=wanted.url,
        file_name=name,
        format=wanted.format,
        expected_bytes=wanted.expected_bytes,
        expected_sha1=wanted.sha1.lower(),
        expected_sha256=wanted.sha256.lower(),
    )


def must_be_fetchable(url: str) -> str:
    """The address, as far as it can be told by looking at it. Raises: Refused: ``url``."""
    if len(url) > LONGEST_URL:
        raise Refused("url", f"An address has at most {LONGEST_URL} characters.", field="url")
    try:
        fetcher.check(url, settings.PORTAL_FETCH_PORTS)
    except fetcher.Unfetchable as error:
        raise Refused("url", str(error), field="url") from error
    return url


def without_query(url: str) -> str:
    """An address to be shown: what follows its ?, or stands before its @, opens the file."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def file_name_of(url: str) -> str:
    """What the file at an address is called: ``debian.img.gz``; "" if nothing says so."""
    return PurePosixPath(unquote(urlsplit(url).path)).name[:255]


def _must_not_be_many(owner: User) -> None:
    busy = Volume.objects.filter(owner=owner, state=VolumeState.FETCHING).count()
    if busy >= MOST_FETCHES:
        raise Refused(
            "too_many_fetches",
            f"{busy} files are being fetched for you, and {MOST_FETCHES} are the most at a time. "
            "Wait for one, or cancel one.",
        )

"""FETCHING: bring the file from a location, summing it while it comes.

A fetch that breaks goes on where it ended, as long as the server still has the same version.
Nothing is written but the row's own file on the landing place.
"""

from collections.abc import Mapping
from datetime import timedelta
from time import monotonic
from uuid import UUID

from django.conf import settings
from django.utils import timezone

from cloud.diskfiles import headers
from cloud.diskfiles.appending import Busy, Writer, make_durable
from cloud.diskfiles.digests import Digests
from cloud.driver import CloudDriver
from cloud.errors import CloudError
from cloud.types import DiskFormat
from core import fetch
from core.clouds import clouds
from core.machine import Go, Step, progress
from marketplace import arrivals, lanes, pdisk
from marketplace.lifecycle import checks
from marketplace.lifecycle.images import locating, proving
from marketplace.models import ImageFile
from marketplace.states import IN_LINE, ImageState
from registration.models import GIB
from volumes.models import Volume
from volumes.states import USABLE

#: What comes is written and summed in portions of this.
PORTION = 1 << 20
#: What is packed may be larger than what is in it, by next to nothing.
_PACKED_MORE = 1 << 20
_LONGEST_PAUSE = timedelta(seconds=60)
#: How often a fetch asks whether it is still wanted.
_LOOKS_EVERY_S = 1.0
#: So long a fetch has its lane while others wait for one; those come first then.
_TURN_S = 600.0
_OTHERS_FIRST = timedelta(seconds=10)
_NO_ROOM = "The site's disk has no room for the image now. Ask an administrator."


def bring(image: ImageFile, cloud: CloudDriver) -> Go | None:
    scheme, _, rest = image.location.partition(":")
    match scheme.lower():
        case "http" | "https":
            return _fetched(image)
        case "pdisk":
            return _exported(image, rest)
        case "ftp":
            return locating.next_or_over(image, "The portal does not fetch by FTP.")
    return locating.next_or_over(image, "This is not an address that the portal fetches from.")


# From a web server ----------------------------------------------------------------------


def _fetched(image: ImageFile) -> Go | None:
    try:
        writer = Writer(arrivals.make(image.uuid))
    except Busy:  # a worker that was taken for dead is at it still
        return None
    try:
        image.keep()  # whoever lost the lease on the way to the lock touches nothing
        with _Landing(image, writer) as landing:
            return landing.bring()
    finally:
        writer.close()


class _GaveWay(fetch.Unfetchable):
    """Its turn is over; others wait."""


class _Landing:
    """One try to have a file come in."""

    def __init__(self, image: ImageFile, writer: Writer) -> None:
        self._image = image
        self._writer = writer
        self._held: list[bytes] = []
        self._held_bytes = 0
        self._tell = progress(image)
        self._length: int | None = None
        self._is_whole = False  # all of it came by this try, from its beginning
        self._is_packed = bool(image.entry.compression)
        self._began = self._looked = monotonic()
        self._most_bytes = settings.PORTAL_IMAGE_GIB * GIB
        # Of what may be packed too: endorsers forget to say so, and then sums of either will do.
        self._digests = Digests(locating.summed(image.entry))

    def __enter__(self) -> "_Landing":
        self._digests.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._digests.__exit__()

    def bring(self) -> Go | None:
        image, writer = self._image, self._writer
        began, had = timezone.now(), writer.offset
        if not image.validator:
            writer.begin_at(0)  # of another location, or of nobody knows which version
        if not writer.offset or writer.offset != image.bytes_total:
            try:
                self._fetch()
            except _GaveWay:
                self._give_way()
                return None
            except fetch.Unfetchable as error:
                error = self._keep_what_came() or error
                spent_s = (timezone.now() - began).total_seconds()
                has_come = writer.offset - had > fetch.SLOWEST_BYTES_S * spent_s
                return self._not_fetched(error, has_come=has_come)
        make_durable(arrivals.received(image.uuid))
        checks.note(image.location, size_bytes=writer.offset)
        sums = self._digests.found() if self._is_whole else {}
        there = writer.offset
        fields = {"came_sums": sums, "bytes_done": there, "bytes_total": there}
        return Go(ImageState.CHECKING, fields=fields)

    def _fetch(self) -> None:
        image = self._image
        fetch.fetch(
            image.location,
            self._take,
            offset=self._writer.offset,
            validator=image.validator,
            most_bytes=self._most_bytes,
            allowed=fetch.networks(settings.PORTAL_FETCH_NETWORKS),
            ports=settings.PORTAL_FETCH_PORTS,
            on_head=self._begin,
        )
        self._write()

    def _keep_what_came(self) -> fetch.Unfetchable | None:
        """Before the connection broke; what speaks against it weighs more than that."""
        try:
            self._write()
        except fetch.Unfetchable as worse:
            return worse
        return None

    def _begin(self, head: fetch.Head) -> None:
        self._length = head.length
        self._is_whole = head.offset == 0
        if head.length is not None:
            self._must_have_room(head.length - self._writer.offset)
        self._writer.begin_at(head.offset)
        self._image.keep(
            reason="",
            validator=head.validator,
            bytes_done=head.offset,
            bytes_total=head.length or 0,
        )

    def _must_have_room(self, more_bytes: int) -> None:
        unpacked = self._image.entry.size_bytes or 0 if self._is_packed else 0
        if more_bytes + unpacked > arrivals.room_bytes():
            raise fetch.Unfetchable(_NO_ROOM, is_passing=True)

    def _take(self, offset: int, piece: bytes) -> None:
        self._must_go_on()
        self._held.append(piece)
        self._held_bytes += len(piece)
        if self._held_bytes >= PORTION:
            self._write()

    def _must_go_on(self) -> None:
        """A portion of a slow server takes minutes: whoever ended the fetch waits for none of it.

        Raises: StaleState. _GaveWay.
        """
        now = monotonic()
        if now - self._looked < _LOOKS_EVERY_S:
            return
        self._looked = now
        self._image.keep()
        is_resumable = bool(self._image.validator)
        if is_resumable and now - self._began > _TURN_S and lanes.IMAGES.is_wanted(self._image):
            raise _GaveWay("Others wait.", is_passing=True)

    def _give_way(self) -> None:
        """It goes on from where it is, after those that wait."""
        self._keep_what_came()
        why = f"{IN_LINE}: it goes on once others have had theirs."
        self._image.keep(reason=why, next_tick_at=timezone.now() + _OTHERS_FIRST)

    def _write(self) -> None:
        """Write and sum what has come since the last time."""
        if not self._held:
            return
        pieces, self._held, self._held_bytes = self._held, [], 0
        portion = b"".join(pieces)
        if not self._writer.offset:
            self._look(portion)
        done = self._writer.offset + len(portion)
        self._must_be_expected(done)
        _must_be_in_time(self._image)
        if arrivals.room_bytes() == 0:
            raise fetch.Unfetchable(_NO_ROOM, is_passing=True)
        if self._is_whole:
            self._digests.update(portion)
        self._writer.write([portion])
        self._tell(done, self._length or 0)

    def _look(self, portion: bytes) -> None:
        """At the first bytes: whether the size that the entry states is that of this file."""
        self._is_packed = bool(headers.packing_of(portion[: headers.HEAD_BYTES]))
        wanted = self._image.entry.size_bytes
        if wanted and self._length is not None and not self._is_packed and wanted != self._length:
            raise fetch.Unfetchable(_other_size(wanted, str(self._length)))

    def _must_be_expected(self, done: int) -> None:
        """Nothing is written beyond what it can be."""
        wanted = self._image.entry.size_bytes
        if not wanted:
            return
        spare = wanted // 100 + _PACKED_MORE if self._is_packed else 0
        if done > wanted + spare:
            raise fetch.Unfetchable(_other_size(wanted, f"more than {wanted + spare}"))

    def _not_fetched(self, error: fetch.Unfetchable, *, has_come: bool) -> Go | None:
        """Give up on what can't be had here; of what is not to be had now, try again."""
        image, now = self._image, timezone.now()
        since = image.failing_since if image.failing_since and not has_come else now
        if not error.is_passing or now - since > locating.patience(image):
            self._note_look(error)
            return locating.next_or_over(image, str(error))
        pause = min(max((now - since) / 4, timedelta(seconds=1)), _LONGEST_PAUSE)
        image.keep(
            reason=f"{error} The portal tries again.", failing_since=since, next_tick_at=now + pause
        )
        return None

    def _note_look(self, error: fetch.Unfetchable) -> None:
        """Whoever reads an entry of this location learns what became of it."""
        if self._length is not None:
            checks.note(self._image.location, size_bytes=self._length)
        elif str(error) != _NO_ROOM:
            checks.note(self._image.location, fault=str(error))


def _other_size(expected: int, got: str) -> str:
    return f"expected {expected} bytes, got {got}."


def _must_be_in_time(image: ImageFile) -> None:
    """The table's deadline is looked at between steps, and this one step may last for days."""
    limit = image.DEADLINES[ImageState.FETCHING].after
    if timezone.now() - image.state_since > limit:
        hours = int(limit.total_seconds() // 3600)
        raise fetch.Unfetchable(f"It could not be fetched within {hours} hours.")


# From a disk of this site ----------------------------------------------------------------


def _exported(image: ImageFile, where: str) -> Go | None:
    """``where``: "<site>:<uuid>". Publishing an entry lets its readers have these bytes."""
    name, _, key = where.rpartition(":")
    if name.lower() != pdisk.site().lower():
        return locating.next_or_over(
            image, f"This is a disk of another site ({name[:80]}), which lends it to nobody here."
        )
    volume = _readable(image, key)
    if volume is None:
        return locating.next_or_over(
            image, "There is no such disk on this site, or the entry's owner may not read it."
        )
    is_qcow2 = image.entry.format == DiskFormat.QCOW2
    wanted = image.entry.size_bytes
    if not is_qcow2 and wanted not in (None, volume.size_bytes):
        return locating.next_or_over(image, _other_size(wanted or 0, str(volume.size_bytes)))
    path = arrivals.make(image.uuid)
    path.unlink(missing_ok=True)
    try:
        clouds[volume.cloud].export_volume(
            volume.cloud_ref,
            path,
            DiskFormat.QCOW2 if is_qcow2 else DiskFormat.RAW,
            on_progress=progress(image),
        )
    except CloudError as error:
        return _not_exported(image, error)
    there = path.stat().st_size
    fields = {"came_sums": {}, "bytes_done": there, "bytes_total": there}
    return Go(ImageState.CHECKING, fields=fields)


def _readable(image: ImageFile, key: str) -> Volume | None:
    """The disk, if the entry's owner may read it."""
    try:
        uuid = UUID(key)
    except ValueError:
        return None
    there = Volume.objects.filter(state__in=USABLE, cloud__in=list(settings.CLOUDS))
    volume = there.filter(uuid=uuid).first()
    if volume is None or not proving.may_read(image.entry, volume):
        return None
    return volume


def _not_exported(image: ImageFile, error: CloudError) -> Go | None:
    now = timezone.now()
    since = image.failing_since or now
    if not error.retryable or now - since > locating.patience(image):
        return locating.next_or_over(image, str(error))
    image.keep(reason=f"{error} The portal tries again.", failing_since=since)
    return None


STEPS: Mapping[str, Step[ImageFile]] = {ImageState.FETCHING: bring}

"""What the machine of a build has printed since the last look, kept beyond the machine's end."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

from cloud.driver import CloudDriver
from cloud.errors import NotFound, Unsupported
from vms.models import Build, BuildPiece

#: More than an engine keeps: then it is all of its log, and where we were is a number.
WHOLE_LOG_BYTES = 8 << 20
#: By so many last bytes our place is found again in a log that was cut.
ANCHOR_BYTES = 2048
#: Of the log of one build; what was first goes first.
KEPT_BYTES = 1 << 20
PIECE_BYTES = 16 << 10
MISSING = b"\r\n[ a part of the log is missing here ]\r\n"


@dataclass(frozen=True, slots=True)
class Heard:
    """New bytes of a log, the end of what was kept before, and how much of it is read now."""

    new: bytes
    end: bytes
    read_bytes: int


def listen(build: Build, cloud: CloudDriver) -> Heard:
    """What its machine has printed since the last look; writes nothing."""
    last = build.pieces.order_by("-start").values_list("data", flat=True)[:2]
    end = b"".join(bytes(piece) for piece in reversed(last))
    log = _console_log(build, cloud)
    return Heard(_news(log, build.log_read_bytes, end), end, len(log))


def kept_log(build: Build) -> bytes:
    """All that is kept of it: ``KEPT_BYTES``, and a little more."""
    return b"".join(bytes(piece) for piece in build.pieces.values_list("data", flat=True))


def _console_log(build: Build, cloud: CloudDriver) -> bytes:
    if build.vm.cloud_ref:
        with suppress(NotFound, Unsupported):
            return cloud.console_log(build.vm.cloud_ref, max_bytes=WHOLE_LOG_BYTES)
    return b""


def _news(log: bytes, place: int, end: bytes) -> bytes:
    """What follows on what we have. Engines cut the beginnings of long logs."""
    anchor = end[-ANCHOR_BYTES:]
    if len(log) >= place and log[:place].endswith(anchor):
        return log[place:]
    at = log.rfind(anchor)
    if at >= 0:
        return log[at + len(anchor) :]
    return MISSING + log if log else b""


def keep_log(build: Build, heard: Heard) -> None:
    """Append what is new, and let go of the oldest; in the transaction of who calls."""
    if not heard.new:
        return
    last = build.pieces.last()
    end = last.start + len(last.data) if last else 0
    if last and len(last.data) + len(heard.new) <= PIECE_BYTES:
        last.data = bytes(last.data) + heard.new
        last.save(update_fields=["data"])
    else:
        new = heard.new[-KEPT_BYTES:]
        start = end + len(heard.new) - len(new)
        BuildPiece.objects.bulk_create(
            BuildPiece(build=build, start=start + at, data=piece) for at, piece in _cut(new)
        )
    oldest = end + len(heard.new) - KEPT_BYTES
    if oldest > 0:
        build.pieces.filter(start__lt=oldest - PIECE_BYTES).delete()


def _cut(data: bytes) -> Iterator[tuple[int, bytes]]:
    for at in range(0, len(data), PIECE_BYTES):
        yield at, data[at : at + PIECE_BYTES]

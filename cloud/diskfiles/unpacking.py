"""The one pass over a file: unpack what is packed, sum what comes out, and count it."""

import errno
import os
import secrets
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO, Protocol

from cloud.diskfiles import packing
from cloud.diskfiles.digests import LENGTHS, Digests
from cloud.diskfiles.headers import Packing
from cloud.diskfiles.refusal import FileRefused
from cloud.errors import CloudBusy

#: Called with the bytes that have come out so far; raising from it ends the pass.
Meter = Callable[[int], None]
#: Called with (bytes of the file that are read, bytes in all).
Progress = Callable[[int, int], None]

_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
_PART = ".part-"

Sums = dict[str, str]  # hexadecimal, by the names of ``hashlib``


class Expected(Protocol):
    """What the sender says of the file, or of what is packed in it; None or blank: nothing."""

    expected_bytes: int | None
    expected_sha1: str
    expected_sha256: str


class Content:
    """What came out of a file. ``file_sums`` are the packed file's own, if they were needed."""

    def __init__(self, size_bytes: int, sums: Sums, file_bytes: int, file_sums: Sums) -> None:
        self.size_bytes = size_bytes
        self.sums = sums
        self.file_bytes = file_bytes
        self.file_sums = file_sums

    def must_be(self, expected: Expected) -> None:
        """People publish sums of what is packed, and of what it is packed in: either will do.

        Raises:
            FileRefused: ``size_differs``, ``checksum_differs``: the sentence has both values.
        """
        wanted = expected.expected_bytes
        if wanted is not None and wanted not in (self.size_bytes, self.file_bytes):
            raise FileRefused(
                "size_differs",
                f"The file should have {wanted} bytes, and has {_both(self.size_bytes, self)}.",
            )
        for name, value in (("sha1", expected.expected_sha1), ("sha256", expected.expected_sha256)):
            if value and value.lower() not in (self.sums[name], self.file_sums.get(name)):
                raise FileRefused(
                    "checksum_differs",
                    f"The file's {name.upper().replace('SHA', 'SHA-')} should be {value.lower()}, "
                    f"and is {self.sums[name]}. It was damaged on its way, or is another file.",
                )


def _both(size_bytes: int, content: Content) -> str:
    if content.file_bytes == size_bytes:
        return str(size_bytes)
    return f"{content.file_bytes}, and {size_bytes} unpacked"


def read(
    source: Path,
    packed: Packing,
    target: Path,
    *,
    sums_file: bool,
    meter: Meter,
    on_progress: Progress,
    names: Iterable[str] = LENGTHS,
) -> Content:
    """Sum what is in ``source``; unpack it to ``target``, sparse and on disk, if it is packed.

    ``sums_file``: sum the packed file as well. ``names`` are the checksums that are found. What
    an earlier pass left is written anew.

    Raises:
        FileRefused: it cannot be unpacked, or there is no room for what is in it.
    """
    done = 0
    with ExitStack() as stack:
        file = stack.enter_context(source.open("rb"))
        total = os.fstat(file.fileno()).st_size
        digests = stack.enter_context(Digests(names))
        file_digests = stack.enter_context(Digests(names)) if packed and sums_file else None
        write, finish = stack.enter_context(_written(target)) if packed else _nowhere()
        tapped = _Tap(file, file_digests)
        for piece in packing.unpacked(tapped, packed):
            done += len(piece)
            meter(done)
            if piece:
                digests.update(piece)
                write(piece)
            on_progress(file.tell(), total)
        finish()
        file_sums = file_digests.found() if file_digests else {}
        return Content(done, digests.found(), total, file_sums)


class _Tap:
    """A file that is summed as somebody reads it from its beginning to its end."""

    def __init__(self, file: BinaryIO, digests: Digests | None) -> None:
        self._file = file
        self._digests = digests

    def read(self, size: int) -> bytes:
        piece = self._file.read(size)
        if self._digests and piece:
            self._digests.update(piece)
        return piece


@contextmanager
def _written(target: Path) -> Iterator[tuple[Callable[[bytes], None], Callable[[], None]]]:
    """Under its name once it is whole: a worker that was taken for dead may be at it as well.

    Raises:
        FileRefused: ``no_room``. CloudBusy: another worker has taken over.
    """
    for left in target.parent.glob(f"{target.name}{_PART}*"):
        left.unlink(missing_ok=True)
    part = target.with_name(f"{target.name}{_PART}{secrets.token_hex(4)}")
    try:
        with open(os.open(part, _NEW, 0o600), "wb") as file:
            writer = packing.SparseWriter(file)
            yield writer.write, lambda: _publish(writer, part, target)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise
        raise no_room() from error


def _publish(writer: packing.SparseWriter, part: Path, target: Path) -> None:
    writer.finish()
    try:
        part.rename(target)
    except FileNotFoundError as error:
        raise CloudBusy("Another worker reads this file now.") from error


def _nowhere() -> tuple[Callable[[bytes], None], Callable[[], None]]:
    return lambda piece: None, lambda: None


def no_room() -> FileRefused:
    return FileRefused(
        "no_room",
        "The site's disk has no room for what is packed in the file. Try again later, or ask an "
        "administrator.",
    )

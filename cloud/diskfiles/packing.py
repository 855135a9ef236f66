"""Unpacking with bounded memory: pieces come out one by one, however much is packed in them.

Whoever takes the pieces counts them, and stops taking when it is too much: a bomb goes off
no further than that.
"""

import bz2
import lzma
import os
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Protocol

from backports import zstd

from cloud.diskfiles.headers import Packing
from cloud.diskfiles.refusal import FileRefused

#: The largest piece that comes in or out.
PIECE = 1 << 20
#: What an unpacker is given at most at a time: somebody may want to stop it in between.
FEED = 64 << 10
_FIRST_FEED = 256
_MARK_BYTES = 6  # the longest mark that a stream begins with
#: So many streams may hold next to nothing: some programs write an empty one as an end mark.
_CRUMBS = 1024
_CRUMB_BYTES = 512
#: The head of what is packed comes out of so much of a file, or it is no file of a disk.
_BEGINNING_BYTES = 16 << 20
_NOT_ZERO = re.compile(rb"[^\0]")
#: What unpacking may take, beside pieces: the window that the packer looked back through.
WINDOW_BITS = 26
_XZ_MEMORY = (1 << WINDOW_BITS) + (8 << 20)
#: Written bytes go to the disk in portions, so that the last one keeps nobody waiting.
SYNC_EVERY = 512 << 20
_SHORTEST_GZIP = 18
#: Deflate can't make anything smaller than this part of it.
_MOST_GZIP = 1032
_ZEROS = bytes(64 << 10)
_ERRORS = (zlib.error, OSError, EOFError, lzma.LZMAError, zstd.ZstdError)


class Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


class _Unpacker(Protocol):
    """What the standard library's unpackers have in common. One unpacks one stream."""

    @property
    def eof(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    @property
    def needs_input(self) -> bool: ...

    def decompress(self, data: bytes, max_length: int) -> bytes: ...


class _Gzip:
    """One member of a gzip file, as the other unpackers are."""

    def __init__(self) -> None:
        self._inner = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
        self._is_full = False

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data

    @property
    def needs_input(self) -> bool:
        return not self._inner.unconsumed_tail and not self._is_full

    def decompress(self, data: bytes, max_length: int) -> bytes:
        out = self._inner.decompress(self._inner.unconsumed_tail + data, max_length)
        # A full piece may have more behind it, even when all the input is taken in.
        self._is_full = len(out) == max_length and not self._inner.eof
        return out


def _unpacker(packing: Packing) -> _Unpacker:
    match packing:
        case Packing.GZIP:
            return _Gzip()
        case Packing.BZIP2:
            return bz2.BZ2Decompressor()
        case Packing.XZ:
            return lzma.LZMADecompressor(format=lzma.FORMAT_XZ, memlimit=_XZ_MEMORY)
        case Packing.ZSTD:
            options: dict[int, int] = {zstd.DecompressionParameter.window_log_max: WINDOW_BITS}
            return zstd.ZstdDecompressor(options=options)
    raise ValueError(f"There is nothing to unpack in {packing!r}.")


def pieces(file: Readable) -> Iterator[bytes]:
    """What is in a file that is not packed."""
    while piece := file.read(PIECE):
        yield piece


def unpacked(file: Readable, packing: Packing) -> Iterator[bytes]:
    """What is packed in ``file``, in pieces of up to ``PIECE`` bytes; streams one by one.

    A piece comes at least once for each ``FEED`` bytes of the file, be it empty: whoever takes
    them is never kept waiting by a file in which there is nothing.

    Raises:
        FileRefused: ``truncated``, ``corrupt``, ``crumbs``, ``trailing``, ``window``: the
            sentence says.
    """
    if packing is Packing.NONE:
        yield from pieces(file)
        return
    feed = _Feed(file)
    held: list[bytes] = []
    held_bytes = 0
    for piece in _streams(feed, packing):
        if held_bytes + len(piece) > PIECE:
            yield b"".join(held)
            held, held_bytes = [], 0
        held.append(piece)
        held_bytes += len(piece)
        if held_bytes >= FEED or feed.taken >= FEED:
            yield b"".join(held)
            held, held_bytes, feed.taken = [], 0, 0
    if held_bytes:
        yield b"".join(held)


class _Feed:
    """A file in portions: small ones where a stream begins, for it may end at once.

    What it is fed beyond its end costs a stream time; so a file of tiny ones would take as long
    as there are pairs of them.
    """

    def __init__(self, file: Readable) -> None:
        self._file = file
        self._buffer = b""
        self._at = 0
        self._portion = 0
        self.taken = 0

    def start(self) -> None:
        """A stream begins here."""
        self._portion = _FIRST_FEED

    def take(self) -> bytes:
        """The next portion; b"": the file has ended."""
        if self._at == len(self._buffer):
            self._buffer, self._at = self._file.read(PIECE), 0
        portion = self._buffer[self._at : self._at + self._portion]
        self._portion = min(2 * self._portion, FEED)
        self._at += len(portion)
        self.taken += len(portion)
        return portion

    def give_back(self, count: int) -> None:
        """The last ``count`` bytes of the last portion were not for that stream."""
        self._at -= count
        self.taken -= count

    def skip_zeros(self) -> bool:
        """Pass by zeros, as far as they were read; whether there may be more."""
        found = _NOT_ZERO.search(self._buffer, self._at)
        at = found.start() if found else len(self._buffer)
        self.taken += at - self._at
        self._at = at
        if found:
            return False
        self._buffer, self._at = self._file.read(PIECE), 0
        return bool(self._buffer)

    def look_ahead(self, count: int) -> bytes:
        """The next bytes, which stay where they are."""
        if len(self._buffer) - self._at < count:
            self._buffer, self._at = self._buffer[self._at :] + self._file.read(PIECE), 0
        return self._buffer[self._at : self._at + count]


def _streams(feed: _Feed, packing: Packing) -> Iterator[bytes]:
    """What is in all streams; b"" now and then, when nothing has come out."""
    spare = _CRUMBS
    while True:
        came = 0
        for piece in _stream(feed, packing):
            came += len(piece)
            yield piece
        spare = min(_CRUMBS, spare + came // _CRUMB_BYTES) - 1
        if spare < 0:
            raise _crumbs(packing)
        while feed.skip_zeros():
            yield b""
        ahead = feed.look_ahead(_MARK_BYTES)
        if not ahead:
            return
        _must_begin(packing, ahead)


def _crumbs(packing: Packing) -> FileRefused:
    return FileRefused(
        "crumbs",
        f"The file is more than {_CRUMBS} {packing} parts with next to nothing in them (less than "
        f"{_CRUMB_BYTES} bytes each). Unpack it and pack it again in one.",
    )


def _stream(feed: _Feed, packing: Packing) -> Iterator[bytes]:
    feed.start()
    unpacker = _unpacker(packing)
    while not unpacker.eof:
        data = feed.take() if unpacker.needs_input else b""
        if not data and unpacker.needs_input:
            raise FileRefused(
                "truncated",
                f"The file is cut short: what {packing} packed has no end. Send the whole file.",
            )
        yield _decompress(unpacker, packing, data)
    feed.give_back(len(unpacker.unused_data))


def _decompress(unpacker: _Unpacker, packing: Packing, data: bytes) -> bytes:
    try:
        return unpacker.decompress(data, PIECE)
    except _ERRORS as error:
        words = str(error).lower()
        if "memory" in words or "window" in words:
            raise FileRefused(
                "window",
                f"Unpacking the file takes more memory than the {1 << WINDOW_BITS >> 20} MiB of "
                f"this site. Pack it again without the largest {packing} settings (zstd: without "
                "--ultra and --long).",
                detail=repr(error),
            ) from error
        raise FileRefused(
            "corrupt",
            f"The file is damaged: {packing} cannot unpack it. Check it where it comes from, "
            "and send it again.",
            detail=repr(error),
        ) from error


def _must_begin(packing: Packing, ahead: bytes) -> None:
    """Another stream must begin here.

    Raises:
        FileRefused: ``trailing``.
    """
    if not _begins(packing, ahead):
        raise FileRefused(
            "trailing",
            f"Behind what {packing} packed, the file has other bytes: it is damaged, or two files "
            "in one. Send the packed file alone.",
        )


def _begins(packing: Packing, rest: bytes) -> bool:
    marks = {
        Packing.GZIP: (b"\x1f\x8b",),
        Packing.BZIP2: (b"BZh",),
        Packing.XZ: (b"\xfd7zXZ\0",),
        Packing.ZSTD: (b"\x28\xb5\x2f\xfd", *(bytes([n]) + b"\x2a\x4d\x18" for n in range(80, 96))),
    }
    return rest.startswith(marks[packing])


def says_bytes(path: Path, packing: Packing) -> int:
    """How much is in it at least, by what it says of itself; 0: it does not say.

    To refuse early; a file can lie, and what is true is counted as it comes out.
    """
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        if packing is Packing.GZIP and size >= _SHORTEST_GZIP:
            file.seek(size - 4)
            says = int.from_bytes(file.read(4), "little")
            return says if says <= size * _MOST_GZIP else 0  # what it ends with is something else
        if packing is Packing.ZSTD:
            return _zstd_says(file.read(18))
    return 0


def _zstd_says(head: bytes) -> int:
    try:
        about = zstd.get_frame_info(head)
    except zstd.ZstdError:
        return 0
    return about.decompressed_size or 0


def beginning(path: Path, packing: Packing, length: int) -> bytes:
    """Up to the first ``length`` bytes of what is in it, from the first 16 MiB of the file.

    Raises:
        FileRefused: as ``unpacked``; ``crumbs``: there is next to nothing in these.
    """
    head = b""
    with path.open("rb") as file:
        for piece in unpacked(file, packing):
            head += piece[: length - len(head)]
            if len(head) >= length:
                break
            if file.tell() > _BEGINNING_BYTES:
                raise FileRefused(
                    "crumbs",
                    f"The first {_BEGINNING_BYTES >> 20} MiB of the file are {packing} with next "
                    "to nothing in it. Unpack it and pack it again in one.",
                )
    return head


class SparseWriter:
    """Writes one piece after another; zeros become holes."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._unsynced = 0
        self.written = 0

    def write(self, piece: bytes) -> None:
        for at in range(0, len(piece), len(_ZEROS)):
            part = piece[at : at + len(_ZEROS)]
            if part != _ZEROS[: len(part)]:
                self._file.seek(self.written)
                self._file.write(part)
                self._unsynced += len(part)
            self.written += len(part)
        if self._unsynced >= SYNC_EVERY:
            self._unsynced = 0
            self._file.flush()
            os.fdatasync(self._file.fileno())

    def finish(self) -> None:
        """Give the file its length, and have it on disk."""
        self._file.flush()
        self._file.truncate(self.written)
        os.fsync(self._file.fileno())

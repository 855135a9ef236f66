"""One writer at a time at the end of a file that lands, whatever process it is in.

A part that comes with a checksum counts once it is found to be right. Until then a mark
beside the file says where the part began, so that a writer that is killed in it leaves
nothing unchecked behind.
"""

import ctypes
import fcntl
import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from threading import Lock
from typing import Protocol

#: Buffers that one ``writev`` takes: IOV_MAX is 1024 on Linux.
MOST_BUFFERS = 1000
#: The kernel begins to bring what has come to the disk each time that so much has: at the end,
#: next to nothing is left to wait for.
_STARTED_BYTES = 8 << 20
_SYNC_FILE_RANGE_WRITE = 2  # linux/fs.h
_libc = ctypes.CDLL(None)
_libc.sync_file_range.argtypes = (ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint)


class Busy(Exception):
    """Somebody else writes to this file now."""


class Checksum(Protocol):
    """What a part must turn out to have, by the names of ``hashlib``."""

    @property
    def algorithm(self) -> str: ...

    @property
    def digest(self) -> bytes: ...


def room_bytes(place: Path, *, floor_bytes: int) -> int:
    """How much may still land at ``place``, so that ``floor_bytes`` stay free; makes the place."""
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    about = os.statvfs(place)
    return max(0, about.f_bavail * about.f_frsize - floor_bytes)


def size_bytes(path: Path) -> int:
    """How many bytes are there, whether they count or not."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def offset(path: Path) -> int:
    """How many bytes of the file have come, and count."""
    there = size_bytes(path)
    began = _began(_mark(path))
    return there if began is None else min(there, began)


def make_durable(path: Path) -> None:
    """A row will say that all of the file is here: a power cut must not prove it wrong."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fdatasync(fd)
    finally:
        os.close(fd)


def _mark(path: Path) -> Path:
    return path.with_name("unchecked")


def _began(mark: Path) -> int | None:
    try:
        return int(mark.read_text() or 0)
    except FileNotFoundError:
        return None


def must_be_free(path: Path) -> None:
    """Raises: Busy: somebody who began in time still writes to it."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError as exc:
        raise Busy from exc
    finally:
        os.close(fd)


class Writer:
    """The file, open at its end and locked. Its methods but ``close`` belong to one thread."""

    def __init__(self, path: Path) -> None:
        """Raises: Busy; OSError: the disk says no."""
        self._mark = _mark(path)
        self._hash = hashlib.new("sha256")
        self._checksum: Checksum | None = None
        self._open = Lock()
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._forget_unchecked()
        except BlockingIOError as exc:
            os.close(self._fd)
            raise Busy from exc
        except OSError:
            os.close(self._fd)
            raise
        self.start = self._started = self.offset

    def _forget_unchecked(self) -> None:
        self.offset = os.fstat(self._fd).st_size
        if (began := _began(self._mark)) is not None:
            self._cut(min(self.offset, began))

    def _cut(self, size: int) -> None:
        os.ftruncate(self._fd, size)
        self.offset = self._started = size
        self._mark.unlink(missing_ok=True)

    def begin_at(self, size: int) -> None:
        """Write anew from here on: what is behind it is given up."""
        self._cut(size)
        self.start = size

    def expect(self, checksum: Checksum | None) -> None:
        """What follows has this checksum, or is not kept."""
        self._checksum = checksum
        if checksum is not None:
            self._hash = hashlib.new(checksum.algorithm)
            half = self._mark.with_name(f"{self._mark.name}.new")
            half.write_text(str(self.start))  # an empty mark would cost the whole file
            half.replace(self._mark)

    def write(self, pieces: Sequence[bytes]) -> None:
        """Append all of them. Raises: OSError: the disk is full, or broken; what went in stays."""
        with self._open:
            for first in range(0, len(pieces), MOST_BUFFERS):
                self._write(pieces[first : first + MOST_BUFFERS])
            if self.offset - self._started >= _STARTED_BYTES:
                self._start_bringing()

    def _write(self, pieces: Sequence[bytes]) -> None:
        if self._checksum is not None:
            for piece in pieces:
                self._hash.update(piece)
        rest = [memoryview(piece) for piece in pieces]
        while rest:
            done = os.writev(self._fd, rest)
            self.offset += done
            while rest and done >= len(rest[0]):
                done -= len(rest.pop(0))
            if done:
                rest[0] = rest[0][done:]

    def _start_bringing(self) -> None:
        """Wait for nothing. What goes wrong, ``make_durable`` hears of: sync_file_range(2)."""
        _libc.sync_file_range(
            self._fd, self._started, self.offset - self._started, _SYNC_FILE_RANGE_WRITE
        )
        self._started = self.offset

    def settle(self) -> bool:
        """At the end of a part: whether it is right. A wrong one is gone as if it never came."""
        if self._checksum is None:
            return True
        if self._hash.digest() != self._checksum.digest:
            self.discard()
            return False
        self._mark.unlink(missing_ok=True)
        return True

    def discard(self) -> None:
        """Take back exactly what this writer has written."""
        self._cut(self.start)

    def stop(self) -> None:
        """The connection was cut: keep what counts."""
        if self._checksum is not None:
            self.discard()

    def close(self) -> None:
        """After a write that is under way. A second time does nothing."""
        with self._open:
            if self._fd >= 0:
                os.close(self._fd)
            self._fd = -1

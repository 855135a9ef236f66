"""A file of a stranger, read in small pieces at places that the file itself names."""

import struct
from collections.abc import Iterator
from typing import Any, BinaryIO

from cloud.diskfiles.refusal import FileRefused

#: Nothing that an inspection reads in one piece is larger.
LARGEST_PIECE = 1 << 20


class Window:
    """Read-only, with a known size. What lies beyond the end is a truncated file."""

    def __init__(self, file: BinaryIO, size_bytes: int, *, largest_bytes: int) -> None:
        self._file = file
        self._largest_bytes = largest_bytes
        self.size_bytes = size_bytes

    def some(self, offset: int, length: int) -> bytes:
        """Up to ``length`` bytes: fewer at the end of the file, none beyond it."""
        if offset < 0 or offset >= self.size_bytes:
            return b""
        self._file.seek(offset)
        return self._file.read(min(length, LARGEST_PIECE))

    def all(self, offset: int, length: int, what: str) -> bytes:
        """Exactly ``length`` bytes. ``what`` says, in the refusal, what they are.

        Raises:
            FileRefused: ``truncated``.
        """
        self.must_hold(offset, length, what)
        found = self.some(offset, length)
        if len(found) != length:
            raise truncated(what, offset + length, self.size_bytes)
        return found

    def must_hold(self, offset: int, length: int, what: str) -> None:
        """Raises: FileRefused: ``truncated``: the file ends before ``offset + length``."""
        if offset + length > self.size_bytes:
            raise truncated(what, offset + length, self.size_bytes)

    def unpack(self, layout: str, offset: int, what: str) -> tuple[Any, ...]:
        return struct.unpack(layout, self.all(offset, struct.calcsize(layout), what))

    def must_be_possible(self, disk_bytes: int) -> None:
        """Ask it before following tables that are as long as the disk is large.

        Raises:
            FileRefused: ``too_small``, ``too_large``.
        """
        if not disk_bytes:
            raise FileRefused("too_small", "The disk in the file has no bytes.")
        if disk_bytes > self._largest_bytes:
            raise FileRefused(
                "too_large",
                f"The disk in the file says to have {disk_bytes} bytes; this site takes at most "
                f"{self._largest_bytes} ({self._largest_bytes >> 30} GiB).",
            )

    def entries(self, layout: str, offset: int, count: int, what: str) -> Iterator[int]:
        """``count`` numbers of a table, read in bounded pieces."""
        size = struct.calcsize(layout)
        self.must_hold(offset, count * size, what)
        at_once = LARGEST_PIECE // size
        for first in range(0, count, at_once):
            some = min(at_once, count - first)
            piece = self.all(offset + first * size, some * size, what)
            for (value,) in struct.iter_unpack(layout, piece):
                yield value


def truncated(what: str, wanted_bytes: int, size_bytes: int) -> FileRefused:
    return FileRefused(
        "truncated",
        f"The file is cut short: {what} would end at byte {wanted_bytes}, and the file has "
        f"{size_bytes}. Send the whole file.",
    )

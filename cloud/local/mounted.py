"""Whether a file system on a volume says of itself that it is mounted to be written to.

A guest that has a disk mounted and happens to be idle looks to QEMU like one that has let go,
while what it wrote waits in its memory. Linux marks an ext file system for as long as it is
mounted read-write: that mark is read here, on the bare disk and in its partitions. Other file
systems have none that can be trusted.

The file may have been written by a guest that took its QEMU over: every number is bounded, and
what cannot be understood is no file system. Sources: docs/interop/qcow2.txt of QEMU; "ext4
Data Structures and Algorithms" of the Linux kernel; UEFI 2.10, section 5.3.
"""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

SENTENCE = (
    "The guest still has a file system of this disk mounted. Unmount it there, then detach the"
    " disk again. If it is not mounted, because the guest crashed, detach it by force."
)

SECTOR = 512
_OFFSET = 0x00FF_FFFF_FFFF_FE00  # of a cluster in the file, in an entry of a table
_COMPRESSED = 1 << 62
_ZERO = 1
_EXTENDED = 1 << 4

_EXT_MAGIC = 0xEF53
_HAS_JOURNAL = 1 << 2
_NEEDS_RECOVERY = 1 << 2
_IS_VALID = 1

_PROTECTIVE = 0xEE
_MOST_PARTITIONS = 128


def looks_mounted(path: Path) -> bool:
    """True if there is such a mark anywhere; False too when there is nothing to be told."""
    try:
        with path.open("rb") as file:
            disk = _Disk(file)
            return any(_is_marked(disk.read(start + 1024, 512)) for start in _starts(disk))
    except (OSError, struct.error, ValueError):
        return False


class _Disk:
    """The disk in a qcow2 file, as far as it was flushed."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        head = self._at(0, 80)
        bits, size, _crypt, entries, self._table = struct.unpack_from(">IQIIQ", head, 20)
        features = struct.unpack_from(">Q", head, 72)[0]
        version = struct.unpack_from(">I", head, 4)[0]
        if head[:4] != b"QFI\xfb" or not 9 <= bits <= 21 or (version > 2 and features & _EXTENDED):
            raise ValueError("another layout")
        self._bits = bits
        self._entries = min(entries, (size >> (2 * bits - 3)) + 1)

    def read(self, offset: int, count: int) -> bytes:
        """``count`` bytes of one cluster; zeros where nothing was written."""
        high, low = offset >> self._bits, offset & ((1 << self._bits) - 1)
        index, entry = high >> (self._bits - 3), high & ((1 << (self._bits - 3)) - 1)
        if index >= self._entries:
            return bytes(count)
        table = self._entry(self._table + 8 * index) & _OFFSET
        found = self._entry(table + 8 * entry) if table else 0
        if not found & _OFFSET or found & (_COMPRESSED | _ZERO):
            return bytes(count)
        return self._at((found & _OFFSET) + low, count)

    def _entry(self, at: int) -> int:
        return int(struct.unpack(">Q", self._at(at, 8))[0])

    def _at(self, offset: int, count: int) -> bytes:
        self._file.seek(offset)
        return self._file.read(count)


def _starts(disk: _Disk) -> Iterator[int]:
    """Where file systems may begin, in bytes."""
    yield 0
    record = disk.read(0, SECTOR)
    if record[510:] != b"\x55\xaa":
        return
    for at in range(446, 510, 16):
        kind, start = record[at + 4], struct.unpack_from("<I", record, at + 8)[0]
        if kind == _PROTECTIVE:
            yield from _gpt_starts(disk)
        elif kind and start:
            yield start * SECTOR


def _gpt_starts(disk: _Disk) -> Iterator[int]:
    head = disk.read(SECTOR, SECTOR)
    if head[:8] != b"EFI PART":
        return
    table, count, size = struct.unpack_from("<QII", head, 72)
    for number in range(min(count, _MOST_PARTITIONS) if size == 128 else 0):
        entry = disk.read(table * SECTOR + number * size, size)
        if any(entry[:16]):
            yield int(struct.unpack_from("<Q", entry, 32)[0]) * SECTOR


def _is_marked(block: bytes) -> bool:
    magic, state = struct.unpack_from("<HH", block, 56)
    compatible, incompatible = struct.unpack_from("<II", block, 92)
    if magic != _EXT_MAGIC:
        return False
    if compatible & _HAS_JOURNAL:
        return bool(incompatible & _NEEDS_RECOVERY)
    return not state & _IS_VALID

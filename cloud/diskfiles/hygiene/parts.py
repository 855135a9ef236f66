"""Where in a disk its file systems are, and what they are, by their first bytes.

Sources: UEFI specification 2.10, chapter 5 (GPT); the PC's partition table, with its chain of
extended partitions; ``Documentation/filesystems`` of Linux and libblkid for the magic numbers.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

SECTOR = 512
#: Of tables that a guest has written, so many lines are believed.
MOST_PARTS = 128
_EXTENDED = frozenset({0x05, 0x0F, 0x85})
_PROTECTIVE = 0xEE
_GPT = struct.Struct("<8s4sIIIQQQQ16sQIII")
#: (name, offset in the file system, bytes there)
_MAGIC = (
    ("ext", 1080, b"\x53\xef"),
    ("xfs", 0, b"XFSB"),
    ("btrfs", 65600, b"_BHRfS_M"),
    ("LUKS", 0, b"LUKS\xba\xbe"),
    ("LVM", 512, b"LABELONE"),
    ("swap", 4086, b"SWAPSPACE2"),
    ("ISO 9660", 32769, b"CD001"),
    ("NTFS", 3, b"NTFS    "),
    ("FAT", 54, b"FAT1"),
    ("FAT", 82, b"FAT32"),
    ("Linux RAID", 4096, b"\xfc\x4e\x2b\xa9"),
    ("ZFS", 135168, b"\x0c\xb1\xba\x00\x00\x00\x00\x00"),
)
#: Of GPT: a partition with a program that starts the machine, and no file system.
_BIOS_BOOT = b"Hah!IdontNeedEFI"
#: What nobody leaves files in.
WITHOUT_FILES = frozenset({"swap", "empty", "BIOS boot"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A stretch of a disk. ``number`` as the guest counts; 0: the whole disk has no table.

    ``kind``: a file system's name; "empty": nothing but zeros at its head; "BIOS boot": a program;
    "": something else.
    """

    number: int
    start_bytes: int
    size_bytes: int
    kind: str


def parts_of(disk: IO[bytes], size_bytes: int) -> list[Part]:
    """The parts of a raw disk, in their order; the disk itself where it has no table."""
    found = [
        Part(
            number=number,
            start_bytes=start,
            size_bytes=size,
            kind=kind_of(disk, start, size) or ("BIOS boot" if type_ == _BIOS_BOOT else ""),
        )
        for number, start, size, type_ in _table(disk, size_bytes)
        if 0 < start < size_bytes and 0 < size <= size_bytes - start
    ]
    if found:
        return found
    return [
        Part(
            number=0,
            start_bytes=0,
            size_bytes=size_bytes,
            kind=kind_of(disk, 0, size_bytes),
        )
    ]


def kind_of(disk: IO[bytes], start: int, size: int) -> str:
    """The name of the file system that begins there."""
    head = _at(disk, start, min(size, 160 << 10))
    for name, offset, magic in _MAGIC:
        if head[offset : offset + len(magic)] == magic:
            return name
    return "" if head.strip(b"\0") else "empty"


def _at(disk: IO[bytes], offset: int, size: int) -> bytes:
    disk.seek(offset)
    return disk.read(size)


def _table(disk: IO[bytes], size_bytes: int) -> Iterator[tuple[int, int, int, bytes]]:
    """Number, first byte, size and, of GPT, type of each line of the table."""
    sector = _at(disk, 0, SECTOR)
    if len(sector) < SECTOR or sector[510:] != b"\x55\xaa" or _is_file_system(disk):
        return
    lines = list(_lines(sector))
    if any(kind == _PROTECTIVE for kind, _, _ in lines):
        yield from _gpt(disk, size_bytes)
        return
    for number, (kind, start, size) in enumerate(lines, 1):
        if kind in _EXTENDED:
            yield from ((*line, b"") for line in _chain(disk, start))
        elif kind and size:
            yield number, start * SECTOR, size * SECTOR, b""


def _is_file_system(disk: IO[bytes]) -> bool:
    """FAT and NTFS end their first sector as a table does."""
    return kind_of(disk, 0, 160 << 10) in ("FAT", "NTFS", "ext")


def _lines(sector: bytes) -> Iterator[tuple[int, int, int]]:
    for number in range(4):
        line = sector[446 + 16 * number :][:16]
        start, size = struct.unpack_from("<II", line, 8)
        yield line[4], start, size


def _chain(disk: IO[bytes], first: int) -> Iterator[tuple[int, int, int]]:
    """Logical partitions, from 5 on; a chain that bites its tail ends all the same."""
    at, seen = first, set[int]()
    while at not in seen and len(seen) < MOST_PARTS:
        seen.add(at)
        sector = _at(disk, at * SECTOR, SECTOR)
        if len(sector) < SECTOR or sector[510:] != b"\x55\xaa":
            return
        (_, start, size), (next_kind, next_start, _), *_ = _lines(sector)
        if size:
            yield 4 + len(seen), (at + start) * SECTOR, size * SECTOR
        if next_kind not in _EXTENDED:
            return
        at = first + next_start


def _gpt(disk: IO[bytes], size_bytes: int) -> Iterator[tuple[int, int, int, bytes]]:
    head = _at(disk, SECTOR, _GPT.size)
    if len(head) < _GPT.size:
        return
    magic, *_, entries_at, count, entry_bytes, _sum = _GPT.unpack(head)
    if magic != b"EFI PART" or not 128 <= entry_bytes <= 4096:
        return
    where = entries_at * SECTOR
    if where >= size_bytes:
        return
    for number in range(min(count, MOST_PARTS)):
        entry = _at(disk, where + number * entry_bytes, 128)
        if len(entry) < 128:
            return
        first, last = struct.unpack_from("<QQ", entry, 32)
        if entry[:16].strip(b"\0") and last >= first:
            yield number + 1, first * SECTOR, (last - first + 1) * SECTOR, entry[:16]

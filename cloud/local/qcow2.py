"""What the head of one of our own disks says: its size and its snapshots, read without a child.

The disk itself is the only record of both, so no kill can set a second one at odds with it.
Its emulator may have been taken over by its guest and is not trusted: every number is bounded,
and a disk that names another file is damaged. Source: docs/interop/qcow2.txt of QEMU.
"""

import os
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

HEAD = 104
MAGIC = b"QFI\xfb"
VERSIONS = (2, 3)
#: More than the portal takes of any disk; QEMU itself stops at 65536.
MOST_SNAPSHOTS = 4096
LARGEST_BYTES = 2 << 40
_LONGEST_NAME = 256  # ours are UUIDs
_ENTRY = struct.Struct(">QIHHIIQII")
_MORE_BYTES = 16  # of an entry: size of a machine's state, size of the disk
_NAMES_FILES = 1 << 2
_CORRUPT = 1 << 1


class Damaged(Exception):
    """It is not a disk that we wrote, or no longer sound."""


@dataclass(frozen=True, slots=True)
class Head:
    size_bytes: int
    snapshots: Mapping[str, int]  # name -> size of the disk then, in bytes; oldest first

    def size_at(self, snapshot: str) -> int:
        """The disk's size now ("") or then.

        Raises:
            KeyError: there is no such snapshot.
        """
        return self.snapshots[snapshot] if snapshot else self.size_bytes


def read(path: Path, *, is_overlay: bool = False) -> Head:
    """``is_overlay``: it names the image that it lies on, and whoever opens it names another.

    Raises:
        Damaged. OSError.
    """
    with path.open("rb") as file:
        return _read(file, is_overlay=is_overlay)


def _read(file: BinaryIO, *, is_overlay: bool) -> Head:
    head = file.read(HEAD)
    if len(head) < HEAD or not head.startswith(MAGIC):
        raise Damaged("no qcow2 head")
    version, backing = struct.unpack_from(">IQ", head, 4)
    (size_bytes,) = struct.unpack_from(">Q", head, 24)
    (crypt,) = struct.unpack_from(">I", head, 32)
    count, at = struct.unpack_from(">IQ", head, 60)
    features = struct.unpack_from(">Q", head, 72)[0] if version >= 3 else 0
    if (
        version not in VERSIONS
        or (backing and not is_overlay)
        or crypt
        or features & (_NAMES_FILES | _CORRUPT)
    ):
        raise Damaged(f"version {version}, backing {backing}, crypt {crypt}, {features:#x}")
    if count > MOST_SNAPSHOTS:
        raise Damaged(f"{count} snapshots")
    _must_be_a_size(size_bytes)
    return Head(size_bytes, dict(_snapshots(file, at, count, size_bytes)))


def _must_be_a_size(size_bytes: int) -> None:
    if not 0 < size_bytes <= LARGEST_BYTES:
        raise Damaged(f"{size_bytes} bytes")


def _snapshots(file: BinaryIO, at: int, count: int, size_bytes: int) -> Iterator[tuple[str, int]]:
    end = os.fstat(file.fileno()).st_size
    for _ in range(count):
        if at + _ENTRY.size > end:
            raise Damaged("its table of snapshots ends early")
        file.seek(at)
        *_, id_bytes, name_bytes, _, _, _, _, more_bytes = _ENTRY.unpack(file.read(_ENTRY.size))
        length = _ENTRY.size + more_bytes + id_bytes + name_bytes
        if at + length > end or name_bytes > _LONGEST_NAME:
            raise Damaged(f"a snapshot of {length} bytes at {at}")
        more = file.read(min(more_bytes, _MORE_BYTES))
        then = struct.unpack_from(">Q", more, 8)[0] if len(more) == _MORE_BYTES else size_bytes
        _must_be_a_size(then)
        file.seek(at + _ENTRY.size + more_bytes + id_bytes)
        yield file.read(name_bytes).decode(errors="replace"), then
        at += -(-length // 8) * 8

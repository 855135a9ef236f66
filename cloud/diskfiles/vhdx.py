"""The heads of a VHDX file. Source: [MS-VHDX] 2.2 to 2.6."""

import struct
from uuid import UUID

from cloud.diskfiles.refusal import FileRefused
from cloud.diskfiles.window import Window

MAGIC = b"vhdxfile"

_HEADS = (64 << 10, 128 << 10)
_REGIONS = (192 << 10, 256 << 10)
_REGION_TABLE = 64 << 10
_MOST_REGIONS = 2047
_BAT = UUID("2DC27766-F623-4200-9D64-115E9BFD4A08").bytes_le
_METADATA = UUID("8B7CA206-4790-4B9A-B8FE-575F050F886E").bytes_le
_FILE_PARAMETERS = UUID("CAA16737-FA36-4D43-B3B6-33F0AA44E76B").bytes_le
_DISK_SIZE = UUID("2FA54224-CD1B-4876-B211-5DBED83BF4B8").bytes_le
_SECTOR_SIZE = UUID("8141BF1D-A96F-4709-BA47-F233A8FAAB5F").bytes_le
_PARENT = UUID("A8D35F2D-B30B-454D-ABF7-D3D84834AB0C").bytes_le
_KNOWN = frozenset(
    {
        _FILE_PARAMETERS,
        _DISK_SIZE,
        _SECTOR_SIZE,
        UUID("BECA12AB-B2E6-4523-93EF-C309E000C746").bytes_le,  # page 83 data
        UUID("CDA348C7-445D-4471-9CC9-E9885251C556").bytes_le,  # physical sector size
    }
)
_MOST_ITEMS = 2047
_HAS_PARENT = 2
_REQUIRED = 4
_BLOCK_BITS = range(20, 29)  # 1 to 256 MiB
_SECTORS_PER_CHUNK = 1 << 23
_WHOLE, _PARTIAL = 6, 7


def size_of(window: Window) -> int:
    """The virtual size in bytes. Raises: FileRefused."""
    _check_heads(window)
    regions = _regions(window)
    if not {_BAT, _METADATA} <= regions.keys():
        raise _absurd("no table of blocks or no metadata")
    items = _items(window, *regions[_METADATA])
    if not {_FILE_PARAMETERS, _DISK_SIZE, _SECTOR_SIZE} <= items.keys():
        raise _absurd("neither how large the disk nor how large its blocks are")
    block, flags = window.unpack("<II", items[_FILE_PARAMETERS], "the VHDX metadata")
    (size,) = window.unpack("<Q", items[_DISK_SIZE], "the VHDX metadata")
    (sector,) = window.unpack("<I", items[_SECTOR_SIZE], "the VHDX metadata")
    if flags & _HAS_PARENT or _PARENT in items:
        raise _parent()
    window.must_be_possible(size)
    if block.bit_count() != 1 or block.bit_length() - 1 not in _BLOCK_BITS:
        raise FileRefused(
            "absurd_clusters",
            f"The VHDX metadata says blocks of {block} bytes; 1 to 256 MiB, in powers of two, "
            "are possible.",
        )
    if sector not in (512, 4096) or size % sector:
        raise _absurd(f"sectors of {sector} bytes on a disk of {size}")
    _check_blocks(window, regions[_BAT], size, block, _SECTORS_PER_CHUNK * sector // block)
    return int(size)


def _check_heads(window: Window) -> None:
    """Of the two heads that are written in turns, the newer sound one counts."""
    best: tuple[int, bytes] | None = None
    for at in _HEADS:
        head = window.all(at, 4096, "the VHDX header")
        if head[:4] == b"head" and _sum_is_right(head):
            (turn,) = struct.unpack_from("<Q", head, 8)
            best = max(best, (turn, head)) if best else (turn, head)
    if best is None:
        raise FileRefused("bad_checksum", "Both headers of the VHDX disk are damaged.")
    head = best[1]
    if head[48:64] != bytes(16):
        raise FileRefused(
            "not_closed",
            "The VHDX disk was not closed: its log is to be replayed. Open it once where it was "
            "made, or repair it with qemu-img check -r all.",
        )
    _, version = struct.unpack_from("<HH", head, 64)
    if version != 1:
        raise FileRefused(
            "unknown_version", f"The file is a VHDX disk of version {version}; 1 is accepted."
        )


def _regions(window: Window) -> dict[bytes, tuple[int, int]]:
    """Offset and length, by kind."""
    for at in _REGIONS:
        table = window.all(at, _REGION_TABLE, "the VHDX table of regions")
        if table[:4] == b"regi" and _sum_is_right(table):
            break
    else:
        raise FileRefused("bad_checksum", "Both tables of regions of the VHDX disk are damaged.")
    (count,) = struct.unpack_from("<I", table, 8)
    if count > _MOST_REGIONS:
        raise _absurd(f"{count} regions")
    found = {}
    for n in range(count):
        kind, offset, length, is_needed = struct.unpack_from("<16sQII", table, 16 + 32 * n)
        if kind not in (_BAT, _METADATA) and is_needed & 1:
            raise _unknown()
        window.must_hold(offset, length, "a region of the VHDX disk")
        found[kind] = (offset, length)
    return found


def _items(window: Window, at: int, length: int) -> dict[bytes, int]:
    """Where each item of the metadata is, by kind."""
    signature, _, count = window.unpack("<8sHH", at, "the VHDX metadata")
    if signature != b"metadata" or count > _MOST_ITEMS:
        raise _absurd(f"metadata with {count} items")
    found = {}
    for n in range(count):
        kind, offset, size, flags = window.unpack("<16sIII", at + 32 + 32 * n, "the VHDX metadata")
        if kind == _PARENT:
            raise _parent()
        if kind not in _KNOWN and flags & _REQUIRED:
            raise _unknown()
        if offset + size > length:
            raise _absurd(f"an item of {size} bytes at {offset} of its metadata")
        found[kind] = at + offset
    return found


def _check_blocks(
    window: Window, region: tuple[int, int], size: int, block: int, per_chunk: int
) -> None:
    """After each chunk of blocks, the table has an entry for something else."""
    blocks = -(-size // block)
    entries = blocks + (blocks - 1) // per_chunk if blocks else 0
    if entries * 8 > region[1]:
        raise _absurd(f"{size} bytes, and a table of blocks of {region[1]} bytes")
    for n, entry in enumerate(window.entries("<Q", region[0], entries, "the VHDX table of blocks")):
        state, offset = entry & 7, entry >> 20 << 20
        if (n + 1) % (per_chunk + 1) == 0:
            continue
        if state == _PARTIAL:
            raise _parent()
        if state == _WHOLE:
            window.must_hold(offset, block, "the data of the VHDX disk")


def _sum_is_right(head: bytes) -> bool:
    said = struct.unpack_from("<I", head, 4)[0]
    return crc32c(head[:4] + bytes(4) + head[8:]) == int(said)


def crc32c(data: bytes) -> int:
    """The Castagnoli checksum. Source: RFC 3720, B.4."""
    value = 0xFFFFFFFF
    for byte in data:
        value = value >> 8 ^ _CRC[(value ^ byte) & 0xFF]
    return value ^ 0xFFFFFFFF


def _crc_of(byte: int) -> int:
    for _ in range(8):
        byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
    return byte


_CRC = tuple(_crc_of(byte) for byte in range(256))


def _parent() -> FileRefused:
    return FileRefused(
        "parent",
        "The VHDX disk is only what changed since another one (a differencing disk), so it is not "
        "whole. Merge it into its parent first.",
    )


def _unknown() -> FileRefused:
    return FileRefused(
        "unknown_features", "The VHDX disk needs features that this site does not know."
    )


def _absurd(what: str) -> FileRefused:
    return FileRefused("absurd_tables", f"The VHDX disk makes no sense: it says {what}.")

"""The head of a VDI file of VirtualBox. Source: block/vdi.c of QEMU 7.2."""

from cloud.diskfiles.refusal import FileRefused
from cloud.diskfiles.window import Window

SIGNATURE = b"\x7f\x10\xda\xbe"
SIGNATURE_AT = 64

_VERSION = 0x00010001
_DYNAMIC, _FIXED, _UNDO, _DIFFERENCING = 1, 2, 3, 4
_BLOCK_BYTES = 1 << 20
_MOST_BLOCKS = 0x3FFFFFFF
_UNALLOCATED = frozenset({0xFFFFFFFF, 0xFFFFFFFE})
_NO_UUID = bytes(16)


def size_of(window: Window) -> int:
    """The virtual size in bytes. Raises: FileRefused."""
    window.must_hold(0, 512, "the VDI header")
    version, _, kind = window.unpack("<III", 68, "the VDI header")
    table, data = window.unpack("<II", 340, "the VDI header")
    sector, _, size, block, extra, blocks, allocated = window.unpack(
        "<IIQIIII", 360, "the VDI header"
    )
    link, parent = window.unpack("16s16s", 424, "the VDI header")
    if version != _VERSION:
        raise FileRefused(
            "unknown_version",
            f"The file is a VDI disk of version {version >> 16}.{version & 0xFFFF}; version 1.1 "
            "is accepted.",
        )
    if kind in (_UNDO, _DIFFERENCING) or link != _NO_UUID or parent != _NO_UUID:
        raise FileRefused(
            "parent",
            "The VDI disk is only what changed since another one (a snapshot of VirtualBox), so "
            "it is not whole. Clone it with VBoxManage clonemedium.",
        )
    if kind not in (_DYNAMIC, _FIXED):
        raise _absurd(f"an image of type {kind}")
    window.must_be_possible(size)
    if (sector, block, extra) != (512, _BLOCK_BYTES, 0):
        raise FileRefused(
            "absurd_clusters",
            f"The VDI header says blocks of {block} bytes; only 1 MiB can be read here.",
        )
    if blocks > _MOST_BLOCKS or allocated > blocks or size > blocks * block:
        raise _absurd(f"{size} bytes in {blocks} blocks, of which {allocated} are there")
    if table % 512 or data % 512:
        raise _absurd(f"tables at bytes {table} and {data}")
    _check_blocks(window, table, data, blocks, allocated)
    return int(size)


def _check_blocks(window: Window, table: int, data: int, blocks: int, allocated: int) -> None:
    window.must_hold(data, allocated * _BLOCK_BYTES, "the data of the VDI disk")
    for entry in window.entries("<I", table, blocks, "the VDI table of blocks"):
        if entry not in _UNALLOCATED and entry >= allocated:
            raise _absurd(f"{allocated} blocks, and uses number {entry}")


def _absurd(what: str) -> FileRefused:
    return FileRefused("absurd_tables", f"The VDI header makes no sense: it says {what}.")

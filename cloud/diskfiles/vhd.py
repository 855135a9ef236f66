"""The footer and head of a VHD file. Source: Microsoft, "Virtual Hard Disk Image Format
Specification", version 1.0; block/vpc.c of QEMU 7.2.
"""

import struct

from cloud.diskfiles.refusal import FileRefused
from cloud.diskfiles.window import Window

MAGIC = b"conectix"
FOOTER = 512

_FIXED, _DYNAMIC, _DIFFERENCING = 2, 3, 4
_DYNAMIC_MAGIC = b"cxsparse"
_DYNAMIC_HEAD = 1024
_VERSION = 0x00010000
_UNALLOCATED = 0xFFFFFFFF
_BLOCK_BITS = range(19, 29)  # 512 KiB to 256 MiB
_CHECKSUM_AT, _DYNAMIC_CHECKSUM_AT = 64, 36


def is_fixed(window: Window) -> bool:
    """Whether it ends as a VHD without having begun as one."""
    return window.some(window.size_bytes - FOOTER, 8) == MAGIC


def size_of(window: Window) -> int:
    """The virtual size in bytes. Raises: FileRefused."""
    begins = window.some(0, 8) == MAGIC
    at = 0 if begins else window.size_bytes - FOOTER
    footer = window.all(at, FOOTER, "the VHD footer")
    _check_sum(footer, _CHECKSUM_AT, "footer")
    version, table = struct.unpack_from(">IQ", footer, 12)
    size = struct.unpack_from(">Q", footer, 48)[0]
    kind = struct.unpack_from(">I", footer, 60)[0]
    if version != _VERSION:
        raise FileRefused(
            "unknown_version", f"The file is a VHD disk of version {version >> 16}; 1 is accepted."
        )
    if kind == _DIFFERENCING:
        raise _parent()
    window.must_be_possible(size)
    if kind == _FIXED and not begins:
        window.must_hold(0, size + FOOTER, "the data of the VHD disk")
        return int(size)
    if kind != _DYNAMIC or not begins:
        raise _absurd(f"a disk of type {kind}")
    if window.some(window.size_bytes - FOOTER, 8) != MAGIC:
        raise FileRefused(
            "truncated", "The file is cut short: it does not end as VHD disks do. Send all of it."
        )
    _check_dynamic(window, table, size)
    return int(size)


def _check_dynamic(window: Window, at: int, size: int) -> None:
    head = window.all(at, _DYNAMIC_HEAD, "the VHD header")
    if head[:8] != _DYNAMIC_MAGIC:
        raise _absurd("no dynamic header where it should be")
    _check_sum(head, _DYNAMIC_CHECKSUM_AT, "header")
    table, _, entries, block = struct.unpack_from(">QIII", head, 16)
    if head[40:56] != bytes(16):
        raise _parent()
    if block.bit_count() != 1 or block.bit_length() - 1 not in _BLOCK_BITS:
        raise FileRefused(
            "absurd_clusters",
            f"The VHD header says blocks of {block} bytes; 512 KiB to 256 MiB, in powers of two, "
            "are possible.",
        )
    if entries * block < size:
        raise _absurd(f"{size} bytes in {entries} blocks of {block}")
    needed = -(-size // block)
    whole = -(-(block // 512) // 8 // 512) * 512 + block
    for sector in window.entries(">I", table, needed, "the VHD table of blocks"):
        if sector != _UNALLOCATED:
            window.must_hold(sector * 512, whole, "the data of the VHD disk")


def _check_sum(head: bytes, at: int, what: str) -> None:
    """One's complement of the sum of all bytes but its own."""
    said = struct.unpack_from(">I", head, at)[0]
    if said != ~(sum(head) - sum(head[at : at + 4])) & 0xFFFFFFFF:
        raise FileRefused(
            "bad_checksum", f"The {what} of the VHD disk is damaged: its checksum differs."
        )


def _parent() -> FileRefused:
    return FileRefused(
        "parent",
        "The VHD disk is only what changed since another one (a differencing disk), so it is not "
        "whole. Merge it into its parent first.",
    )


def _absurd(what: str) -> FileRefused:
    return FileRefused("absurd_tables", f"The VHD disk makes no sense: it says {what}.")

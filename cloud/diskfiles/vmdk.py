"""The head and descriptor of a VMDK file in one piece.

Source: VMware, "Virtual Disk Format 5.0"; block/vmdk.c of QEMU 7.2, which follows what a
descriptor names, and looks for a parent in the 10 KiB behind the header whatever the
header says.
"""

import re
import struct

from cloud.diskfiles.refusal import FileRefused
from cloud.diskfiles.window import Window

MAGIC = b"KDMV"
ESX_MAGIC = b"COWD"
DESCRIPTOR_MAGIC = b"# Disk Descriptor"

_HEAD = "<4sIIQQQQIQQQ"
_COMPRESSION_AT = 77
_VERSIONS = (1, 2, 3)
_COMPRESSED, _MARKERS = 1 << 16, 1 << 17
_AT_END = (1 << 64) - 1
_FOOTER_FROM_END = 1024
_GRAIN_SECTORS = range(3, 16)  # 4 KiB to 16 MiB, in powers of two
_TABLE_ENTRIES = 512
_LARGEST_DIRECTORY_BYTES = 32 << 20
_LONGEST_DESCRIPTOR_SECTORS = 128
_LOOKED_AT = 20 * 512
_TYPES = frozenset({"monolithicsparse", "streamoptimized"})
_NEWLINES = b"\n \r\n"
_EXTENT = re.compile(r"^\s*(RW|RDONLY|NOACCESS)\s+(\d+)\s+(\w+)\s*(.*)$", re.MULTILINE)
_PATH = re.compile(r'[/\\]|"\s*\.\.?\s*"')


def size_of(window: Window) -> int:
    """The virtual size in bytes. Raises: FileRefused."""
    head = window.all(0, 512, "the VMDK header")
    if window.size_bytes % 512:
        raise FileRefused(
            "truncated",
            f"The file is cut short: a VMDK disk is made of sectors of 512 bytes, and "
            f"{window.size_bytes} is no multiple of that. Send the whole file.",
        )
    size, flags, directory = _check_head(head)
    window.must_be_possible(size)
    descriptor_at, descriptor_length = struct.unpack_from("<QQ", head, 28)
    _check_descriptor(window, descriptor_at, descriptor_length)
    if directory == _AT_END:
        directory = _directory_at_end(window, size, flags)
    grain = struct.unpack_from("<Q", head, 20)[0]
    length = -(-size // (grain * 512 * _TABLE_ENTRIES)) * 4
    if length > _LARGEST_DIRECTORY_BYTES:
        raise _absurd(f"a grain directory of {length} bytes")
    window.must_hold(directory * 512, length, "the VMDK grain directory")
    return size


def _check_head(head: bytes) -> tuple[int, int, int]:
    """Size in bytes, flags, and the sector of the grain directory."""
    _, version, flags, capacity, grain, _, _, entries, _, directory, _ = struct.unpack_from(
        _HEAD, head
    )
    if version not in _VERSIONS:
        raise FileRefused(
            "unknown_version", f"The file is a VMDK disk of version {version}; 1 to 3 are accepted."
        )
    if not capacity:
        raise FileRefused(
            "descriptor", "The VMDK file holds no disk, only a description of one in other files."
        )
    if grain.bit_count() != 1 or grain.bit_length() - 1 not in _GRAIN_SECTORS:
        raise FileRefused(
            "absurd_clusters",
            f"The VMDK header says grains of {grain} sectors; 8 to 32768, in powers of two, are "
            "possible.",
        )
    if entries != _TABLE_ENTRIES:
        raise _absurd(f"grain tables of {entries} entries")
    if flags & 1 and head[73:77] != _NEWLINES:
        raise FileRefused(
            "damaged", "The VMDK file was changed on its way, as text: send it as binary."
        )
    (compression,) = struct.unpack_from("<H", head, _COMPRESSION_AT)
    if flags & _COMPRESSED and compression != 1:
        raise FileRefused(
            "unknown_features", "The VMDK disk is compressed in a way that this site can't read."
        )
    return int(capacity) * 512, flags, directory


def _check_descriptor(window: Window, at: int, length: int) -> None:
    if at != 1 or not 0 < length <= _LONGEST_DESCRIPTOR_SECTORS:
        raise FileRefused(
            "descriptor",
            "The VMDK disk has no description of itself where it should be. Accepted are "
            "monolithicSparse and streamOptimized: qemu-img convert -O vmdk makes such a file.",
        )
    raw = window.all(512, length * 512, "the VMDK description")
    _check_parent(raw + window.some(512, _LOOKED_AT))
    text = raw.split(b"\0", 1)[0].decode("utf-8", errors="replace")
    kind = re.search(r'^\s*createType\s*=\s*"?([\w-]+)', text, re.MULTILINE | re.IGNORECASE)
    named = kind.group(1) if kind else "no"
    if named.lower() not in _TYPES:
        raise FileRefused(
            "vmdk_type",
            f"The VMDK disk is of {named} type; monolithicSparse and streamOptimized are "
            "accepted. Convert it with qemu-img convert -O vmdk.",
        )
    _check_extents(text)


def _check_parent(raw: bytes) -> None:
    text = raw.decode("latin-1").lower()
    cid = re.search(r"parentcid\s*=\s*(\w+)", text)
    if "parentfilenamehint" in text or (cid and cid.group(1) != "ffffffff"):
        raise FileRefused(
            "parent",
            "The VMDK disk is only what changed since another one (a snapshot), so it is not "
            "whole. Consolidate or clone it first.",
        )


def _check_extents(text: str) -> None:
    extents = _EXTENT.findall(text)
    if any(_PATH.search(rest) for *_, rest in extents):
        raise FileRefused(
            "names_files",
            "The VMDK disk names a path to another file. Bring it into one file with "
            "qemu-img convert -O vmdk.",
        )
    if len(extents) != 1 or extents[0][2].upper() != "SPARSE":
        raise FileRefused(
            "names_files",
            "The VMDK disk lies in several files, or in another one. Bring it into one file with "
            "qemu-img convert -O vmdk.",
        )


def _directory_at_end(window: Window, size: int, flags: int) -> int:
    """A streamed disk ends with a second header, which knows where the directory is."""
    if not flags & _MARKERS:
        raise _absurd("a grain directory at its end")
    footer = window.some(window.size_bytes - _FOOTER_FROM_END, 512)
    if footer[:4] != MAGIC or len(footer) < 512:
        raise FileRefused(
            "truncated", "The file is cut short: it does not end as streamed VMDK disks do."
        )
    same_size, _, directory = _check_head(footer)
    if same_size != size or directory == _AT_END:
        raise _absurd("one thing at its beginning and another at its end")
    return directory


def _absurd(what: str) -> FileRefused:
    return FileRefused("absurd_tables", f"The VMDK header makes no sense: it says {what}.")

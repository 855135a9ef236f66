"""What can be told of a disk as it is: its volume label, and whether it is an ISO 9660.

Sources: ECMA-119 8.4; Documentation/filesystems/ext4/super.rst of Linux.
"""

import struct
from dataclasses import dataclass

from cloud.diskfiles.window import Window

DESCRIPTOR_AT = 16 * 2048
ISO_MAGIC = b"\x01CD001\x01"
_EXT_AT = 1024
_EXT_MAGIC = b"\x53\xef"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plain:
    is_iso: bool = False
    label: str = ""


def look(window: Window) -> Plain:
    """Raises: FileRefused: ``truncated``: an ISO that ends before it says it does."""
    iso = window.some(DESCRIPTOR_AT, 2048)
    if iso.startswith(ISO_MAGIC) and len(iso) == 2048:
        (blocks,) = struct.unpack_from("<I", iso, 80)
        (block,) = struct.unpack_from("<H", iso, 128)
        window.must_hold(0, blocks * block, "the ISO 9660 file system")
        return Plain(is_iso=True, label=_text(iso[40:72]))
    ext = window.some(_EXT_AT, 1024)
    if ext[56:58] == _EXT_MAGIC:
        return Plain(label=_text(ext[120:136]))
    return Plain()


def _text(raw: bytes) -> str:
    """A label, as it may be shown: blank if it holds anything but text."""
    label = raw.split(b"\0", 1)[0].decode("utf-8", errors="replace").strip()
    return label if label.isprintable() and "\N{REPLACEMENT CHARACTER}" not in label else ""

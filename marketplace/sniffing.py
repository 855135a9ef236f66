"""What an image is that streams by: told from its first bytes and its last, and never all kept."""

from dataclasses import dataclass

from cloud.types import DiskFormat

#: So much of the beginning is looked at, and so much of the end.
HEAD_BYTES = 4096
TAIL_BYTES = 512
_QCOW2, _VMDK, _VHDX, _VHD = b"QFI\xfb", b"KDMV", b"vhdxfile", b"conectix"
_BOOT_AT, _BOOT = 510, b"\x55\xaa"
_NO_BOOT = (
    "It begins with no boot sector and no partition table: a machine will hardly start from it. "
    "Is it the right file? Data are of the kind “disk”."
)
_VDI_AT, _VDI = 64, b"\x7f\x10\xda\xbe"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sniffed:
    """``virtual_size_bytes`` is what a machine sees of it; None: its head does not say.

    ``needs_another``: there is less in it than a whole disk; the rest is in another file.
    ``doubt``: why a machine may not start from it, a sentence, or "".
    """

    format: str
    virtual_size_bytes: int | None
    needs_another: bool = False
    doubt: str = ""


def sniff(head: bytes, tail: bytes, size_bytes: int) -> Sniffed:
    """What a file is that begins and ends so. What bears no mark is a raw disk."""
    if head.startswith(_QCOW2):
        has_backing_file = int.from_bytes(head[8:16], "big") != 0
        size = int.from_bytes(head[24:32], "big")
        return Sniffed(
            format=DiskFormat.QCOW2, virtual_size_bytes=size, needs_another=has_backing_file
        )
    if head.startswith(_VMDK):
        return _found(DiskFormat.VMDK, int.from_bytes(head[12:20], "little") * 512)
    if head.startswith(_VHDX):
        return Sniffed(format=DiskFormat.VHDX, virtual_size_bytes=None)
    if head[_VDI_AT:].startswith(_VDI):
        return _found(DiskFormat.VDI, int.from_bytes(head[368:376], "little"))
    if tail.startswith(_VHD):
        return _found(DiskFormat.VHD, int.from_bytes(tail[48:56], "big"))
    return raw(head, size_bytes)


def raw(head: bytes, size_bytes: int) -> Sniffed:
    """A disk as it is, which begins so."""
    doubt = "" if head[_BOOT_AT:].startswith(_BOOT) else _NO_BOOT
    return Sniffed(format=DiskFormat.RAW, virtual_size_bytes=size_bytes or None, doubt=doubt)


def _found(format: DiskFormat, size_bytes: int) -> Sniffed:
    return Sniffed(format=format, virtual_size_bytes=size_bytes or None)

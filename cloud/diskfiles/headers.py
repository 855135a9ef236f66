"""What a file is, told from a few KiB of it, before anything else touches it.

A name says nothing, a head may lie: what two formats claim is refused, and what claims
one is checked to the last number that a tool would act upon.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path, PurePath

from cloud.diskfiles import plain, qcow2, vdi, vhd, vhdx, vmdk
from cloud.diskfiles.refusal import FileRefused
from cloud.diskfiles.window import Window
from cloud.types import DiskFormat

SECTOR = 512
#: So much of a file's beginning tells what it is; an ISO 9660 says so at byte 32768.
HEAD_BYTES = 64 << 10
#: No disk is larger, here or anywhere: a sender's site may have a smaller limit.
LARGEST_BYTES = 1 << 50


class Packing(StrEnum):
    """How a file is packed around what is in it."""

    NONE = ""
    GZIP = "gzip"
    BZIP2 = "bzip2"
    XZ = "xz"
    ZSTD = "zstd"


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a file is. ``size_bytes`` is that of the disk in it, padded to whole sectors."""

    format: DiskFormat
    size_bytes: int
    is_iso: bool = False
    label: str = ""  # of the file system on it, if it can be told


_PACKED = {
    b"\x1f\x8b": Packing.GZIP,
    b"BZh": Packing.BZIP2,
    b"\xfd7zXZ\0": Packing.XZ,
    b"\x28\xb5\x2f\xfd": Packing.ZSTD,
}
_ZSTD_SKIPPABLE = range(0x184D2A50, 0x184D2A60)

_SIZES: dict[DiskFormat, Callable[[Window], int]] = {
    DiskFormat.QCOW2: qcow2.size_of,
    DiskFormat.VDI: vdi.size_of,
    DiskFormat.VMDK: vmdk.size_of,
    DiskFormat.VHD: vhd.size_of,
    DiskFormat.VHDX: vhdx.size_of,
}

_ARCHIVE = "Unpack it and send the disk that is in it."
_PACK_OTHERWISE = "Unpack it, or pack it with gzip, bzip2, xz or zstd."
_CONVERT = "Convert it with qemu-img convert -O qcow2."
#: At its beginning: the rule that a file breaks, what it is, and the way out.
_STRANGERS: tuple[tuple[bytes, str, str, str], ...] = (
    (b"PK\x03\x04", "archive", "a zip archive", _ARCHIVE),
    (b"PK\x05\x06", "archive", "an empty zip archive", _ARCHIVE),
    (b"7z\xbc\xaf\x27\x1c", "archive", "a 7z archive", _ARCHIVE),
    (b"Rar!\x1a\x07", "archive", "a rar archive", _ARCHIVE),
    (b"070701", "archive", "a cpio archive", _ARCHIVE),
    (b"!<arch>\n", "archive", "an ar archive (a Debian package?)", _ARCHIVE),
    (b"xar!", "archive", "a xar archive", _ARCHIVE),
    (b"\x04\x22\x4d\x18", "packing", "packed with lz4", _PACK_OTHERWISE),
    (b"LZIP", "packing", "packed with lzip", _PACK_OTHERWISE),
    (b"\x1f\x9d", "packing", "packed with compress", _PACK_OTHERWISE),
    (b"\x89LZO\0", "packing", "packed with lzop", _PACK_OTHERWISE),
    (b"QED\0", "unknown_format", "a QED disk", _CONVERT),
    (b"WithoutFreeSpace", "unknown_format", "a Parallels disk", _CONVERT),
    (b"WithouFreSpacExt", "unknown_format", "a Parallels disk", _CONVERT),
    (b"Bochs Virtual HD", "unknown_format", "a Bochs disk", _CONVERT),
    (vmdk.ESX_MAGIC, "unknown_format", "a VMDK disk of ESX (sparse)", _CONVERT),
    (
        vmdk.DESCRIPTOR_MAGIC,
        "descriptor",
        "the text that describes a VMDK disk, not the disk",
        "Convert the disk into one file with qemu-img convert -O qcow2, and send that.",
    ),
)
_PAGES = (b"<!doctype html", b"<html", b"<?xml")
_TAR_AT, _TAR = 257, b"ustar"
_NAMED = frozenset({".qcow2", ".vdi", ".vmdk", ".vhd", ".vhdx"})
_PACKED_NAMES = frozenset({".gz", ".gzip", ".bz2", ".xz", ".zst", ".zstd"})
_DECLARE = "If it is a raw disk that only looks so, say that it is raw."


def packing_of(head: bytes, *, declared: DiskFormat | None = None, name: str = "") -> Packing:
    """How a file that begins so is packed.

    One that is said to be raw is as it is, whatever it looks like, unless its name says packed.
    """
    if declared is DiskFormat.RAW and _unpacked_name(name) == name:
        return Packing.NONE
    for magic, packing in _PACKED.items():
        if head.startswith(magic):
            return packing
    if len(head) >= 8 and int.from_bytes(head[:4], "little") in _ZSTD_SKIPPABLE:
        return Packing.ZSTD
    return Packing.NONE


def inspect(
    path: Path,
    *,
    declared: DiskFormat | None = None,
    name: str = "",
    largest_bytes: int = LARGEST_BYTES,
) -> Found:
    """What a file is that is not packed.

    ``declared``: what its sender says that it is. One that is RAW is a disk byte for byte,
    whatever it looks like; any other must bear its mark. ``name`` is what the sender calls
    it: a hint that makes nothing of it, and warns of a disk that lost its mark on the way.

    Raises:
        FileRefused: the sentence names the rule.
    """
    with path.open("rb") as file:
        window = Window(file, path.stat().st_size, largest_bytes=largest_bytes)
        if window.size_bytes < SECTOR:
            raise FileRefused(
                "too_small",
                f"The file has {window.size_bytes} bytes, and a disk has at least {SECTOR}.",
            )
        if declared is DiskFormat.RAW:
            return _raw(window, plain.Plain())
        return _inspect(window, declared, name)


def _inspect(window: Window, declared: DiskFormat | None, name: str) -> Found:
    head = window.some(0, HEAD_BYTES)
    claims = _claims(window, head)
    about = plain.look(window) if not claims or _is_iso(head) else plain.Plain()
    _must_be_one(claims, about)
    if declared and declared not in claims:
        raise FileRefused(
            "format_differs",
            f"The file was said to be a {declared.name} disk, and has no mark of one.",
        )
    if claims:
        size = _SIZES[claims[0]](window)
        return Found(format=claims[0], size_bytes=padded(size))
    must_not_be_strange(head)
    _must_not_be_called(name)
    return _raw(window, about)


def must_not_be_strange(head: bytes) -> None:
    """Raises: FileRefused: what begins so is no disk: an archive, a web page, ..."""
    for magic, rule, what, way_out in _STRANGERS:
        if head.startswith(magic):
            raise FileRefused(rule, f"The file is {what}. {way_out}")
    if head[_TAR_AT : _TAR_AT + len(_TAR)] == _TAR:
        name = head[:100].split(b"\0", 1)[0].lower()
        what = "an OVA, a tar archive of a machine" if name.endswith(b".ovf") else "a tar archive"
        raise FileRefused("archive", f"The file is {what}. {_ARCHIVE}")
    if head[:64].lstrip().lower().startswith(_PAGES):
        raise FileRefused("web_page", f"The file is a web page or XML, not a disk. {_DECLARE}")


def _must_not_be_called(name: str) -> None:
    """A raw disk has no mark, and neither has half a disk of another format."""
    called = PurePath(_unpacked_name(name)).suffix.lower()
    if called in _NAMED:
        raise FileRefused(
            "name_differs",
            f"The file is called {called} and has no mark of that format: it is damaged or cut "
            f"short. {_DECLARE}",
        )


def _unpacked_name(name: str) -> str:
    suffix = PurePath(name).suffix.lower()
    return name[: -len(suffix)] if suffix in _PACKED_NAMES else name


def claimed_bytes(head: bytes) -> int:
    """How large a disk a file that begins so says to hold; 0: it does not say.

    To refuse early. What is true, ``inspect`` finds out from the whole file.
    """
    if head.startswith(qcow2.MAGIC):
        return int.from_bytes(head[24:32], "big")
    if _is_vdi(head):
        return int.from_bytes(head[368:376], "little")
    if head.startswith(vmdk.MAGIC):
        return int.from_bytes(head[12:20], "little") * SECTOR
    if head.startswith(vhd.MAGIC):
        return int.from_bytes(head[48:56], "big")
    return 0


def padded(size_bytes: int) -> int:
    """Up to whole sectors."""
    return -(-size_bytes // SECTOR) * SECTOR


def _claims(window: Window, head: bytes) -> list[DiskFormat]:
    """The formats whose mark it bears."""
    marks = {
        DiskFormat.QCOW2: head.startswith(qcow2.MAGIC),
        DiskFormat.VMDK: head.startswith(vmdk.MAGIC),
        DiskFormat.VHDX: head.startswith(vhdx.MAGIC),
        DiskFormat.VDI: _is_vdi(head),
        DiskFormat.VHD: head.startswith(vhd.MAGIC) or vhd.is_fixed(window),
    }
    return [format for format, is_marked in marks.items() if is_marked]


def _is_vdi(head: bytes) -> bool:
    at = vdi.SIGNATURE_AT
    return head[at : at + len(vdi.SIGNATURE)] == vdi.SIGNATURE


def _is_iso(head: bytes) -> bool:
    return head[plain.DESCRIPTOR_AT :].startswith(plain.ISO_MAGIC)


def _must_be_one(claims: list[DiskFormat], about: plain.Plain) -> None:
    names = [claim.name for claim in claims] + ["ISO 9660"] * about.is_iso
    if len(names) > 1:
        raise FileRefused(
            "ambiguous",
            f"The file claims to be {' and '.join(names)} at once, so nobody can tell what it "
            f"holds. {_DECLARE}",
        )


def _raw(window: Window, about: plain.Plain) -> Found:
    window.must_be_possible(window.size_bytes)
    return Found(
        format=DiskFormat.RAW,
        size_bytes=padded(window.size_bytes),
        is_iso=about.is_iso,
        label=about.label,
    )

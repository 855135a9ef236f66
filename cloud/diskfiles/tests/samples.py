"""Disk files for tests: sound ones of every kind, and what strangers send instead."""

import io
import random
import struct
import subprocess
from pathlib import Path

import pycdlib

from cloud.types import DiskFormat

MIB = 1 << 20
#: A name for people -> the format and the options that make such a file.
KINDS: dict[str, tuple[DiskFormat, str]] = {
    "raw": (DiskFormat.RAW, ""),
    "qcow2": (DiskFormat.QCOW2, ""),
    "qcow2 version 2": (DiskFormat.QCOW2, "compat=0.10"),
    "qcow2 small clusters": (DiskFormat.QCOW2, "cluster_size=512"),
    "qcow2 extended": (DiskFormat.QCOW2, "extended_l2=on,cluster_size=128k"),
    "qcow2 zstd": (DiskFormat.QCOW2, "compression_type=zstd"),
    "VDI": (DiskFormat.VDI, ""),
    "VDI fixed": (DiskFormat.VDI, "static=on"),
    "VMDK monolithicSparse": (DiskFormat.VMDK, ""),
    "VMDK streamOptimized": (DiskFormat.VMDK, "subformat=streamOptimized"),
    "VHD": (DiskFormat.VHD, "force_size=on"),
    "VHD fixed": (DiskFormat.VHD, "subformat=fixed,force_size=on"),
    "VHDX": (DiskFormat.VHDX, ""),
    "VHDX fixed": (DiskFormat.VHDX, "subformat=fixed"),
}
DISK_BYTES = 2 * MIB


def disk(size_bytes: int = DISK_BYTES, seed: int = 7) -> bytes:
    """Bytes as a disk has them: some data, a hole, some more."""
    some = random.Random(seed)
    part = size_bytes // 8 // 512 * 512
    middle = size_bytes // 2 // 512 * 512
    data = some.randbytes(part)
    return (data + bytes(middle - part) + data[::-1]).ljust(size_bytes, b"\0")[:size_bytes]


def qemu_img(*words: str | Path) -> None:
    subprocess.run(["qemu-img", *map(str, words)], check=True, capture_output=True)


def make(folder: Path, kind: str, content: bytes) -> Path:
    """A sound file of one of ``KINDS``, by Debian's qemu-img, with ``content`` in it."""
    format, options = KINDS[kind]
    plain, path = folder / "plain", folder / kind.replace(" ", "-")
    plain.write_bytes(content)
    chosen = ["-o", options] if options else []
    qemu_img("convert", "-f", "raw", "-O", format.value, *chosen, plain, path)
    plain.unlink()
    return path


def iso(label: str = "DATA2026", content: bytes = b"hello stratuslab\n") -> bytes:
    image = pycdlib.PyCdlib()
    image.new(vol_ident=label, rock_ridge="1.09")
    image.add_fp(io.BytesIO(content), len(content), "/HELLO.;1", rr_name="hello")
    out = io.BytesIO()
    image.write_fp(out)
    image.close()
    return out.getvalue()


def patched(path: Path, at: int, new: bytes) -> Path:
    with path.open("r+b") as file:
        file.seek(at)
        file.write(new)
    return path


def patched_qcow2(folder: Path, at: int, layout: str, value: int) -> Path:
    """A qcow2 disk, one number of whose header is another."""
    path = folder / "patched.qcow2"
    qemu_img("create", "-f", "qcow2", path, str(DISK_BYTES))
    return patched(path, at, struct.pack(layout, value))


def vmdk_with(folder: Path, old: bytes, new: bytes) -> Path:
    """A VMDK disk whose own description of itself says something else."""
    path = folder / "patched.vmdk"
    qemu_img("create", "-f", "vmdk", path, str(DISK_BYTES))
    text = path.read_bytes()[512:10752].rstrip(b"\0")
    if old not in text:
        raise ValueError(f"not in the description: {old!r}")
    return patched(path, 512, text.replace(old, new).ljust(10240, b"\0"))


def streamed_vmdk(folder: Path, content: bytes) -> Path:
    """As VMware exports one: its directory is known only at its end."""
    path = make(folder, "VMDK streamOptimized", content)
    head = bytearray(path.read_bytes()[:512])
    footer = bytes(head)
    struct.pack_into("<Q", head, 56, (1 << 64) - 1)
    patched(path, 0, bytes(head))
    mark = struct.pack("<QII", 1, 0, 3).ljust(512, b"\0")
    with path.open("ab") as file:
        file.write(mark + footer + bytes(512))
    return path


def vhd_sum(head: bytes, at: int) -> bytes:
    """A VHD footer or header with its checksum made right."""
    blank = head[:at] + bytes(4) + head[at + 4 :]
    return head[:at] + struct.pack(">I", ~sum(blank) & 0xFFFFFFFF) + head[at + 4 :]


def vhd_footer(size_bytes: int, kind: int = 2) -> bytes:
    """The footer of a VHD disk. ``kind``: 2 fixed, 3 dynamic, 4 differencing."""
    head = struct.pack(">8sIIQ", b"conectix", 2, 0x10000, (1 << 64) - 1 if kind == 2 else 512)
    head += struct.pack(">I4sI4sQQ", 0, b"win ", 0x60001, b"Wi2k", size_bytes, size_bytes)
    head += struct.pack(">HBBI", 1, 1, 1, kind)
    return vhd_sum(head.ljust(512, b"\0"), 64)

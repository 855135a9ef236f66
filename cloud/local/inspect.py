"""What an image file really is, found out without letting it name another file.

A qcow2 header can point at any file of the host, and QEMU's tools follow it. So the
header is read here first, and ``qemu-img`` sees the file only with its format given, in
a child without rights (engine.md, section 9).
"""

import json
import os
import struct
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cloud.errors import CloudBusy, CloudRefused
from cloud.local.process import ENVIRONMENT
from cloud.types import ImageFormat

NOBODY = 65534
LARGEST_BYTES = 2 << 40
LIMIT_S = 15

_QCOW2 = b"QFI\xfb"
_ENCRYPTED = 32
_INCOMPATIBLE = 72
_DATA_FILE = 1 << 2
_CORRUPT = 1 << 1
_MAGIC = {
    _QCOW2: "a qcow2 disk",
    b"KDMV": "a VMDK disk",
    b"COWD": "a VMDK disk",
    b"# Disk Descripto": "a VMDK descriptor",
    b"vhdxfile": "a VHDX disk",
    b"conectix": "a VHD disk",
    b"QED\0": "a QED disk",
    b"\x1f\x8b": "compressed (gzip); unpack it first",
    b"BZh": "compressed (bzip2); unpack it first",
    b"\xfd7zXZ\0": "compressed (xz); unpack it first",
    b"\x28\xb5\x2f\xfd": "compressed (zstd); unpack it first",
    b"PK\x03\x04": "a zip archive; unpack it first",
}


def check(path: Path, declared: ImageFormat) -> int:
    """The virtual size in bytes of the image at ``path``, if it is what was declared.

    Raises:
        CloudRefused: it is something else, is damaged, or refers to other files.
    """
    with path.open("rb") as file:
        check_head(file.read(512), declared)
    about = _qemu_img_info(path, declared)
    virtual: int = int(about["virtual-size"])
    if not 0 < virtual <= LARGEST_BYTES:
        raise CloudRefused(
            f"The image's disk has {virtual} bytes; this site takes 1 to {LARGEST_BYTES}."
        )
    return virtual


def check_head(head: bytes, declared: ImageFormat) -> None:
    """Judge an image by its first 512 bytes alone.

    Raises:
        CloudRefused: it is not what was declared, or refers to other files.
    """
    if declared is ImageFormat.QCOW2:
        _check_qcow2(head)
    else:
        _check_raw(head)


def _check_raw(head: bytes) -> None:
    for magic, kind in _MAGIC.items():
        if head.startswith(magic):
            raise CloudRefused(f"The image is declared raw, but it is {kind}.")


def _check_qcow2(head: bytes) -> None:
    if not head.startswith(_QCOW2) or len(head) < 104:
        raise CloudRefused("The image is declared qcow2, but it is not a qcow2 disk.")
    version, backing = struct.unpack(">IQ", head[4:16])
    if backing:
        raise CloudRefused("The image names a backing file. Flatten it first (qemu-img convert).")
    if struct.unpack_from(">I", head, _ENCRYPTED)[0]:
        raise CloudRefused("The image is encrypted, so it cannot be booted here.")
    features = struct.unpack_from(">Q", head, _INCOMPATIBLE)[0] if version >= 3 else 0
    if features & _DATA_FILE:
        raise CloudRefused("The image keeps its data in another file. Flatten it first.")
    if features & _CORRUPT:
        raise CloudRefused("The image is marked as damaged (qemu-img check).")


def _qemu_img_info(path: Path, declared: ImageFormat) -> dict[str, Any]:
    command = ["qemu-img", "info", "-f", declared.value, "--output=json", f"./{path.name}"]
    done = jailed(command, cwd=path.parent, uid=NOBODY if os.geteuid() == 0 else None)
    if done.returncode:
        raise CloudRefused(
            f"The image is not a sound {declared} disk: qemu-img cannot read it.",
            detail=done.stderr.decode(errors="replace")[-2000:],
        )
    about: dict[str, Any] = json.loads(done.stdout)
    named = {"backing-filename", "full-backing-filename", "encrypted"} & about.keys()
    if named or "data-file" in json.dumps(about.get("format-specific", {})):
        raise CloudRefused("The image refers to other files or is encrypted. Flatten it first.")
    return about


def jailed(
    command: Sequence[str], *, cwd: Path, uid: int | None, file_bytes: int = 1 << 20
) -> subprocess.CompletedProcess[bytes]:
    """Run a tool over bytes we do not trust, with next to no rights.

    Raises:
        CloudBusy: it took longer than ``LIMIT_S``.
    """
    user = (
        ["setpriv", "--no-new-privs", "--"]
        if uid is None
        else ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups", "--no-new-privs"]
    )
    limits = ["--as=1073741824", "--cpu=10", "--nofile=64", "--core=0", f"--fsize={file_bytes}"]
    wrapped = ["prlimit", *limits, "--", *user, *command]
    try:
        return subprocess.run(
            wrapped,
            cwd=cwd,
            env=ENVIRONMENT,
            capture_output=True,
            stdin=subprocess.DEVNULL,
            timeout=LIMIT_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise CloudBusy(
            "Looking at the disk took too long. Try again.", detail=repr(error)
        ) from error

"""Whether an image file is what it was declared, found out without letting it name another.

What heads mean is known in ``cloud.diskfiles``; here is what the engine asks of an image:
a file in its declared format, never packed, that ``qemu-img`` reads as well.
"""

import subprocess
from collections.abc import Sequence
from pathlib import Path

from cloud.diskfiles import child, convert, headers
from cloud.diskfiles.headers import Packing
from cloud.errors import CloudBusy, CloudRefused
from cloud.types import DiskFormat, ImageFormat

LARGEST_BYTES = 2 << 40
LIMIT_S = 15


def check(path: Path, declared: ImageFormat) -> int:
    """The virtual size in bytes of the image at ``path``, if it is what was declared.

    Raises:
        CloudRefused: it is something else, is damaged, or refers to other files.
    """
    judge(path, declared)
    return convert.look(path, DiskFormat(declared)).size_bytes


def judge(path: Path, declared: ImageFormat) -> None:
    """Judge an image by its heads alone.

    Raises:
        CloudRefused: it is not what was declared, or refers to other files.
    """
    with path.open("rb") as file:
        packed = headers.packing_of(file.read(headers.HEAD_BYTES))
    if packed is not Packing.NONE:
        raise CloudRefused(
            f"The image is declared {declared}, but it is compressed ({packed}); unpack it first."
        )
    found = headers.inspect(path, largest_bytes=LARGEST_BYTES)
    if found.format != DiskFormat(declared):
        raise CloudRefused(
            f"The image is declared {declared}, but it is a {found.format.name.lower()} disk."
        )


def jailed(
    command: Sequence[str], *, cwd: Path, uid: int | None, file_bytes: int = 1 << 20
) -> subprocess.CompletedProcess[bytes]:
    """Run a tool over bytes we do not trust, with next to no rights.

    Raises:
        CloudBusy: it took longer than ``LIMIT_S``.
    """
    try:
        return subprocess.run(
            child.argv(command, uid=uid, limits=child.Limits(file_bytes=file_bytes)),
            cwd=cwd,
            env=child.ENVIRONMENT,
            capture_output=True,
            stdin=subprocess.DEVNULL,
            timeout=LIMIT_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise CloudBusy(
            "Looking at the disk took too long. Try again.", detail=repr(error)
        ) from error

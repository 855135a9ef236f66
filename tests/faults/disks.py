"""A disk of its own for a site, which can be made full in an instant."""

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

from conftest import wait_for

SIZE = "8g"


@contextlib.contextmanager
def disk(place: Path, size: str = SIZE) -> Iterator[None]:
    """Mount memory at ``place``, where that is allowed; it holds no more than is in it."""
    place.mkdir(parents=True, exist_ok=True)
    if os.geteuid() != 0:
        yield
        return
    options = f"size={size},mode=700"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "portal-test", place], check=True)
    try:
        yield
    finally:
        wait_for(lambda: subprocess.call(["umount", place]) == 0, within_s=10, every_s=0.5)


def resize(place: Path, size: str) -> bool:
    """Whether the disk could be made so large; not if more than that is on it."""
    return subprocess.call(["mount", "-o", f"remount,size={size}", place]) == 0


def shrink(place: Path) -> bool:
    """Take the room that is left away."""
    about = os.statvfs(place)
    return resize(place, str((about.f_blocks - about.f_bfree) * about.f_frsize))


@contextlib.contextmanager
def full(place: Path, size: str = SIZE) -> Iterator[None]:
    """For a while, not one byte more fits."""
    ballast = place / "ballast"
    ballast.write_bytes(b"\0" * os.sysconf("SC_PAGE_SIZE"))  # a tmpfs of size 0 has no limit
    wait_for(lambda: shrink(place))
    try:
        assert os.statvfs(place).f_bavail == 0
        yield
    finally:
        assert resize(place, size)
        ballast.unlink()

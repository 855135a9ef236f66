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


def resize(place: Path, size: str) -> None:
    subprocess.run(["mount", "-o", f"remount,size={size}", place], check=True)


@contextlib.contextmanager
def full(place: Path, size: str = SIZE) -> Iterator[None]:
    """For a while, not one byte more fits."""
    ballast = place / "ballast"
    ballast.write_bytes(b"\0" * os.sysconf("SC_PAGE_SIZE"))  # a tmpfs of size 0 has no limit
    about = os.statvfs(place)
    resize(place, str((about.f_blocks - about.f_bfree) * about.f_frsize))
    try:
        assert os.statvfs(place).f_bavail == 0
        yield
    finally:
        resize(place, size)
        ballast.unlink()

"""Where files to download are prepared: under names of ours, one folder for each.

::

    PORTAL_DOWNLOADS/<uuid of the download>/disk.raw     as the cloud gives it
                                           /disk.<format>  what is downloaded; whole once it
                                                           has this name
"""

import os
import re
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

from django.conf import settings

from registration.models import GIB
from volumes.models import Export, ExportFormat

#: Left free where downloads are prepared: databases and logs may live there as well.
FLOOR_BYTES = GIB
_UNSAFE = re.compile(r"[^\w.-]+")
LONGEST_STEM = 60


def place() -> Path:
    return Path(settings.PORTAL_DOWNLOADS)


def folder(export: Export) -> Path:
    return place() / str(export.uuid)


def make(export: Export) -> Path:
    """Make its folder if it is not there."""
    where = folder(export)
    where.mkdir(mode=0o700, parents=True, exist_ok=True)
    return where


def plain(export: Export) -> Path:
    """What the cloud writes: the disk itself."""
    return folder(export) / (
        "disk.qcow2" if export.format == ExportFormat.QCOW2 else "disk.raw"
    )  # fmt: skip


def file(export: Export) -> Path:
    """What is downloaded."""
    return folder(export) / f"disk.{export.format}"


def partial(export: Export) -> Path:
    """What becomes ``file``: a new name each time, and those of before are gone.

    A worker that was taken for dead may still write to its own, and then finds no file to
    give its name to.
    """
    where, name = folder(export), f".disk.{export.format}.part-"
    for left in where.glob(f"{name}*"):
        left.unlink(missing_ok=True)
    return where / f"{name}{secrets.token_hex(4)}"


def room_bytes() -> int:
    """How much more may be written."""
    where = place()
    where.mkdir(mode=0o700, parents=True, exist_ok=True)
    return max(0, shutil.disk_usage(where).free - FLOOR_BYTES)


def forget(key: UUID) -> None:
    """Remove what was prepared. Quiet if nothing was."""
    shutil.rmtree(place() / str(key), ignore_errors=True)


def all_keys() -> Iterator[UUID]:
    """Of every folder that is named as ours are."""
    where = place()
    for name in sorted(os.listdir(where)) if where.is_dir() else ():
        try:
            yield UUID(name)
        except ValueError:
            continue  # not ours to touch


def file_name(export: Export) -> str:
    """What it is called on the computer of who downloads it: no path, no hidden file."""
    volume = export.volume
    words = [volume.tag or "disk", export.snapshot.name if export.snapshot else ""]
    stem = _UNSAFE.sub("-", "-".join(filter(None, words))).strip("-.")[:LONGEST_STEM]
    return f"{stem.strip('-.') or 'disk'}-{volume.token[:8]}.{export.format}"

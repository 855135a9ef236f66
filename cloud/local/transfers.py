"""Whole disks in and out: imported, copied, exported. Whole at the end, or not there."""

import contextlib
import errno
import fcntl
import functools
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from cloud.diskfiles import convert, headers
from cloud.driver import Progress
from cloud.errors import CloudBusy, CloudFull, CloudRefused, Unsupported
from cloud.local import plugs, qcow2, volumes
from cloud.local.site import Site
from cloud.local.volumes import Volume
from cloud.types import DiskFormat, VolumeInfo, VolumeSource

#: Share the blocks of another file: ioctl_ficlone(2).
FICLONE = 0x40049409
#: How a file system says that it cannot, or not between these two.
_CANNOT = {errno.EOPNOTSUPP, errno.ENOTTY, errno.ENOSYS, errno.EXDEV, errno.EINVAL}
_BLOCK = 4096
EXPORTS = frozenset({DiskFormat.RAW, DiskFormat.QCOW2})
NOT_SHARED = (
    "A copy takes as much room and time as the data: the file system under this site's disks"
    " cannot share blocks between files (XFS and Btrfs can)."
)


def add(site: Site, source: VolumeSource, *, token: str, on_progress: Progress) -> None:
    """A volume with the disk that is in a file. Quiet if there is one."""
    volumes.must_be_a_size(source.size_bytes)
    with volumes.making(site, token, wait_s=0) as new:
        if new is None:
            on_progress(source.size_bytes, source.size_bytes)
            return
        found = _inspected(source)
        _must_be_of(source.size_bytes, found.size_bytes)
        must_have_room(site, _room_for(source, found.format, on_progress))
        disk = new / volumes.DISK
        _convert(site, source.path, source.format, disk, source.size_bytes, on_progress)
        _must_be_of(source.size_bytes, qcow2.read(disk).size_bytes)


def _must_be_of(size_bytes: int, found: int) -> None:
    if found != size_bytes:
        raise CloudRefused(f"The disk in the file should have {size_bytes} bytes and has {found}.")


def _inspected(source: VolumeSource) -> headers.Found:
    try:
        return headers.inspect(source.path, declared=source.format)
    except OSError as error:
        raise CloudRefused("The disk's file cannot be read.", detail=repr(error)) from error


def _room_for(source: VolumeSource, format: DiskFormat, on_progress: Progress) -> int:
    """Known before anything is written: a small file may hold a large disk."""
    return convert.room_bytes(
        source.path, format, on_tick=lambda: on_progress(0, source.size_bytes)
    )


def must_have_room(site: Site, need_bytes: int) -> None:
    """Raises: CloudFull."""
    free = site.free_disk_bytes()
    if need_bytes > free or not free:
        raise CloudFull(
            f"It takes {need_bytes >> 20} MiB and the site has {free >> 20} MiB of disk left."
            " It goes on when disks, machines or images have been removed."
        )


def _convert(
    site: Site,
    source: Path,
    source_format: DiskFormat,
    disk: Path,
    size_bytes: int,
    on_progress: Progress,
    *,
    snapshot: str = "",
) -> None:
    convert.convert(
        source,
        source_format,
        disk,
        DiskFormat.QCOW2,
        size_bytes=size_bytes,
        snapshot=snapshot,
        on_progress=above_the_floor(site, on_progress),
    )


def above_the_floor(site: Site, on_progress: Progress) -> Progress:
    """Stop before the site's disk is fuller than it may become."""

    def tell(done: int, in_all: int) -> None:
        if not site.free_disk_bytes():
            raise CloudFull(volumes.full(site))
        on_progress(done, in_all)

    return tell


# Copies ---------------------------------------------------------------------------------


def copy(site: Site, ref: str, *, token: str, snapshot: str, on_progress: Progress) -> None:
    """An independent volume that begins as this one is, or was. Quiet if there is one."""
    source = Volume(site, ref)
    source.load()
    with volumes.making(site, token, wait_s=0) as new:
        if new is None:
            size_bytes = Volume(site, token).load().size_bytes
            on_progress(size_bytes, size_bytes)
            return
        with source.read(snapshot) as info:
            disk = new / volumes.DISK
            if not _cloned(source, info, disk, snapshot):
                must_have_room(site, min(info.used_bytes or 0, info.size_bytes))
                size_bytes = info.size_bytes
                _convert(
                    site, source.disk, DiskFormat.QCOW2, disk, size_bytes, on_progress,
                    snapshot=snapshot,
                )  # fmt: skip
                _shrink(disk, DiskFormat.QCOW2, qcow2.read(source.disk).size_at(snapshot))
    size_bytes = Volume(site, token).load().size_bytes
    on_progress(size_bytes, size_bytes)


def _cloned(source: Volume, info: VolumeInfo, disk: Path, snapshot: str) -> bool:
    """Share the blocks, where the file system can and nobody writes to them meanwhile."""
    if snapshot and any(one.run for one in plugs.holders(source.site, source.token)):
        return False
    if not clone(source.disk, disk):
        return False
    if snapshot:
        volumes.edit_file(disk, "snapshot", "-q", "-a", snapshot)
    for name in qcow2.read(disk).snapshots:
        volumes.edit_file(disk, "snapshot", "-q", "-d", name)
    return True


def clone(source: Path, target: Path) -> bool:
    """Make ``target`` share all blocks of ``source``; False: this file system cannot."""
    with source.open("rb") as reading, target.open("xb") as writing:
        os.fchmod(writing.fileno(), 0o600)
        if not _share(reading, writing):
            target.unlink()
            return False
        os.fsync(writing.fileno())
    return True


def _share(reading: IO[bytes], writing: IO[bytes]) -> bool:
    try:
        fcntl.ioctl(writing, FICLONE, reading.fileno())
    except OSError as error:
        if error.errno in _CANNOT:
            return False
        raise
    return True


@functools.cache
def shares_blocks(site: Site) -> bool:
    """Whether copies are made without copying: asked once of each home in a process."""
    site.make()
    with (
        tempfile.TemporaryFile(dir=site.volumes) as one,
        tempfile.TemporaryFile(dir=site.volumes) as other,
    ):
        one.write(bytes(_BLOCK))
        one.flush()
        return _share(one, other)


def _shrink(disk: Path, format: DiskFormat, size_bytes: int) -> None:
    """To the size of then: qemu-img writes a snapshot with the size that the disk has now."""
    if format is DiskFormat.RAW:
        os.truncate(disk, size_bytes)
    elif qcow2.read(disk).size_bytes > size_bytes:
        volumes.edit_file(disk, "resize", "-q", "--shrink", after=[str(size_bytes)])


# Exports --------------------------------------------------------------------------------


def export(
    site: Site, ref: str, path: Path, format: DiskFormat, *, snapshot: str, on_progress: Progress
) -> None:
    """Write the disk to a new file, whole or not at all."""
    if format not in EXPORTS:
        raise Unsupported(f"This engine exports disks as raw or qcow2, not as {format.name}.")
    volume = Volume(site, ref)
    with volume.read(snapshot) as info, _whole(path) as partial:
        _must_have_room_for(site, path.parent, info.used_bytes or 0)
        convert.convert(
            volume.disk,
            DiskFormat.QCOW2,
            partial,
            format,
            size_bytes=info.size_bytes,
            snapshot=snapshot,
            on_progress=_room_left(site, path.parent, on_progress),
        )
        _shrink(partial, format, qcow2.read(volume.disk).size_at(snapshot))


@contextlib.contextmanager
def _whole(path: Path) -> Iterator[Path]:
    """A name that becomes ``path`` at the end, for one export at a time in that folder.

    Raises:
        CloudBusy: somebody exports to there now.
    """
    partial = path.with_name(f".{path.name}.part")
    with _alone_in(path.parent):
        partial.unlink(missing_ok=True)
        try:
            yield partial
            partial.rename(path)
        finally:
            partial.unlink(missing_ok=True)


@contextlib.contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """A killed holder lets go by itself, and leaves no file of a lock."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise CloudBusy("It is being prepared already.", detail=str(folder)) from error
        yield
    finally:
        os.close(fd)


def _room(site: Site, folder: Path) -> int:
    return max(0, shutil.disk_usage(folder).free - site.disk_floor_bytes)


def _must_have_room_for(site: Site, folder: Path, need_bytes: int) -> None:
    if need_bytes > _room(site, folder):
        raise CloudFull(
            f"The download takes up to {need_bytes >> 20} MiB and there are"
            f" {_room(site, folder) >> 20} MiB of disk left for it. It goes on when there is room."
        )


def _room_left(site: Site, folder: Path, on_progress: Progress) -> Progress:
    def tell(done: int, in_all: int) -> None:
        if not _room(site, folder):
            raise CloudFull(volumes.full(site))
        on_progress(done, in_all)

    return tell

"""A disk of one or two files becomes one qcow2 file, and is summed in the same pass.

The bytes are read once, as the guest sees them: what is not zero goes to the new file, all of
it through the checksums. Zeros that the file system or the format knows of are not read.
"""

import contextlib
import errno
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from cloud.diskfiles import child, convert, lending, nbd, serving
from cloud.diskfiles.digests import Digests
from cloud.diskfiles.refusal import FileRefused
from cloud.diskfiles.serving import Disk
from cloud.errors import CloudBusy, CloudFull, CloudUnavailable
from cloud.types import DiskFormat

_CLUSTER = 64 << 10
_ZEROS = bytes(nbd.PIECE)
_TELL_EVERY_S = 0.5
_CHECK_S = 120
#: Written bytes start on their way to the disk in portions, so that the end waits for few.
_SYNC_EVERY = 64 << 20


@contextlib.contextmanager
def layers(
    fd: int, uid: int | None, *, base: tuple[int, DiskFormat] | None = None, snapshot: str = ""
) -> Iterator[Disk]:
    """The disk in a qcow2 file, which lies on ``base`` or on nothing, to be read by ``uid``.

    Both are descriptors (``serving.opened``). No name in a file is followed, and no format is
    guessed. ``snapshot`` is read beside a QEMU that writes to the file; it stays as it is.
    """
    node: dict[str, Any] = {**_node(fd, DiskFormat.QCOW2), "backing": None}
    files = [fd]
    if base:
        node["backing"] = _node(*base)
        files.append(base[0])
        if base[1] is DiskFormat.QCOW2:
            node["backing"]["backing"] = None
    if snapshot:
        node["force-share"] = True
    with contextlib.ExitStack() as stack:
        for one in files:
            stack.enter_context(lending.lent(one, uid))
        yield Disk(node=node, files=files, snapshot=snapshot)


def _node(fd: int, format: DiskFormat) -> dict[str, Any]:
    return {
        "driver": format.value,
        "read-only": True,
        "file": {"driver": "file", "filename": child.path_of(fd), "read-only": True},
    }


def room_bytes(disk: Disk, uid: int | None, *, on_tick: Callable[[], None]) -> int:
    """How much the disk takes in one qcow2 at most, found in its tables.

    Raises:
        FileRefused: its files are not sound. CloudBusy: somebody writes to them.
    """
    said: list[bytes] = []
    ended = child.run(
        ["qemu-img", "measure", "--output=json", "-O", "qcow2", *disk.at, disk.name],
        uid=uid,
        limits=child.Limits(cpu_s=_CHECK_S),
        files=disk.files,
        on_output=said.append,
        on_tick=on_tick,
    )
    _must_have_ended_well(ended)
    return int(json.loads(b"".join(said))["required"])


def flatten(
    disk: Disk,
    uid: int | None,
    target: Path,
    *,
    size_bytes: int,
    on_progress: convert.Progress,
) -> Mapping[str, str]:
    """Write the disk to the empty qcow2 ``target``; its checksums by the names of ``hashlib``.

    ``target`` is ours, has ``size_bytes`` and holds nothing; its folder is ours alone. What is
    written is on disk in the end. ``on_progress`` may raise to end it all.

    Raises:
        FileRefused: the disk is not sound, or has another size. CloudFull. CloudBusy.
        CloudUnavailable: the host could not start what reads it.
    """
    fd = serving.opened(target, os.O_RDWR)
    try:
        if uid is not None:
            os.fchown(fd, uid, uid)
        told = _Told(size_bytes, on_progress)
        with _both(disk, fd, target.parent, uid, size_bytes, told.tick) as (source, copy):
            found = _copied(source, copy, fd, told)
        if uid is not None:
            os.fchown(fd, os.geteuid(), os.getegid())
        os.fsync(fd)
    finally:
        os.close(fd)
    on_progress(size_bytes, size_bytes)
    return found


class _Told:
    """How far it is, told often enough."""

    def __init__(self, size_bytes: int, on_progress: convert.Progress) -> None:
        self._size_bytes = size_bytes
        self._on_progress = on_progress
        self._at = 0.0
        self.done = 0

    def tick(self) -> None:
        now = time.monotonic()
        if now - self._at >= _TELL_EVERY_S:
            self._at = now
            self._on_progress(self.done, self._size_bytes)


@contextlib.contextmanager
def _both(
    disk: Disk,
    fd: int,
    folder: Path,
    uid: int | None,
    size_bytes: int,
    on_tick: Callable[[], None],
) -> Iterator[tuple[nbd.Client, nbd.Client]]:
    limits = convert.limits(size_bytes, DiskFormat.QCOW2)
    node = {"driver": "qcow2", "file": {"driver": "file", "filename": child.path_of(fd)}}
    target = Disk(node={**node, "backing": None}, files=[fd])
    shared: dict[str, Any] = {"folder": folder, "uid": uid, "limits": limits, "on_tick": on_tick}
    try:
        with (
            serving.served(target, writable=True, **shared) as copy,
            serving.served(disk, **shared) as source,
        ):
            if (source.size_bytes, copy.size_bytes) != (size_bytes, size_bytes):
                raise FileRefused(
                    "another_size",
                    f"The disk should have {size_bytes} bytes and has {source.size_bytes}.",
                )
            yield source, copy
    except serving.Gone as error:
        if error.ended is None:
            raise CloudUnavailable(
                "The site could not read the disk now. Try again later.", detail=str(error)
            ) from error
        _must_have_ended_well(error.ended)
        raise _unsound(str(error)) from error
    except nbd.Failed as error:
        if error.errno == errno.ENOSPC:
            raise CloudFull(
                "The site's disk is full. It goes on when there is room again.", detail=str(error)
            ) from error
        raise _unsound(str(error)) from error


def _must_have_ended_well(ended: child.Ended) -> None:
    if ended.code and "Failed to get" in ended.words:
        raise CloudBusy("Something else writes to the disk now. Try again.", detail=ended.words)
    convert.must_have_ended_well(ended, DiskFormat.QCOW2)


def _unsound(detail: str) -> FileRefused:
    return FileRefused(
        "not_sound", "The disk is damaged: it cannot be read to its end.", detail=detail
    )


def _copied(source: nbd.Client, copy: nbd.Client, fd: int, told: _Told) -> Mapping[str, str]:
    written = synced = 0
    with Digests() as digests:
        for length, piece in source.pieces():
            digests.update(_ZEROS[:length] if piece is None else piece)
            if piece is not None:
                written += _write(copy, told.done, piece)
            if written - synced >= _SYNC_EVERY:
                # Linux begins to write what is dirty there, and waits for nothing.
                os.posix_fadvise(fd, synced, written - synced, os.POSIX_FADV_DONTNEED)
                synced = written
            told.done += length
            told.tick()
        copy.flush()
        return digests.found()


def _write(copy: nbd.Client, at: int, piece: bytearray) -> int:
    """How many bytes of it had to be written."""
    written = 0
    for begin, end in _filled(piece):
        copy.write(at + begin, memoryview(piece)[begin:end])
        written += end - begin
    return written


def _filled(piece: bytearray) -> Iterator[tuple[int, int]]:
    """Where a piece has clusters that are not all zeros."""
    begin = None
    for at in range(0, len(piece), _CLUSTER):
        end = min(at + _CLUSTER, len(piece))
        if piece.startswith(_ZEROS[: end - at], at, end):
            if begin is not None:
                yield begin, at
            begin = None
        elif begin is None:
            begin = at
    if begin is not None:
        yield begin, len(piece)

"""Take files out of a disk, so that nothing of them is left: not in its free blocks either."""

import contextlib
import errno
import os
import re
import secrets
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO

from cloud.diskfiles import child
from cloud.diskfiles.hygiene.asking import Unreadable
from cloud.diskfiles.hygiene.ext import ROOT_INODE, Ext, Node
from cloud.diskfiles.hygiene.parts import Part, parts_of

Tick = Callable[[], None]

_PLAIN = re.compile(r"/[\w.@+:~/-]+", re.ASCII)
_MIB = 1 << 20
#: e2fsck(8): nothing wrong; or mended.
_SOUND = (0, 1)
_MOST_BELOW = 20_000


class NotCleaned(Exception):
    """Nothing was taken out: ``str(error)`` is for the disk's owner."""


def clean(disk: Path, size_bytes: int, paths: Mapping[int, Sequence[str]], *, on_tick: Tick) -> int:
    """Remove files and folders from a raw disk, by the number of their part; how many were there.

    What else was in free blocks is gone as well. ``disk`` is changed in place and is of no use
    if this raises. It takes about as much room again as the largest part holds.

    Raises:
        NotCleaned: a file system is damaged, is none, or is not ext2, ext3 or ext4; or there is
            a name that cannot be named. OSError: the host's disk is full.
    """
    removed = 0
    with disk.open("r+b") as file:
        parts = {part.number: part for part in parts_of(file, size_bytes)}
        for number, wanted in paths.items():
            part = parts.get(number)
            if part is None or part.kind != "ext":
                raise NotCleaned(f"Partition {number} has no file system that can be changed.")
            removed += _clean_part(file, disk.parent, part, wanted, on_tick)
        file.flush()
        os.fsync(file.fileno())
    return removed


def _clean_part(
    disk: IO[bytes], folder: Path, part: Part, wanted: Sequence[str], on_tick: Tick
) -> int:
    with _alone(folder) as copy:
        _copy(disk, part.start_bytes, copy, 0, part.size_bytes, on_tick)
        user = child.new_uid()
        if user is not None:
            os.fchown(copy.fileno(), user, -1)
        system = Ext(fd=copy.fileno(), start_bytes=0, uid=user, on_tick=on_tick)
        _must_be_sound(system)
        removed = _remove(system, wanted)
        _must_be_sound(system, "-E", "discard")  # in a file, free blocks become holes
        _copy(copy, 0, disk, part.start_bytes, part.size_bytes, on_tick, punch=True)
    return removed


def _must_be_sound(system: Ext, *more: str) -> None:
    """What a machine left without a clean shutdown is mended first, as at its next start."""
    if system.run("e2fsck", "-f", "-y", *more) not in _SOUND:
        raise NotCleaned("The file system is damaged and could not be mended.")


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[IO[bytes]]:
    """A file beside the disk that has no name any more."""
    path = folder / f".part-{secrets.token_hex(8)}"
    with path.open("x+b") as file:
        path.unlink()
        yield file


def _copy(
    source: IO[bytes],
    source_at: int,
    target: IO[bytes],
    target_at: int,
    size: int,
    on_tick: Tick,
    *,
    punch: bool = False,
) -> None:
    """Copy a stretch, leaving holes; with ``punch`` what is a hole there becomes zeros here."""
    if not punch:
        os.ftruncate(target.fileno(), target_at + size)
    at = 0
    for begin, end in _data(source.fileno(), source_at, size):
        if punch:
            _zero(target, target_at + at, begin - at, on_tick)
        for here in range(begin, end, 8 * _MIB):
            on_tick()
            piece = os.pread(source.fileno(), min(8 * _MIB, end - here), source_at + here)
            _write(target.fileno(), piece, target_at + here)
        at = end
    if punch:
        _zero(target, target_at + at, size - at, on_tick)


def _write(fd: int, piece: bytes, at: int) -> None:
    view = memoryview(piece)
    while view:
        written = os.pwrite(fd, view, at)
        view, at = view[written:], at + written


def _zero(target: IO[bytes], at: int, size: int, on_tick: Tick) -> None:
    """Zeros where there is data; what is a hole already stays one."""
    for begin, end in _data(target.fileno(), at, size):
        for here in range(begin, end, 8 * _MIB):
            on_tick()
            _write(target.fileno(), bytes(min(8 * _MIB, end - here)), at + here)


def _data(fd: int, start: int, size: int) -> Iterator[tuple[int, int]]:
    """Stretches of a file that are no holes, from ``start`` on, counted from there."""
    at = start
    while at < start + size:
        try:
            begin = os.lseek(fd, at, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:
                return
            raise
        end = os.lseek(fd, begin, os.SEEK_HOLE)
        if begin >= start + size:
            return
        yield begin - start, min(end, start + size) - start
        at = end


def _remove(system: Ext, wanted: Sequence[str]) -> int:
    """How many of these were there."""
    if strange := [path for path in wanted if not _PLAIN.fullmatch(path)]:
        raise NotCleaned(f"{strange[0]!r} has characters that the portal cannot name. Remove it "
                         "inside the machine.")  # fmt: skip
    try:
        found = _found(system, wanted)
        commands = list(_commands(system, found))
        if commands:
            system.ask(commands, writes=True)
        left = list(_found(system, wanted))
    except Unreadable as error:
        raise NotCleaned("The file system cannot be read.") from error
    if left:
        raise NotCleaned(f"{left[0]} could not be removed. Remove it inside the machine.")
    return len(found)


def _found(system: Ext, wanted: Sequence[str]) -> dict[str, Node]:
    """Those that there are, by their paths. Symbolic links on the way are not followed."""
    known: dict[str, Node] = {}
    by_depth: dict[int, set[str]] = defaultdict(set)
    for path in wanted:
        words = path.strip("/").split("/")
        for depth in range(1, len(words) + 1):
            by_depth[depth].add("/" + "/".join(words[:depth]))
    inodes = {"": ROOT_INODE}
    for depth in sorted(by_depth):
        folders = sorted({path.rpartition("/")[0] for path in by_depth[depth]} & inodes.keys())
        answers = system.folders([inodes[folder] for folder in folders])
        for folder, nodes in zip(folders, answers, strict=True):
            for node in nodes:
                path = f"{folder}/{node.name}"
                if path in by_depth[depth]:
                    known[path] = node
                    if node.is_folder:
                        inodes[path] = node.inode
    return {path: known[path] for path in wanted if path in known}


def _commands(system: Ext, found: Mapping[str, Node]) -> Iterator[str]:
    """What is inside of folders first."""
    for path, node in found.items():
        if not node.is_folder:
            yield f'rm "{path}"'
            continue
        below = list(_below(system, path, node))
        if not all(_PLAIN.fullmatch(inner) for inner, _ in below):
            raise NotCleaned(f"{path} has files whose names the portal cannot name. Remove it "
                             "inside the machine.")  # fmt: skip
        for inner, one in reversed(below):
            yield f'{"rmdir" if one.is_folder else "rm"} "{inner}"'
        yield f'rmdir "{path}"'


def _below(system: Ext, path: str, folder: Node) -> Iterator[tuple[str, Node]]:
    """Everything below a folder, each after the folder that it is in."""
    ahead, count = [(path, folder)], 0
    while ahead:
        here, ahead = ahead, []
        for (above, _), nodes in zip(
            here, system.folders([one.inode for _, one in here]), strict=True
        ):
            for node in nodes:
                count += 1
                if count > _MOST_BELOW:
                    raise NotCleaned(f"There are more than {_MOST_BELOW} files in {path}. Remove "
                                     "them inside the machine.")  # fmt: skip
                inner = f"{above}/{node.name}"
                yield inner, node
                if node.is_folder:
                    ahead.append((inner, node))

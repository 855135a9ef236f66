"""From one disk format to another, by ``qemu-img`` in a child.

Format and protocol are always named, never guessed: a guest that writes a qcow2 header
into its raw disk has written bytes. Source: qemu-img(1), "--image-opts".
"""

import contextlib
import json
import os
import re
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cloud.diskfiles import child, lending
from cloud.diskfiles.refusal import FileRefused
from cloud.errors import CloudFull
from cloud.types import DiskFormat

#: Called with (bytes done, bytes in all) at least once a second; raising from it ends all.
Progress = Callable[[int, int], None]

_MIB = 1 << 20
#: Beside the disk's own bytes: tables of a qcow2 with the smallest clusters, and headers.
_TABLES_PER_BYTE = 64
_HEADERS = 64 * _MIB
_SLOWEST_BYTES_PER_S = 8 * _MIB
_START_S = 60
_CHECK_S = 120
_CHECK_DAMAGED, _CHECK_LEAKS = 2, 3  # qemu-img(1); what is only kept for nothing does no harm
_CHECKED = frozenset({DiskFormat.QCOW2, DiskFormat.VMDK, DiskFormat.VDI, DiskFormat.VHDX})
_PACKS_INSIDE = frozenset({DiskFormat.QCOW2, DiskFormat.VMDK})
_SECTOR = 512
_PERCENT = re.compile(rb"\((\d+\.\d+)/100%\)")
_OPENED: Mapping[DiskFormat, Mapping[str, Any]] = {
    # The inspection refuses one that names another; this holds if it comes to name one later.
    DiskFormat.QCOW2: {"backing": None},
    # An older creator's size in cylinders may be smaller than the disk: block/vpc.c of QEMU.
    DiskFormat.VHD: {"force_size_calc": "current_size"},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What ``qemu-img info`` says of a file that names no other."""

    size_bytes: int  # of the disk in it
    format: DiskFormat


def look(path: Path, format: DiskFormat) -> Look:
    """Have qemu-img read the heads of a file.

    Raises:
        FileRefused: ``not_sound``: it cannot; ``names_files``: it would read others too.
    """
    said: list[bytes] = []
    user = child.new_uid()
    with _opened(path, user) as source:
        ended = child.run(
            ["qemu-img", "info", "--output=json", named(source, format)],
            uid=user,
            limits=child.Limits(),
            files=[source],
            on_output=said.append,
            on_tick=_nothing,
        )
    must_have_ended_well(ended, format)
    about: dict[str, Any] = json.loads(b"".join(said))
    others = {"backing-filename", "full-backing-filename", "encrypted"} & about.keys()
    if others or "data-file" in json.dumps(about.get("format-specific", {})):
        raise FileRefused(
            "names_files", "The disk refers to other files or is encrypted. Flatten it first."
        )
    return Look(size_bytes=int(about["virtual-size"]), format=format)


def check(path: Path, format: DiskFormat, *, on_tick: Callable[[], None]) -> None:
    """Have qemu-img follow every table of a file: what lies beyond its end reads as zeros else.

    ``on_tick`` is called now and then, and may raise to end it. Formats that qemu-img cannot
    check (raw, VHD) pass: ``headers`` follows the tables of those.

    Raises:
        FileRefused: ``damaged``, or as ``look``.
    """
    if format not in _CHECKED:
        return
    user = child.new_uid()
    with _opened(path, user) as source:
        ended = child.run(
            ["qemu-img", "check", "-q", named(source, format)],
            uid=user,
            limits=child.Limits(cpu_s=_CHECK_S),
            files=[source],
            on_output=lambda _: None,
            on_tick=on_tick,
        )
    if ended.code == _CHECK_DAMAGED:
        raise FileRefused(
            "damaged",
            f"The {format.name} disk is damaged or cut short: its tables point where nothing is. "
            "Check it where it comes from (qemu-img check), and send the whole file.",
            detail=ended.words,
        )
    if ended.code != _CHECK_LEAKS:
        must_have_ended_well(ended, format)


def room_bytes(path: Path, format: DiskFormat, *, on_tick: Callable[[], None]) -> int:
    """How much the disk in a file takes as a qcow2 at most, found in its tables.

    A file that may be packed inside says nothing of that by its own size. ``on_tick`` as of
    ``check``.

    Raises:
        FileRefused: as ``look``.
    """
    if format not in _PACKS_INSIDE:
        return path.stat().st_blocks * _SECTOR
    said: list[bytes] = []
    user = child.new_uid()
    with _opened(path, user) as source:
        ended = child.run(
            ["qemu-img", "measure", "--output=json", "-O", "qcow2", named(source, format)],
            uid=user,
            limits=child.Limits(cpu_s=_CHECK_S),
            files=[source],
            on_output=said.append,
            on_tick=on_tick,
        )
    must_have_ended_well(ended, format)
    return int(json.loads(b"".join(said))["required"])


def convert(
    source: Path,
    source_format: DiskFormat,
    target: Path,
    target_format: DiskFormat,
    *,
    size_bytes: int,
    on_progress: Progress,
    snapshot: str = "",
    options: Sequence[str] = (),
) -> None:
    """Write the disk in ``source`` to a new file ``target``, whole or not at all, and on disk.

    ``size_bytes`` is the disk's; nothing larger is written. ``snapshot`` is the name of an
    internal one of a qcow2, ``options`` are ``-o`` of the target's format. Zeros take no room.
    No directory needs to be open to the child's user, if we are root: a source becomes readable
    meanwhile to all who can reach it, the target is ours.

    Raises:
        FileRefused: ``not_sound``, ``too_large``, ``too_costly``: the sentence says.
        CloudFull: the site's disk is full.
        FileExistsError: there is a target.
    """
    user = child.new_uid()
    with _opened(source, user) as reading, _made(target) as writing:
        _hand_to(writing, user)
        ended = child.run(
            _converting(reading, source_format, writing, target_format, snapshot, options),
            uid=user,
            limits=limits(size_bytes, target_format),
            files=[reading, writing],
            **_telling(size_bytes, on_progress),
        )
        must_have_ended_well(ended, source_format)
        _hand_to(writing, None if user is None else os.geteuid())
        os.fsync(writing)
    on_progress(size_bytes, size_bytes)


def _converting(
    reading: int,
    source_format: DiskFormat,
    writing: int,
    target_format: DiskFormat,
    snapshot: str,
    options: Sequence[str],
) -> list[str]:
    chosen = [word for option in options for word in ("-o", option)]
    # A snapshot stays as it is while a machine writes to the disk: its lock may be passed by.
    at = ["-U", "-l", f"snapshot.name={snapshot}"] if snapshot else []
    source = [named(reading, source_format)]
    # One page: a hole smaller than that is not worth an entry.
    target = ["-O", target_format.value, *chosen, child.path_of(writing)]
    # Fewer pieces on their way than its own eight: they stay in the processor's cache.
    return ["qemu-img", "convert", "-p", "-S", "4k", "-m", "4", *at, *source, *target]


def named(fd: int, format: DiskFormat) -> str:
    """How qemu-img is told to open a descriptor, and no file that is named in it."""
    node: dict[str, Any] = {
        "driver": format.value,
        "file": {"driver": "file", "filename": child.path_of(fd)},
        **_OPENED.get(format, {}),
    }
    return f"json:{json.dumps(node)}"


def limits(size_bytes: int, target_format: DiskFormat) -> child.Limits:
    """Of a child that writes a disk of so many bytes."""
    tables = 0 if target_format is DiskFormat.RAW else size_bytes // _TABLES_PER_BYTE + _HEADERS
    return child.Limits(
        cpu_s=_START_S + size_bytes // _SLOWEST_BYTES_PER_S,
        file_bytes=-(-size_bytes // 512) * 512 + tables,
    )


def _telling(size_bytes: int, on_progress: Progress) -> dict[str, Any]:
    """What listens to the child: its percents, and the time when it says nothing."""
    done = 0

    def hear(said: bytes) -> None:
        nonlocal done
        if percents := _PERCENT.findall(said):
            done = max(done, int(float(percents[-1]) / 100 * size_bytes))

    return {"on_output": hear, "on_tick": lambda: on_progress(min(done, size_bytes), size_bytes)}


@contextlib.contextmanager
def _opened(path: Path, uid: int | None) -> Iterator[int]:
    """Open it for a child of ``uid``, which reaches it by the descriptor alone."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError as error:
        raise FileRefused(
            "not_there", "The disk's file cannot be read.", detail=repr(error)
        ) from error
    try:
        with lending.lent(fd, uid):
            yield fd
    finally:
        os.close(fd)


@contextlib.contextmanager
def _made(path: Path) -> Iterator[int]:
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    is_whole = False
    try:
        yield fd
        is_whole = True
    finally:
        os.close(fd)
        if not is_whole:
            path.unlink(missing_ok=True)


def _hand_to(fd: int, uid: int | None) -> None:
    if uid is not None:
        os.fchown(fd, uid, uid)


def must_have_ended_well(ended: child.Ended, format: DiskFormat) -> None:
    """Raises: FileRefused, CloudFull: as ``convert``."""
    if ended.code == 0:
        return
    detail = f"qemu-img ended with {ended.code}: {ended.words}"
    if "No space left on device" in ended.words:
        raise CloudFull(
            "The site's disk is full. It goes on when there is room again.", detail=detail
        )
    if child.OUT_OF_THREADS in ended.words:
        raise CloudFull("The site is too busy for this now. Try again later.", detail=detail)
    if ended.code == -signal.SIGXFSZ or "File too large" in ended.words:
        raise FileRefused(
            "too_large", "The disk in the file is larger than its head says.", detail=detail
        )
    if ended.code in (-signal.SIGXCPU, -signal.SIGKILL) or "allocate memory" in ended.words:
        raise FileRefused(
            "too_costly",
            "Reading the disk took more time or memory than its size allows.",
            detail=detail,
        )
    raise FileRefused(
        "not_sound",
        f"The file is not a sound {format.name} disk: qemu-img cannot read it to its end.",
        detail=detail,
    )


def _nothing() -> None:
    """Nobody waits for news of a short look."""

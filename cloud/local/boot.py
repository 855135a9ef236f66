"""From a record to a running QEMU: make its disks once, start it, see whether it lives."""

import contextlib
import errno
import logging
import os
import re
import shutil
import subprocess
import time
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path

from cloud import media
from cloud.errors import CloudRefused, NotFound
from cloud.local import (
    accel,
    command,
    disks,
    files,
    hotplug,
    images,
    inspect,
    networks,
    nics,
    plugs,
    ports,
    process,
    qmp,
)
from cloud.local.machine import Machine, Record, Stage, records
from cloud.local.process import Process
from cloud.local.site import Site

logger = logging.getLogger(__name__)

#: A port can be lost to a stranger between choosing and starting; more often than this
#: it is not bad luck.
PORT_TRIES = 5
POLL_MS = 10
#: QEMU answers within 50 ms of its start; whoever waits holds up the queue.
UP_S = 4.0
GIB = 1 << 30

_PORT_TAKEN = re.compile(r"Could not set up host forwarding rule 'tcp:[^:]*:(\d+)-")
_NOT_NOW = {
    "No space left on device": "The site's disk is full.",
    "Cannot allocate memory": "The host has not enough memory now.",
    "cannot set up guest memory": "The host has not enough memory now.",
}
_BUSY_VOLUME = "[/dev/fdset/"  # how QEMU names the image that somebody else has locked
_NEVER = {
    'Failed to get "write" lock': "Its disk is in use by another process.",
    "Failed to get shared": "Its disk is in use by another process.",
    "Image is corrupt": "Its disk is damaged.",
    "not in qcow2 format": "Its disk is damaged.",
    "No such file or directory": "One of its disks is missing.",
}


WAITS_FOR_IMAGE = "Waits for its image."


class ImageGone(Exception):
    """The image left the cache just now."""


class Outcome(Enum):
    STARTED = "started"
    NOT_NOW = "not now"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Result:
    outcome: Outcome
    sentence: str = ""


def boot(machine: Machine, record: Record) -> Result:
    """Start the machine. Call it with its lock held; writes what becomes of it.

    Whatever was half done by a killed process is done again, or taken over.
    """
    if left := process.find(record.token, life=machine.life):
        plugged = disks.by_slot(record, record.plugs)
        machine.save(record, stage=Stage.STARTED, process=left[0], reason="", plugs=plugged)
        return Result(Outcome.STARTED)
    try:
        if not record.prepared:
            _prepare(machine, record)
            record = machine.save(record, prepared=True)
        elif not _has_sound_base(machine):
            raise CloudRefused("The image under its disk is damaged, so it cannot start.")
        if (at_start := nics.at_start(record)) != record.cards:
            record = machine.save(record, cards=at_start)
        _write_seed(machine, record)
        result = _start(machine, record)
    except ImageGone:
        return Result(Outcome.NOT_NOW, WAITS_FOR_IMAGE)
    except BlockingIOError:
        result = Result(Outcome.NOT_NOW, "Its last process has not ended yet.")
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        result = Result(Outcome.NOT_NOW, "The site's disk is full.")
    if result.outcome is Outcome.FAILED:
        machine.save(machine.load(), stage=Stage.FAILED, reason=result.sentence)
    elif result.outcome is Outcome.NOT_NOW:
        machine.save(machine.load(), stage=Stage.QUEUED)
    return result


def waits_for_image(site: Site, record: Record) -> bool:
    """Whether its disk is yet to be made of an image that is not there."""
    if record.prepared or record.spec.root_volume:
        return False
    return images.find(site, record.spec.image) is None


def _prepare(machine: Machine, record: Record) -> None:
    """Make ``run``: the image's bytes, the overlay on them, swap and volatile disks.

    Raises:
        OSError: the disk is full. CloudBusy: qemu-img did not end.
    """
    cached = images.find(machine.site, record.spec.image) if record.spec.image else None
    if cached is None and not record.spec.root_volume:
        raise ImageGone
    run = machine.run
    shutil.rmtree(run, ignore_errors=True)
    run.mkdir(mode=0o700)
    if record.spec.swap_mib:
        _make_swap(machine, record.spec.swap_mib)
    if record.uid is not None:
        for path in (run, run / "swap.raw"):
            if path.exists():
                os.chown(path, record.uid, record.uid)
    if cached:
        base = f"base.{cached.format}"
        images.link(machine.site, cached, run / base)
        files.write(machine.base_record, cached.to_json(), durable=False)
        _make_disk(machine, record, "root.qcow2", "-b", base, "-F", cached.format.value)
    sizes = record.spec.volatile_bytes
    for (serial, _), size_bytes in zip(disks.volatile(record), sizes, strict=True):
        _make_disk(machine, record, f"{serial}.qcow2", size_bytes=size_bytes)


def _write_seed(machine: Machine, record: Record) -> None:
    """Anew at each start, because the machine's cards may have changed since the last."""
    path = machine.run / "seed.iso"
    spec = replace(record.spec, nics=nics.shown(record))
    files.write(path, media.iso(spec, token=record.token), mode=0o400)
    if record.uid is not None:
        os.chown(path, record.uid, record.uid, follow_symlinks=False)


def _has_sound_base(machine: Machine) -> bool:
    """Whether the machine's link to its image, if it has one, still leads to verified bytes."""
    if machine.load().spec.root_volume:
        return True
    try:
        cached = images.Cached.from_json(machine.base_record.read_bytes())
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return images.is_sound(machine.run / f"base.{cached.format}", cached)


def _make_swap(machine: Machine, size_mib: int) -> None:
    path = machine.run / "swap.raw"
    with path.open("xb") as file:
        os.truncate(file.fileno(), size_mib << 20)
    path.chmod(0o600)
    argv = ["mkswap", "-q", "-L", "swap", str(path)]
    subprocess.run(argv, check=True, capture_output=True, timeout=10, env=process.ENVIRONMENT)


def _make_disk(
    machine: Machine, record: Record, name: str, *base: str, size_bytes: int | None = None
) -> None:
    size = [] if size_bytes is None else [str(size_bytes)]
    argv = ["qemu-img", "create", "-q", "-f", "qcow2", *base, name, *size]
    done = inspect.jailed(argv, cwd=machine.run, uid=record.uid, file_bytes=GIB)
    if done.returncode:
        said = done.stderr.decode(errors="replace")
        number = errno.ENOSPC if "No space left" in said else errno.EIO
        raise OSError(number, said)


def _start(machine: Machine, record: Record) -> Result:
    result = Result(Outcome.FAILED, "The site's ports are taken by other programs.")
    for _ in range(PORT_TRIES):
        born = _spawn(machine, record)
        record = machine.save(
            record,
            stage=Stage.STARTED,
            process=born,
            plugs=disks.by_slot(record, record.plugs),
            started_at=time.time(),
            stop_asked_at=0.0,
            reboot_asked_at=0.0,
            reason="",
        )
        if _wait_until_up(machine, born):
            return Result(Outcome.STARTED)
        said = files.tail(machine.output, 8192).decode(errors="replace")
        logger.warning("qemu.exited", extra={"subject": record.token, "detail": said})
        if not (taken := _PORT_TAKEN.search(said)):
            return _classify(said)
        record = _change_port(machine, record, int(taken[1]))
    return result


def _spawn(machine: Machine, record: Record) -> Process:
    with contextlib.ExitStack() as stack:
        opened = {
            token: _open(stack, plugs.disk_path(machine.site, token), read_only=read_only)
            for token, read_only in record.volumes.items()
        }
        argv = command.argv(
            record,
            accel=accel.choose(machine.site.home),
            bind_address=machine.site.bind_address,
            opened=opened,
            wires=_wires(machine.site, record),
        )
        return process.start(
            argv,
            cwd=machine.run,
            output=machine.output,
            life=machine.life,
            niceness=command.niceness(record.spec.cpu_share) - command.NICE,
            pass_fds=opened.values(),
        )


def _wires(site: Site, record: Record) -> dict[str, networks.Wire]:
    try:
        return {token: networks.wire(site, token) for token in record.networks}
    except NotFound as error:
        raise CloudRefused("One of its networks is missing.", detail=repr(error)) from error


def _open(stack: contextlib.ExitStack, path: Path, *, read_only: bool) -> int:
    """A volume's file, for QEMU to inherit: it may not open it by itself."""
    try:
        fd = os.open(path, hotplug.open_flags(read_only=read_only))
    except FileNotFoundError as error:
        raise CloudRefused("One of its disks is missing.", detail=repr(error)) from error
    stack.callback(os.close, fd)
    return fd


def _wait_until_up(machine: Machine, born: Process) -> bool:
    """Until its QMP answers (50 ms) or it is gone. A slow one is left to be seen later."""
    deadline = time.monotonic() + min(machine.site.timeout_s, UP_S)
    fd = process.open_pidfd(born)
    if fd is None:
        return False
    try:
        while time.monotonic() < deadline:
            if _answers(machine):
                return True
            if process.has_exited(fd, wait_s=POLL_MS / 1000):
                return False
    finally:
        os.close(fd)
    return True


def _answers(machine: Machine) -> bool:
    try:
        qmp.ask(machine.run, "query-status", timeout_s=1)
    except qmp.NoAnswer:
        return False
    return True


def _change_port(machine: Machine, record: Record, taken: int) -> Record:
    """Give up a port that a stranger has taken, and write the new one down."""
    used = {port for other in records(machine.site) for port in other.ports.values()}
    (new,) = ports.choose(machine.site, 1, taken=used | {taken})
    changed = {guest: new if port == taken else port for guest, port in record.ports.items()}
    return machine.save(record, ports=changed)


def _classify(said: str) -> Result:
    if _BUSY_VOLUME in said:
        return Result(Outcome.NOT_NOW, "One of its disks is being changed now.")
    for mark, sentence in _NOT_NOW.items():
        if mark in said:
            return Result(Outcome.NOT_NOW, sentence)
    for mark, sentence in _NEVER.items():
        if mark in said:
            return Result(Outcome.FAILED, sentence)
    return Result(Outcome.FAILED, "QEMU stopped as soon as it was started.")

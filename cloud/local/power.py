"""What can be asked of a machine: to be, to start, to stop, to restart, to be gone."""

import contextlib
import math
import os
import re
import time
from collections.abc import Iterator
from dataclasses import replace

from cloud import cards, seeds
from cloud.errors import CloudBusy, CloudRefused, CloudUnavailable
from cloud.local import (
    attach,
    disks,
    files,
    lanes,
    machine,
    nics,
    plugs,
    ports,
    process,
    qmp,
    saving,
)
from cloud.local.machine import Machine, Record, Stage
from cloud.local.site import Site, image_name, is_machine_name
from cloud.local.volumes import LARGEST_BYTES
from cloud.types import DiskBus, VmSpec

KILL_WAIT_S = 4.0
#: One that takes longer to go by itself is killed.
QUIT_WAIT_S = 2.0
STILL_THERE = "Its process has not ended yet. Try again."
#: Asked again within so long, a reboot is a reset.
POLITE_S = 60.0
#: More swap than this many times its memory only fills the disk.
MOST_SWAP = 2
DISK_BUSES = (DiskBus.VIRTIO, DiskBus.SCSI)
TOO_MANY = f"A machine has room for {disks.MOST} disks, each once."
CTRL_ALT_DEL = [{"type": "qcode", "data": key} for key in ("ctrl", "alt", "delete")]

_HOSTNAME = re.compile(r"(?!-)[A-Za-z0-9-]{1,63}(?<!-)")


def create(site: Site, spec: VmSpec, *, token: str) -> None:
    """Write the machine down, with its ports, and queue it. Quiet if it is there.

    Raises:
        CloudRefused: it would never fit, or the spec is not one.
        CloudBusy: the site has no port left, or somebody else has one of its disks.
    """
    if not is_machine_name(token):
        raise CloudRefused("A machine is named by a UUID.", detail=token)
    one = Machine(site, token)
    with one.locked():
        if one.find() is None:
            check(site, spec)
            _check_swap(site, spec)
            record = _new_record(spec, token)
            with _taken(site, record), _allocating(site):
                one.make(_allocated(site, record))
        if (record := one.load()).stage is Stage.QUEUED:
            lanes.enqueue(site, record)


@contextlib.contextmanager
def _taken(site: Site, record: Record) -> Iterator[None]:
    """Whatever a new machine is to have and others may want too."""
    vm = record.token
    with attach.taken(site, record.volumes, vm=vm), nics.taken(site, record.spec.nics, vm=vm):
        yield


def check(site: Site, spec: VmSpec) -> None:
    """Refuse, with numbers, what this site could never run."""
    cores, largest = os.cpu_count() or 1, site.largest_memory_mib()
    count = len(spec.inbound_ports)
    problems = {
        f"It asks for {spec.vcpus} CPUs; this site gives 1 to {cores}.": not 1
        <= spec.vcpus
        <= cores,
        f"It asks for {spec.memory_mib} MiB of memory; this site gives 1 to {largest}.": not 1
        <= spec.memory_mib
        <= largest,
        f"It asks for {spec.swap_mib} MiB of swap, which is not an amount.": spec.swap_mib < 0,
        f"It asks for {spec.swap_mib} MiB of swap; with {spec.memory_mib} MiB of memory this site"
        f" gives up to {MOST_SWAP * spec.memory_mib}.": spec.swap_mib > MOST_SWAP * spec.memory_mib,
        f"It asks for a CPU share of {spec.cpu_share}; it must be above 0.": not (
            math.isfinite(spec.cpu_share) and spec.cpu_share > 0
        ),
        f"This engine has no {spec.disk_bus} disks.": spec.disk_bus not in DISK_BUSES,
        "An inbound port is a number from 1 to 65535.": not all(
            1 <= port <= 65535 for port in spec.inbound_ports
        ),
        f"It asks for {count} ports; a machine has at most 32, each once.": count > 32
        or len(set(spec.inbound_ports)) != count,
        "Its host name is not one (RFC 1123: letters, digits and hyphens, at most 63).": bool(
            spec.hostname and not _HOSTNAME.fullmatch(spec.hostname)
        ),
        "It boots from an image or from a disk, not from both.": bool(
            spec.image and spec.root_volume
        ),
        f"A volatile disk has a multiple of 512 bytes, at most {LARGEST_BYTES >> 30} GiB.": not all(
            0 < size <= LARGEST_BYTES and size % 512 == 0 for size in spec.volatile_bytes
        ),
    }
    if spec.image or not spec.root_volume:
        image_name(spec.image)
    if sentence := cards.problem(spec.nics) or seeds.problem(spec):
        raise CloudRefused(sentence)
    for sentence, is_so in problems.items():
        if is_so:
            raise CloudRefused(sentence)


def _check_swap(site: Site, spec: VmSpec) -> None:
    """Refuse swap that has no room on the disk. One that is made already has its own."""
    free_mib = site.free_disk_bytes() >> 20
    if spec.swap_mib > free_mib:
        raise CloudRefused(
            f"It asks for {spec.swap_mib} MiB of swap; this site's disk has {free_mib} MiB free."
        )


def start(one: Machine) -> None:
    """Queue a machine that does not run. Quiet if it does, or is queued."""
    with one.locked():
        record = one.load()
        if record.is_alive:
            _wake(one)
        elif record.stage is not Stage.QUEUED:
            saving.refuse_if_read(one, record)
            check(one.site, record.spec)
            record = one.save(record, stage=Stage.QUEUED, reason="", queued_at=time.time())
            lanes.enqueue(one.site, record)


def _wake(one: Machine) -> None:
    """Go on after a pause (a full disk that has room again). Quiet if it runs."""
    status = qmp.ask(one.run, "query-status", timeout_s=one.site.timeout_s)["status"]
    if status in ("paused", "io-error"):
        qmp.ask(one.run, "cont", timeout_s=one.site.timeout_s)


def stop(one: Machine) -> None:
    """Press the power button; what does not run is simply off from now on."""
    with one.locked():
        record = one.load()
        if record.is_alive:
            qmp.ask(one.run, "system_powerdown", timeout_s=one.site.timeout_s)
            one.save(record, stop_asked_at=time.time())
        elif record.stage in (Stage.QUEUED, Stage.STARTED):
            _end(one)
            lanes.leave(one.site, one.token)
            sentence = (
                "It was stopped before it started."
                if record.stage is Stage.QUEUED
                else "It was stopped after its emulator had gone."
            )
            one.save(record, stage=Stage.STOPPED, reason=sentence)


def pull(one: Machine) -> None:
    """Pull the plug; its disks stay. Quiet if it is off.

    Raises:
        CloudBusy: its process does not die; try again.
    """
    with one.locked():
        record = one.load()
        if record.stage not in (Stage.QUEUED, Stage.STARTED):
            return
        if record.is_alive:
            _let_write(one)
        _end(one)
        lanes.leave(one.site, one.token)
        one.save(record, stage=Stage.STOPPED, reason="Its plug was pulled.")


def _let_write(one: Machine) -> None:
    """What the guest was told is written, QEMU may still hold: it writes that as it quits."""
    with contextlib.suppress(qmp.NoAnswer):
        qmp.ask(one.run, "quit", timeout_s=QUIT_WAIT_S)
        if fd := process.open_pidfd(one.load().process):
            try:
                process.has_exited(fd, wait_s=QUIT_WAIT_S)
            finally:
                os.close(fd)


def reboot(one: Machine) -> None:
    """Ask the guest to restart; asked twice, make it.

    Raises:
        CloudBusy: it does not run.
    """
    with one.locked():
        record = one.load()
        if not record.is_alive:
            raise CloudBusy("It is not running, so it cannot be rebooted. Start it instead.")
        timeout_s = one.site.timeout_s
        if time.time() - record.reboot_asked_at < POLITE_S:
            qmp.ask(one.run, "system_reset", timeout_s=timeout_s)
            one.save(record, reboot_asked_at=0.0)
        else:
            qmp.ask(one.run, "send-key", timeout_s=timeout_s, keys=CTRL_ALT_DEL)
            one.save(record, reboot_asked_at=time.time())


def has_reset(one: Machine) -> None:
    """The guest has restarted: nobody needs to make it, and it names its disks anew."""
    with one.locked():
        record = one.find()
        if record and (record.reboot_asked_at or record.plugs):
            one.save(record, reboot_asked_at=0.0, plugs=disks.after_reset(record))


def reset_if_ignored(one: Machine, *, after_s: float) -> None:
    """Reset a guest that was asked to restart and did not within ``after_s``."""
    record = one.find()
    if record is None or not 0 < record.reboot_asked_at < time.time() - after_s:
        return
    with one.locked():
        record = one.load()
        if record.reboot_asked_at and record.is_alive:
            one.save(record, reboot_asked_at=0.0)
            qmp.ask(one.run, "system_reset", timeout_s=one.site.timeout_s)


def delete(one: Machine) -> None:
    """Pull the plug and remove every trace. Quiet if there is none.

    Raises:
        CloudBusy: its process does not die; try again.
    """
    if not is_machine_name(one.token) or not one.site.machines.exists():
        return
    with one.locked():
        _end(one)
        lanes.leave(one.site, one.token)
        held = _held(one)
        one.unmake()
        plugs.release(one.site, held, vm=one.token)


def _held(one: Machine) -> list[str]:
    """Its volumes. Of a damaged record's, the claims go when somebody looks at them."""
    with contextlib.suppress(CloudUnavailable):
        if record := one.find():
            return list(record.volumes)
    return []


def _end(one: Machine) -> None:
    """Kill its process, known or left by a killed starter."""
    known = []
    with contextlib.suppress(CloudUnavailable):
        known = [record.process] if (record := one.find()) else []
    for found in {*known, *process.find(one.token, life=one.life)}:
        if not process.kill(found, wait_s=KILL_WAIT_S):
            raise CloudBusy(STILL_THERE, detail=str(found))
    if not process.has_let_go(one.life, wait_s=KILL_WAIT_S):
        raise CloudBusy(STILL_THERE, detail=str(one.life))


@contextlib.contextmanager
def _allocating(site: Site) -> Iterator[None]:
    busy = "Many machines are being made now. Try again."
    with files.locked(site.locks / "allocate", wait_s=site.timeout_s, busy=busy):
        yield


def _new_record(spec: VmSpec, token: str) -> Record:
    now = time.time()
    record = Record(
        token=token, spec=spec, ports={}, uid=None, created_at=now, queued_at=now,
        cards=nics.placed(spec.nics),
    )  # fmt: skip
    for plug in spec.volumes:
        placed = disks.room_for(record, plug.volume, read_only=plug.read_only)
        if placed is None or plug.volume in record.volumes:
            raise CloudRefused(TOO_MANY)
        record = replace(record, plugs=(*record.plugs, placed))
    return record


def _allocated(site: Site, record: Record) -> Record:
    """``record`` with ports and a user that no other machine has."""
    others = list(machine.records(site))
    taken = {port for other in others for port in other.ports.values()}
    ports_of_guest = record.spec.inbound_ports
    chosen = ports.choose(site, len(ports_of_guest), taken=taken)
    uid = None
    if site.run_as == "auto" and os.geteuid() == 0:
        uid = ports.choose_uid(other.uid for other in others)
    return replace(record, ports=dict(zip(ports_of_guest, chosen, strict=True)), uid=uid)

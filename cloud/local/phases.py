"""What a machine looks like from outside: its record, its process and its QEMU's word."""

import contextlib
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from cloud import cards
from cloud.errors import CloudBusy, CloudError
from cloud.local import accel, boot, disks, lanes, nics, process, qmp
from cloud.local.machine import Machine, Record, Stage
from cloud.types import VmInfo, VmPhase

#: After so long without effect, the power button counts as ignored.
STOPPING_S = 90.0
KILL_WAIT_S = 3.0
#: On a busy host QEMU takes its time before it answers for the first time.
SLOW_START_S = 10.0

HALTED = "The machine powered itself off."
ASKED = "The machine was shut down as asked."

_TROUBLE = {
    "io-error": "It is paused, because the site's disk is full. It goes on when there is room.",
    "guest-panicked": "Its operating system has crashed.",
    "internal-error": "Its emulator has stopped with an internal error.",
    "paused": "It is paused.",
}


def look(machines: Iterable[Machine]) -> Iterator[VmInfo]:
    """What each of them does now. One that was deleted meanwhile is left out."""
    seen: list[tuple[Machine, Record]] = []
    broken: list[VmInfo] = []
    for machine in machines:
        try:
            if record := machine.find():
                seen.append((machine, record))
                if record.stage is Stage.QUEUED:
                    _see_that_it_queues(machine, record)
        except CloudError as error:
            broken.append(_info(machine.token, VmPhase.FAILED, str(error)))
    living = [machine.run for machine, record in seen if record.is_alive]
    timeout_s = seen[0][0].site.timeout_s if seen else 0
    answers = qmp.ask_all(living, "query-status", timeout_s=timeout_s) if living else {}
    for machine, record in seen:
        yield _describe(machine, record, answers)
    yield from broken


def _see_that_it_queues(machine: Machine, record: Record) -> None:
    """Its maker may have been killed before that. On a full disk, the next look does it."""
    with contextlib.suppress(OSError):
        lanes.enqueue(machine.site, record)


def _describe(machine: Machine, record: Record, answers: Mapping[Path, qmp.Answer]) -> VmInfo:
    if record.stage is Stage.STARTED:
        if not record.is_alive:
            return _vm(machine, record, VmPhase.UNKNOWN, _why_gone(record))
        answer = answers.get(machine.run)
        if answer is None and time.time() - record.started_at < SLOW_START_S:
            return _vm(machine, record, VmPhase.BOOTING, "")
        if answer is None:
            sentence = "Its emulator runs but does not answer."
            return _vm(machine, record, VmPhase.UNKNOWN, sentence)
        return _living(machine, record, str(answer["status"]))
    if record.stage is Stage.QUEUED:
        return _waiting(machine, record)
    phase = VmPhase.STOPPED if record.stage is Stage.STOPPED else VmPhase.FAILED
    return _vm(machine, record, phase, record.reason)


def _waiting(machine: Machine, record: Record) -> VmInfo:
    site = machine.site
    if boot.waits_for_image(site, record):
        return _vm(machine, record, VmPhase.STAGING, boot.WAITS_FOR_IMAGE)
    return _vm(machine, record, VmPhase.QUEUED, lanes.why_waiting(site, record))


def _living(machine: Machine, record: Record, status: str) -> VmInfo:
    if status == "shutdown":
        record = _put_away(machine, record)
        return _vm(machine, record, VmPhase.STOPPED, record.reason)
    if status == "io-error" and machine.site.free_disk_bytes():
        _go_on(machine)
    if status in _TROUBLE:
        return _vm(machine, record, VmPhase.UNKNOWN, _TROUBLE[status])
    if status in ("prelaunch", "inmigrate"):
        return _vm(machine, record, VmPhase.BOOTING, "")
    if time.time() - record.stop_asked_at < STOPPING_S:
        return _vm(machine, record, VmPhase.STOPPING, "Its power button was pressed.")
    return _vm(machine, record, VmPhase.RUNNING, "")


def _go_on(machine: Machine) -> None:
    """QEMU pauses a guest whose disk cannot grow (ENOSPC only); there is room again."""
    with contextlib.suppress(qmp.NoAnswer):
        qmp.ask(machine.run, "cont", timeout_s=machine.site.timeout_s)


def _put_away(machine: Machine, record: Record) -> Record:
    """A guest that powered off needs no process: write down why, then let QEMU go."""
    reason = ASKED if record.stop_asked_at else HALTED
    with contextlib.suppress(CloudBusy, OSError), machine.locked(wait_s=0):
        current = machine.find()
        if current and current.process == record.process and current.stage is Stage.STARTED:
            machine.save(current, stage=Stage.STOPPED, reason=reason)
            process.kill(record.process, wait_s=KILL_WAIT_S)
            lanes.leave(machine.site, machine.token)
            return machine.load()
    return replace(record, reason=reason)


def _why_gone(record: Record) -> str:
    if record.process.boot_id != process.boot_id():
        return "The host was restarted while this machine ran. Start it again, or kill it."
    return "Its emulator was killed or has crashed. Start it again, or kill it."


def _vm(machine: Machine, record: Record, phase: VmPhase, message: str) -> VmInfo:
    return VmInfo(
        ref=record.token,
        token=record.token,
        phase=phase,
        message=message,
        endpoints=record.endpoints(machine.site.public_host),
        disks=disks.shown(record),
        nics=nics.shown(record),
        attributes=_attributes(machine, record),
    )


def _attributes(machine: Machine, record: Record) -> dict[str, str]:
    about = {
        "accelerator": accel.choose(machine.site.home).name,
        "disk bus": record.spec.disk_bus.value,
        "hardware address": cards.first(record.token),
    }
    for number, (serial, slot) in enumerate(disks.volatile(record), start=1):
        about[f"volatile disk {number}"] = f"{disks.device(slot)}, {disks.scsi_path(serial)}"
    if record.is_alive:
        about["process"] = str(record.process.pid)
    return about


def _info(token: str, phase: VmPhase, message: str) -> VmInfo:
    return VmInfo(ref=token, token=token, phase=phase, message=message)

"""What a running machine has been seen to do: its port, its SSH, its contextualization."""

import re
import socket
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from typing import Any

from django.utils import timezone

from cloud.driver import CloudDriver
from cloud.errors import NotFound, Unsupported
from core.machine import Go, Step
from core.models import Event
from marketplace import actions as marketplace
from vms.context import progress
from vms.models import VM, Readiness
from vms.states import READINESS_DEADLINES, ReadinessState, VmState

#: A guest that answers mostly does so at once; one that does not is asked again in a moment.
PROBE_TIMEOUT_S = 0.3
#: A large guest under emulation takes seconds to greet, and starts anew when we hang up: the
#: longer it has been silent, the longer we listen. Well below a lease, and only to a few at
#: a time: silent guests must not keep every thread of a worker.
LONGEST_PROBE_S = 5.0
_patient = threading.BoundedSemaphore(2)
NOTE_LENGTH = 200
#: How much of the console log is searched for the mark of a finished contextualization.
CONTEXT_TAIL_BYTES = 64 * 1024
BOOT_STARTS = re.compile(
    rb"Linux version |portal-context: started|Cloud-init v\.[^\n]{0,40} running 'init"
)
#: DNS has time-outs of its own, of many seconds.
_resolvers = ThreadPoolExecutor(2, thread_name_prefix="resolver")


def watch_readiness(vm: VM, *, boots_before: int | None = None) -> None:
    """Start watching for the milestones anew: the guest has just been started.

    What it printed in the ``boots_before`` boots that its log already shows is not news.
    """
    readiness = Readiness.objects.get(vm=vm)
    if boots_before is not None:
        Readiness.objects.filter(pk=readiness.pk).update(boots_before=boots_before)
    if readiness.state != ReadinessState.WATCHING:
        readiness.move(
            ReadinessState.WATCHING,
            port_open_at=None,
            ssh_at=None,
            context_at=None,
            context_note="",
            context_steps=[],
            context_log="",
        )


def boots_seen(vm: VM, cloud: CloudDriver) -> int:
    """How many starts of the guest its console log shows; 0 where there is no log."""
    try:
        log = cloud.console_log(vm.cloud_ref, max_bytes=CONTEXT_TAIL_BYTES)
    except (Unsupported, NotFound):
        return 0
    return len(BOOT_STARTS.findall(log))


def look_for_milestones(readiness: Readiness, cloud: CloudDriver) -> Go | None:
    """WATCHING, SLOW: note each milestone when it is first seen."""
    vm = readiness.vm
    if vm.state not in (VmState.RUNNING, VmState.SHUTDOWN):
        return Go(ReadinessState.IDLE)
    if _is_still_going_down(readiness, cloud):
        return None
    found = _probe(readiness) | _context(readiness, cloud) | _host_name(readiness)
    if found:
        readiness.keep(**found)
    if "ssh_at" in found:
        _note_tested(vm)
    done = readiness.ssh_at and readiness.context_at
    return Go(ReadinessState.READY) if done else None


def _note_tested(vm: VM) -> None:
    """Its image comes up with this size: counted once for a machine, however often it boots."""
    if vm.entry is None:
        return
    starts = Event.objects.of(vm.uuid).filter(was=VmState.BOOT, now=VmState.RUNNING)
    if starts.count() == 1:
        marketplace.note_tested(vm.entry, vm.type_name, vm.vcpus, vm.memory_mib)


def _is_still_going_down(readiness: Readiness, cloud: CloudDriver) -> bool:
    """After a reboot, what answers first may be the guest that is on its way out."""
    if not readiness.boots_before:
        return False
    with suppress(Unsupported):
        log = cloud.console_log(readiness.vm.cloud_ref, max_bytes=CONTEXT_TAIL_BYTES)
        is_whole = len(log) < CONTEXT_TAIL_BYTES
        return is_whole and len(BOOT_STARTS.findall(log)) <= readiness.boots_before
    return False


def _probe(readiness: Readiness) -> dict[str, Any]:
    """Whether the guest's SSH port takes a connection, and says it is SSH."""
    end = readiness.vm.ssh_endpoint
    if end is None or readiness.ssh_at:
        return {}
    found: dict[str, Any] = {}
    with (
        suppress(OSError),
        socket.create_connection((end["host"], end["port"]), PROBE_TIMEOUT_S) as link,
    ):
        if readiness.port_open_at is None:
            found["port_open_at"] = timezone.now()
        if _greets(link, _silent_for(readiness)):
            found["ssh_at"] = timezone.now()
    return found


def _silent_for(readiness: Readiness) -> timedelta:
    """Since it was started."""
    silent = timezone.now() - readiness.state_since
    before = READINESS_DEADLINES[ReadinessState.WATCHING].after
    return silent + before if readiness.state == ReadinessState.SLOW else silent


def _greets(link: socket.socket, silent: timedelta) -> bool:
    """Whether SSH says hello on this connection, for as long as it is worth listening."""
    is_patient = _patient.acquire(blocking=False)
    try:
        wait_s = min(silent.total_seconds() / 4, LONGEST_PROBE_S) if is_patient else 0.0
        link.settimeout(max(wait_s, PROBE_TIMEOUT_S))
        return link.recv(4) == b"SSH-"
    finally:
        if is_patient:
            _patient.release()


def _host_name(readiness: Readiness) -> dict[str, Any]:
    """What reverse DNS calls its address; asked once, and never waited for."""
    end = readiness.vm.ssh_endpoint
    if readiness.host_name or end is None:
        return {}
    asked = _resolvers.submit(socket.getfqdn, end["host"])
    with suppress(TimeoutError):
        name = asked.result(PROBE_TIMEOUT_S)
        return {"host_name": name[:255]}
    return {"host_name": end["host"]}


def _context(readiness: Readiness, cloud: CloudDriver) -> dict[str, Any]:
    if readiness.context_at:
        return {}
    try:
        log = cloud.console_log(readiness.vm.cloud_ref, max_bytes=CONTEXT_TAIL_BYTES)
    except Unsupported:
        return {"context_at": readiness.ssh_at} if readiness.ssh_at else {}
    return _news(readiness, progress.read(_since_last_boot(log)))


def _news(readiness: Readiness, seen: progress.Progress) -> dict[str, Any]:
    """What the guest has said since we looked last."""
    now = timezone.now()
    news: dict[str, Any] = {}
    known = {step["what"] for step in readiness.context_steps}
    if fresh := [what for what in seen.steps if what not in known]:
        rows = [{"what": what, "at": now.isoformat()} for what in fresh]
        news["context_steps"] = [*readiness.context_steps, *rows]
    note = _named(seen.note, readiness.vm)[:NOTE_LENGTH]
    if note and note != readiness.context_note:
        news |= {"context_note": note, "context_log": seen.log}
    if seen.is_done:
        news["context_at"] = now
    return news


def _named(note: str, vm: VM) -> str:
    """With the script's name, where there is only one that it can be."""
    scripts = [part.name for part in vm.told.parts if part.subtype == "x-shellscript"]
    return note.replace(progress.SOME_SCRIPT, scripts[0]) if len(scripts) == 1 else note


def _since_last_boot(log: bytes) -> bytes:
    """What the serial line printed since the firmware or kernel started for the last time."""
    starts = [match.start() for match in BOOT_STARTS.finditer(log)]
    return log[starts[-1] :] if starts else log


READINESS_STEPS: Mapping[str, Step[Readiness]] = {
    ReadinessState.WATCHING: look_for_milestones,
    ReadinessState.SLOW: look_for_milestones,
}

"""The steps of a machine's life: look, then ask, then say where to go.

No step waits, none writes its row, and each may run twice.
"""

import json
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
from cloud.types import VmInfo, VmPhase
from core.machine import Go, Step
from core.models import Event
from marketplace import actions as marketplace
from marketplace import policy
from marketplace.actions import Standing
from marketplace.models import ImageFile
from marketplace.states import ImageState
from vms.models import VM, Readiness
from vms.states import ReadinessState, VmState
from volumes import actions as volumes

#: A guest that answers mostly does so at once; one that does not is asked again in a moment.
PROBE_TIMEOUT_S = 0.3
#: A large guest under emulation takes seconds to greet, and starts anew when we hang up: the
#: longer it has been silent, the longer we listen. Well below a lease, and only to a few at
#: a time: silent guests must not keep every thread of a worker.
LONGEST_PROBE_S = 5.0
_patient = threading.BoundedSemaphore(2)
_AHEAD = "Another fetch of the same image is ahead; if it is slow, this one takes its place."
#: From when its image is here.
STAGED_WITHIN = timedelta(hours=1)
#: How much of the console log is searched for the mark of a finished contextualization.
CONTEXT_TAIL_BYTES = 64 * 1024
#: Real cloud-init's last words, and those of the demo image.
CONTEXT_DONE = re.compile(rb"portal-context: finished|Cloud-init v\.[^\n]{0,80} finished at")
BOOT_STARTS = re.compile(
    rb"Linux version |portal-context: started|Cloud-init v\.[^\n]{0,40} running 'init"
)
#: DNS has time-outs of its own, of many seconds.
_resolvers = ThreadPoolExecutor(2, thread_name_prefix="resolver")
CONTEXT_SCRIPT = re.compile(rb"portal-context: script ([\x21-\x7e]{1,60}) exit ([1-9]\d{0,2})\b")


def submit(vm: VM, cloud: CloudDriver) -> Go | None:
    """PENDING: find the machine we may already have asked for, or ask."""
    if refusal := _not_allowed(vm):
        return Go(VmState.FAILED, refusal)
    standing = _standing(vm)
    if standing and not standing.is_ready and not _may_reserve(standing, cloud):
        return Go(VmState.PROLOG)
    info = _find_or_create(vm, cloud)
    if info.phase is VmPhase.FAILED:
        return Go(VmState.FAILED, info.message, seen(info))
    if info.phase is VmPhase.QUEUED:
        _note(vm, info)
        return None
    return Go(VmState.PROLOG, fields=seen(info) | {"note": ""})


def _not_allowed(vm: VM) -> str:
    """Why the site does not let it start, by its lists as they are now; or ""."""
    return policy.refusal(vm.entry) if vm.entry else ""


def _standing(vm: VM) -> Standing | None:
    """How its image stands on this site, asked for if need be; None: it boots from a disk."""
    if vm.entry is None:
        return None
    return marketplace.image_for(vm.entry, vm.cloud, by=vm.owner, asked_at=vm.created_at)


def _may_reserve(standing: Standing, cloud: CloudDriver) -> bool:
    """Whether the cloud may know of the machine now: once its image is there, it starts it.

    Who has brought the image then? A machine that has yet to prove that its entry leads to these
    bytes would get them from another.
    """
    return standing.is_open and cloud.capabilities().reserves_before_image


def _find_or_create(vm: VM, cloud: CloudDriver) -> VmInfo:
    if vm.cloud_ref:
        with suppress(NotFound):
            return cloud.get_vm(vm.cloud_ref)
    return cloud.find_vm(vm.token) or cloud.create_vm(vm.spec(), token=vm.token)


def prepare(vm: VM, cloud: CloudDriver) -> Go | None:
    """PROLOG: wait for the image, then for the engine to have made the disks."""
    if refusal := _not_allowed(vm):
        return Go(VmState.FAILED, refusal)
    standing = _standing(vm)
    if standing and standing.refusal:
        return Go(VmState.FAILED, standing.refusal)
    if standing and not standing.is_ready and not vm.cloud_ref:
        _note_image(vm, standing.image)
        return None
    info = _find_or_create(vm, cloud)
    match info.phase:
        case VmPhase.FAILED:
            return Go(VmState.FAILED, info.message, seen(info))
        case VmPhase.QUEUED | VmPhase.STAGING:
            if standing:
                _ask_for_lost_image(standing.image, cloud)
            _note(vm, info)
            return _staged_too_long(vm, standing)
        case _:
            return Go(VmState.BOOT, fields=seen(info) | {"note": ""})


def _note_image(vm: VM, image: ImageFile) -> None:
    """While it waits: what keeps its image from coming. Of another's entry it says nothing."""
    note = image.reason[:300]
    if image.entry_id != vm.entry_id:
        note = _AHEAD if image.state == ImageState.FETCHING else ""
    if note != vm.note:
        vm.keep(note=note)


def _staged_too_long(vm: VM, standing: Standing | None) -> Go | None:
    """An image may be a day on its way; what the engine makes of it is there within an hour."""
    if standing and not standing.is_ready:
        return None
    since = max(vm.state_since, standing.image.state_since) if standing else vm.state_since
    if timezone.now() - since < STAGED_WITHIN:
        return None
    return Go(VmState.FAILED, "The engine did not make its disks within 1 hour.")


def _ask_for_lost_image(image: ImageFile, cloud: CloudDriver) -> None:
    if image.state == ImageState.READY and cloud.find_image(image.identifier) is None:
        marketplace.image_lost(image.identifier, image.cloud)


def boot(vm: VM, cloud: CloudDriver) -> Go | None:
    """BOOT: go on when the engine runs it; start or reboot it if that is why it is here."""
    info = cloud.get_vm(vm.cloud_ref)
    match info.phase:
        case VmPhase.RUNNING | VmPhase.STOPPING if vm.asked == "reboot":
            boots = _boots(vm, cloud)
            vm.keep(asked="rebooting")  # asked twice, the engine would reset it
            cloud.reboot_vm(vm.cloud_ref)
            return _running(vm, info, boots_before=boots)
        case VmPhase.RUNNING if vm.asked == "rebooting":
            return _running(vm, info, "Reboot it again if it has not restarted.")
        case VmPhase.RUNNING:
            return _running(vm, info)
        case VmPhase.FAILED:
            return Go(VmState.FAILED, info.message, seen(info))
        case VmPhase.STOPPED | VmPhase.UNKNOWN if vm.asked == "start":
            Readiness.objects.filter(vm=vm).update(boots_before=_boots(vm, cloud))
            cloud.start_vm(vm.cloud_ref)
            return None
        case VmPhase.STOPPED | VmPhase.UNKNOWN:
            return Go(VmState.UNKNOWN, info.message, seen(info))
        case _:
            _note(vm, info)
            return None


def _boots(vm: VM, cloud: CloudDriver) -> int:
    """How many starts of the guest its console log shows; 0 where there is no log."""
    try:
        log = cloud.console_log(vm.cloud_ref, max_bytes=CONTEXT_TAIL_BYTES)
    except (Unsupported, NotFound):
        return 0
    return len(BOOT_STARTS.findall(log))


def _running(vm: VM, info: VmInfo, reason: str = "", *, boots_before: int | None = None) -> Go:
    return Go(
        VmState.RUNNING,
        reason,
        fields=seen(info) | {"asked": "", "note": ""},
        alongside=lambda: watch_readiness(vm, boots_before=boots_before),
    )


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
        )


def shut_down(vm: VM, cloud: CloudDriver) -> Go | None:
    """SHUTDOWN: press the power button until the machine is off."""
    try:
        info = cloud.get_vm(vm.cloud_ref)
    except NotFound:
        return Go(VmState.EPILOG)
    if info.phase is VmPhase.STOPPED:
        return Go(VmState.EPILOG, info.message or "The guest has powered off.")
    cloud.stop_vm(vm.cloud_ref)  # one that is lost for good is stopped from now on
    return None


def clean_up(vm: VM, cloud: CloudDriver) -> Go | None:
    """EPILOG: remove it, look again, and only then call it done."""
    info = cloud.find_vm(vm.token)
    if info is not None:
        cloud.delete_vm(info.ref)
        if cloud.find_vm(vm.token) is not None:
            return None
    return Go(
        VmState.DONE,
        vm.reason,
        fields={
            "ended_at": timezone.now(),
            "cpu_percent": None,
            "memory_used_bytes": None,
            "note": "",
        },
        alongside=lambda: volumes.release(vm),
    )


VM_STEPS: Mapping[str, Step[VM]] = {
    VmState.PENDING: submit,
    VmState.PROLOG: prepare,
    VmState.BOOT: boot,
    VmState.SHUTDOWN: shut_down,
    VmState.EPILOG: clean_up,
}


def seen(info: VmInfo) -> dict[str, Any]:
    """The columns that repeat what the engine said."""
    endpoints = [
        {"guest_port": end.guest_port, "host": end.host, "port": end.port} for end in info.endpoints
    ]
    return {
        "cloud_ref": info.ref,
        "endpoints": endpoints,
        "address": " ".join(f"{end['host']}:{end['port']}" for end in endpoints)[:120],
        "attributes": json.loads(json.dumps(dict(info.attributes), default=str)),
    }


def _note(vm: VM, info: VmInfo) -> None:
    """While it waits: keep what the engine said, if that is new."""
    fields = seen(info) | {"note": info.message[:300]}
    if any(getattr(vm, name) != value for name, value in fields.items()):
        vm.keep(**fields)


def look_for_milestones(readiness: Readiness, cloud: CloudDriver) -> Go | None:
    """WATCHING: note each milestone when it is first seen."""
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
        if _greets(link, timezone.now() - readiness.state_since):
            found["ssh_at"] = timezone.now()
    return found


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
    log = _since_last_boot(log)
    if not CONTEXT_DONE.search(log):
        return {}
    failed = CONTEXT_SCRIPT.search(log)
    note = ""
    if failed:
        name, status = (part.decode("ascii", "replace") for part in failed.groups())
        note = f"{name} ended with status {status}; the console log says more."
    return {"context_at": timezone.now(), "context_note": note}


def _since_last_boot(log: bytes) -> bytes:
    """What the serial line printed since the firmware or kernel started for the last time."""
    starts = [match.start() for match in BOOT_STARTS.finditer(log)]
    return log[starts[-1] :] if starts else log


READINESS_STEPS: Mapping[str, Step[Readiness]] = {ReadinessState.WATCHING: look_for_milestones}

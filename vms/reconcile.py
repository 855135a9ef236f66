"""Where the rows and a cloud disagree about machines at rest.

R1. RUNNING here, not running there: lost -> UNKNOWN, with the engine's reason.
R2. UNKNOWN here, running there: found -> RUNNING.
R3. DONE here, still there: our clean-up was lost -> delete it there.
R4. FAILED here, still waiting or running there: it must not run on unseen -> stop it there.
R5. A token there that we have never given out: a stranger -> report. Never delete.

Moving machines are left to ``lifecycle``; their next look is only brought forward.
"""

import logging
import uuid
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from django.utils import timezone

from cloud.errors import CloudError, NotFound
from cloud.types import VmInfo, VmPhase
from core.clouds import clouds
from core.machine import StaleState
from vms import lifecycle, plugs
from vms.models import VM, CloudStatus
from vms.states import VmState

logger = logging.getLogger(__name__)

Rule = Literal["lost", "found", "leftover", "runaway", "stranger"]
#: A machine in one of these will run, or does.
RUNAWAY = (VmPhase.QUEUED, VmPhase.STAGING, VmPhase.BOOTING, VmPhase.RUNNING)
GONE = "The engine no longer knows this machine."
#: What a cloud offers and has left is asked for no more often than this, while it answers.
STATUS_EVERY = timedelta(seconds=25)


@dataclass(frozen=True, slots=True)
class Finding:
    rule: Rule
    cloud: str
    token: str
    ref: str
    message: str = ""

    def __str__(self) -> str:
        return f"{self.cloud}: {self.rule} {self.token} {self.message}".rstrip()


def compare(cloud: str, seen: Iterable[VmInfo], *, asked_at: datetime) -> list[Finding]:
    """Every disagreement about ``cloud``, given one listing of it that was asked for at
    ``asked_at``: of a row that has moved since, the listing knows nothing."""
    there = {info.token: info for info in seen if info.token}
    at_rest = VM.objects.filter(
        cloud=cloud,
        state__in=(VmState.RUNNING, VmState.UNKNOWN, VmState.FAILED),
        state_since__lt=asked_at,
    )
    findings = [
        finding
        for row in at_rest.only("uuid", "state", "cloud_ref")
        if (finding := _about(cloud, row, there.get(row.token)))
    ]
    known = dict(
        VM.objects.filter(cloud=cloud, uuid__in=[t for t in there if _is_uuid(t)]).values_list(
            "uuid", "state"
        )
    )
    for token, info in there.items():
        state = known.get(uuid.UUID(token)) if _is_uuid(token) else None
        if state is None:
            findings.append(Finding("stranger", cloud, token, info.ref))
        elif state == VmState.DONE:
            findings.append(Finding("leftover", cloud, token, info.ref))
    return findings


def _about(cloud: str, vm: VM, info: VmInfo | None) -> Finding | None:
    phase = info.phase if info else None
    message = info.message if info else GONE
    if vm.state == VmState.RUNNING and phase in (
        None, VmPhase.STOPPED, VmPhase.UNKNOWN, VmPhase.FAILED,
    ):  # fmt: skip
        return Finding("lost", cloud, vm.token, vm.cloud_ref, message)
    if vm.state == VmState.UNKNOWN and phase is VmPhase.RUNNING:
        return Finding("found", cloud, vm.token, vm.cloud_ref)
    if vm.state == VmState.FAILED and info and phase in RUNAWAY:
        return Finding("runaway", cloud, vm.token, info.ref)
    return None


def _is_uuid(token: str) -> bool:
    try:
        uuid.UUID(token)
    except ValueError:
        return False
    return True


def settle(finding: Finding) -> None:
    """Act on one finding. A machine that moved meanwhile is no longer our business."""
    logger.info("reconcile.found", extra={"finding": str(finding)})
    if finding.rule == "leftover":
        clouds[finding.cloud].delete_vm(finding.ref)
    elif finding.rule == "runaway":
        clouds[finding.cloud].stop_vm(finding.ref)
    elif finding.rule in ("lost", "found"):
        with suppress(StaleState, VM.DoesNotExist):
            _settle_row(finding)


def _settle_row(finding: Finding) -> None:
    vm = VM.objects.get(uuid=finding.token)
    if finding.rule == "lost" and vm.state == VmState.RUNNING:
        vm.move(VmState.UNKNOWN, reason=finding.message, cpu_percent=None, memory_used_bytes=None)
    elif finding.rule == "found" and vm.state == VmState.UNKNOWN:
        vm.move(
            VmState.RUNNING,
            reason="The engine runs it again.",
            alongside=lambda: lifecycle.watch_readiness(vm),
        )


def sweep(cloud: str) -> list[Finding]:
    """One call to the engine, and everything that follows from it."""
    asked_at = timezone.now()
    try:
        seen = list(clouds[cloud].list_vms())
    except CloudError as exc:
        _write_trouble(cloud, exc)
        return []
    findings = compare(cloud, seen, asked_at=asked_at)
    for finding in findings:
        try:
            settle(finding)
        except CloudError as exc:  # one machine's trouble is not the cloud's
            logger.warning("settle.failed", extra={"finding": str(finding), "detail": exc.detail})
    plugs.settle(cloud, seen, asked_at=asked_at)
    return findings


def look(cloud: str, ref: str) -> VM | None:
    """Follow up what ``watch`` said about one machine; the row if it is a moving one."""
    vm = VM.objects.filter(cloud=cloud, cloud_ref=ref).first()
    if vm is None:
        return None
    if vm.is_moving:
        return vm
    try:
        info: VmInfo | None = clouds[cloud].get_vm(ref)
    except NotFound:
        info = None
    finding = _about(cloud, vm, info)
    if finding:
        settle(finding)
    return None


def needs_status(cloud: str) -> bool:
    """Whether what pages know of the cloud is old, or was trouble."""
    recent = timezone.now() - STATUS_EVERY
    return not CloudStatus.objects.filter(cloud=cloud, trouble="", seen_at__gt=recent).exists()


def write_status(cloud: str) -> None:
    """Keep what the cloud offers and has left where pages can read it."""
    try:
        driver = clouds[cloud]
        offers, room = driver.capabilities(), driver.capacity()
    except CloudError as exc:
        _write_trouble(cloud, exc)
        return
    CloudStatus.objects.update_or_create(
        cloud=cloud,
        defaults={
            "seen_at": timezone.now(),
            "trouble": "",
            "engine": offers.engine,
            "lacks": dict(offers.lacks),
            "disk_buses": [str(bus) for bus in offers.disk_buses],
            "architectures": list(offers.architectures),
            "largest_vcpus": room.largest_vcpus,
            "largest_memory_mib": room.largest_memory_mib,
            "free_memory_mib": room.free_memory_mib,
            "free_disk_bytes": room.free_disk_bytes,
            "machines": room.machines,
        },
    )


def _write_trouble(cloud: str, exc: CloudError) -> None:
    logger.warning("cloud.trouble", extra={"cloud": cloud, "error": str(exc), "detail": exc.detail})
    CloudStatus.objects.update_or_create(cloud=cloud, defaults={"trouble": str(exc)[:300]})

"""Where the rows and a cloud disagree about which disks are in which machines.

P1. ATTACHED here, and the machine runs without it there: the guest or the engine has let go ->
    DETACHED. So is what a machine held that is gone.
P2. In a machine there, and nobody holds it for that machine here: left over -> unplug it there.
P3. ATTACHED here without its device (the answer was lost): write down what the engine says.
P4. PLANNED here for a machine that has failed, and is not there: it will not start -> DETACHED.

Rows that are moving are left to ``volumes.lifecycle``.
"""

import logging
from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

from cloud.errors import CloudError
from cloud.types import Disk, VmInfo, VmPhase
from core.clouds import clouds
from core.machine import StaleState
from vms.models import VM
from vms.states import VmState
from volumes import actions as volumes
from volumes.models import Attachment, Volume
from volumes.states import AttachmentState

logger = logging.getLogger(__name__)

LET_GO = "The engine no longer has it in the machine."
GONE = "Its machine is gone."
NEVER_STARTED = "Its machine failed before it was made."
#: A listing may be older than the answer to what was asked last for a machine.
FAILED_FOR = timedelta(minutes=1)


def settle(cloud: str, seen: Iterable[VmInfo], *, asked_at: datetime) -> None:
    """Act on every disagreement, given one listing that was asked for at ``asked_at``."""
    there = {info.token: info for info in seen if info.token}
    held = Attachment.objects.holding().filter(volume__cloud=cloud).select_related("volume", "vm")
    rows = list(held)
    for row in rows:
        if row.state == AttachmentState.ATTACHED and row.state_since < asked_at:
            _settle_row(row, there.get(row.vm.token))
        elif row.vm.token not in there and _will_not_start(row, asked_at):
            with suppress(StaleState):
                row.move(AttachmentState.DETACHED, reason=NEVER_STARTED)
    _unplug_left_over(cloud, there, {(row.vm.token, row.volume.cloud_ref) for row in rows})
    volumes.settle_uses(cloud)


def _settle_row(row: Attachment, info: VmInfo | None) -> None:
    disk = _disk(row, info)
    if disk:
        _write_down(row, disk)
    elif reason := _why_gone(row, info):
        logger.info("plugs.gone", extra={"subject": row.token, "reason": reason})
        with suppress(StaleState):
            row.move(AttachmentState.DETACHED, reason=reason)


def _will_not_start(row: Attachment, now: datetime) -> bool:
    if row.state != AttachmentState.PLANNED or row.vm.state != VmState.FAILED:
        return False
    return row.vm.state_since < now - FAILED_FOR


def _disk(row: Attachment, info: VmInfo | None) -> Disk | None:
    disks = info.disks if info else ()
    return next((disk for disk in disks if disk.volume == row.volume.cloud_ref), None)


def _why_gone(row: Attachment, info: VmInfo | None) -> str:
    if row.vm.state == VmState.DONE:
        return GONE
    is_running = info is not None and info.phase is VmPhase.RUNNING
    return LET_GO if is_running and not row.is_root else ""


def _write_down(row: Attachment, disk: Disk) -> None:
    known: dict[str, Any] = {"device": disk.device, "stable_path": disk.stable_path}
    if row.attached_at is None:
        known["attached_at"] = row.asked_at
    if all(getattr(row, name) == value for name, value in known.items()):
        return
    if Attachment.objects.filter(pk=row.pk, state=row.state).update(**known):
        row.announce()


def _unplug_left_over(cloud: str, there: Mapping[str, VmInfo], held: set[tuple[str, str]]) -> None:
    extra = [
        (info, disk.volume)
        for info in there.values()
        for disk in info.disks
        if (info.token, disk.volume) not in held
    ]
    if not extra:
        return
    # What is not ours is nobody's to unplug; and a machine that moves has steps of its own.
    ours = set(
        Volume.objects.filter(cloud=cloud, cloud_ref__in={ref for _, ref in extra}).values_list(
            "cloud_ref", flat=True
        )
    )
    at_rest = {
        vm.token: vm
        for vm in VM.objects.filter(
            cloud=cloud, uuid__in=[info.token for info, _ in extra],
            state__in=(VmState.RUNNING, VmState.UNKNOWN),
        ).only("uuid", "state")
    }  # fmt: skip
    for info, ref in extra:
        if ref in ours and info.token in at_rest and not _is_held(info, ref):
            _unplug(cloud, info.ref, ref)


def _is_held(info: VmInfo, ref: str) -> bool:
    """Whether somebody has asked for it since."""
    rows = Attachment.objects.holding().filter(vm__uuid=info.token)
    return rows.filter(volume__cloud_ref=ref).exists()


def _unplug(cloud: str, vm_ref: str, ref: str) -> None:
    logger.info("plugs.left_over", extra={"cloud": cloud, "vm": vm_ref, "volume": ref})
    try:
        clouds[cloud].detach_volume(vm_ref, ref)
    except CloudError as exc:  # the guest keeps it: the next sweep asks again
        logger.warning("settle.failed", extra={"subject": ref, "detail": exc.detail})

"""Which machine may take a disk and let go of one, and why not; and the doing of both.

What the disk has to say about it is ``volumes.actions``'.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import Count, Q, QuerySet

from core.errors import Refused
from registration.models import User
from vms.models import VM, CloudStatus
from vms.states import VmState
from volumes import actions as volumes
from volumes.models import Attachment, Volume
from volumes.states import HOLDING

#: Plugged in while it runs, or while it is off.
TAKES = frozenset({VmState.RUNNING, VmState.UNKNOWN})
#: Why a machine in another state takes no disk.
_NOT_NOW: Mapping[str, str] = {
    VmState.PENDING: "it waits for its start. Attach the disk once it runs",
    VmState.PROLOG: "its disks are being prepared. Attach this one once it runs",
    VmState.BOOT: "it is being started. Attach the disk once it runs",
    VmState.SHUTDOWN: "it is shutting down",
    VmState.EPILOG: "it is ending",
    VmState.DONE: "it is gone",
    VmState.FAILED: "it failed, and never runs again",
}


@dataclass(frozen=True, slots=True)
class Taker:
    """A machine, and why it may not take a disk now ("": it may)."""

    vm: VM
    reason: str


@dataclass(frozen=True, slots=True)
class Choice:
    """A disk, and why it may not be attached to write or to read ("": it may)."""

    volume: Volume
    write: str
    read: str

    @property
    def is_open(self) -> bool:
        return not (self.write and self.read)


def attach(volume: Volume, vm: VM, *, by: User, read_only: bool) -> Attachment:
    """Plug a disk into one of ``by``'s own machines, running or halted.

    Raises:
        Refused: ``vm_state``, ``no_hot_plug``, and all that ``volumes.actions.attach`` refuses.
    """
    return volumes.attach(
        volume, vm, by=by, read_only=read_only, ready=lambda: _must_take(vm, by=by)
    )


def _must_take(vm: VM, *, by: User) -> None:
    now = VM.objects.select_for_update(no_key=True, of=("self",)).get(pk=vm.pk)
    vm.state, vm.owner_id, vm.cloud_ref = now.state, now.owner_id, now.cloud_ref
    if now.owner_id == by.pk and (refusal := cannot_take(now, lacks_of(now.cloud))):
        raise refusal


def cannot_take(vm: VM, lacks: Mapping[str, str], *, disks: int = 0) -> Refused | None:
    """Why a machine takes no disk now, whichever it is. ``disks``: how many it has."""
    if vm.state not in TAKES or not vm.cloud_ref:
        why = _NOT_NOW.get(vm.state, "it is not running")
        return Refused("vm_state", f"{vm} is {vm.get_state_display()}: {why}.")
    if sentence := lacks.get("attach_volume"):
        return Refused("no_hot_plug", sentence)
    return volumes.too_many(vm) if disks >= volumes.MOST_DISKS else None


def lacks_of(cloud: str) -> Mapping[str, str]:
    """What the cloud cannot do, by call, as a worker heard it last."""
    found = CloudStatus.objects.filter(cloud=cloud).values_list("lacks", flat=True).first()
    return found or {}


def attach_many(
    wanted: Iterable[tuple[Volume, bool]], vm: VM, *, by: User
) -> tuple[list[Attachment], list[Refused]]:
    """Several disks, each with whether read-only: what is on its way, and why the rest is not."""
    done: list[Attachment] = []
    refusals: list[Refused] = []
    for volume, read_only in wanted:
        try:
            done.append(attach(volume, vm, by=by, read_only=read_only))
        except Refused as refused:
            refusals.append(refused)
    return done, refusals


def detach(attachment: Attachment, *, by: User, force: bool = False) -> None:
    """Have a machine let go of a disk.

    Raises:
        Refused: ``vm_state``, ``no_hot_plug``, and all that ``volumes.actions.detach`` refuses.
    """
    if volumes.may_detach(attachment, by) and (refusal := cannot_let_go(attachment)):
        raise refusal
    volumes.detach(attachment, by=by, force=force)


def cannot_let_go(attachment: Attachment, lacks: Mapping[str, str] | None = None) -> Refused | None:
    """Why a machine keeps a disk for now, whoever asks."""
    vm = attachment.vm
    if vm.state == VmState.EPILOG:
        return Refused("vm_state", f"{vm} is ending: the disk is free in a moment.")
    if lacks is None:
        lacks = lacks_of(vm.cloud)
    if sentence := lacks.get("detach_volume"):
        return Refused("no_hot_plug", sentence)
    return None


def detach_many(
    attachments: Iterable[Attachment], *, by: User, force: bool = False
) -> tuple[int, list[Refused]]:
    """Several at once: how many are on their way, and why the others are not."""
    done, refusals = 0, []
    for attachment in attachments:
        try:
            detach(attachment, by=by, force=force)
        except Refused as refused:
            refusals.append(refused)
        else:
            done += 1
    return done, refusals


def takers(volume: Volume, user: User) -> list[Taker]:
    """The machines of ``user`` that there are, each with what keeps this disk out of it."""
    standing = volumes.standings([volume], user)[volume.pk]
    machines = list(_with_disks(VM.objects.alive().filter(owner=user)).order_by("name", "pk"))
    lacks = {cloud: lacks_of(cloud) for cloud in {vm.cloud for vm in machines}}
    found = []
    for vm in machines:
        refusal = volumes.wrong_place(volume, standing, vm) or cannot_take(
            vm, lacks[vm.cloud], disks=vm.disk_count
        )
        found.append(Taker(vm, str(refusal or "")))
    return sorted(found, key=lambda taker: bool(taker.reason))


def _with_disks(machines: QuerySet[VM]) -> Any:
    held = Count("attachments", filter=Q(attachments__state__in=sorted(HOLDING)))
    return machines.annotate(disk_count=held)


def choices(disks: Sequence[Volume], user: User, vm: VM | None = None) -> list[Choice]:
    """What each of these disks could be attached for, to ``vm`` or to any machine."""
    standings = volumes.standings(disks, user)

    def why(volume: Volume, *, read_only: bool) -> str:
        standing = standings[volume.pk]
        refusal = volumes.obstacle(volume, standing, by=user, read_only=read_only, vm=vm)
        return str(refusal or "")

    return [
        Choice(disk, write=why(disk, read_only=False), read=why(disk, read_only=True))
        for disk in disks
    ]

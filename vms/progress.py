"""How far machines are that were launched together."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Count, Q
from django.utils import timezone

from core.machine import Stateful
from vms.models import VM
from vms.states import READINESS_DEADLINES, VM_DEADLINES, ReadinessState, VmState

#: On their way up.
_COMING = (VmState.PENDING, VmState.PROLOG, VmState.BOOT)
#: How long it is waited for that a machine answers, from when it came to be watched like that.
_SLOW = READINESS_DEADLINES[ReadinessState.SLOW].after
_LIMITS: Mapping[str, timedelta] = {
    ReadinessState.WATCHING: READINESS_DEADLINES[ReadinessState.WATCHING].after + _SLOW,
    ReadinessState.SLOW: _SLOW,
}


@dataclass(frozen=True, slots=True)
class Line:
    """One machine: what it waits for, if it does, and when that is given up."""

    vm: VM
    is_ready: bool
    took: timedelta | None  # from its launch until SSH answered
    waits: str
    left: timedelta | None


@dataclass(frozen=True, slots=True)
class Progress:
    """Of several machines: how many there are, and where they are."""

    total: int
    ready: int
    coming: int
    silent: int
    failed: int
    ending: int
    over: int
    took: timedelta | None  # until the last one was ready; None: not all are

    @property
    def is_moving(self) -> bool:
        return bool(self.coming or self.ending)


def line(vm: VM) -> Line:
    answered = vm.readiness.ssh_at
    took = answered - vm.created_at if answered else None
    waits, left = _waiting(vm)
    return Line(vm, _is_ready(vm), took, waits, left)


def _is_ready(vm: VM) -> bool:
    return vm.state == VmState.RUNNING and vm.readiness.ssh_at is not None


def _waiting(vm: VM) -> tuple[str, timedelta | None]:
    """What it waits for, and how long it may yet."""
    if vm.state == VmState.RUNNING and not vm.readiness.ssh_at:
        if vm.readiness.is_moving:
            return "Waits for its SSH to answer.", _left(vm.readiness, _LIMITS[vm.readiness.state])
        return "", None
    if vm.is_moving:
        return vm.note or vm.meaning, _left(vm, VM_DEADLINES[str(vm.state)].after)
    return "", None


def _left(row: Stateful, limit: timedelta) -> timedelta:
    return max(row.state_since + limit - timezone.now(), timedelta())


def together(since: datetime, machines: Sequence[VM]) -> Progress:
    ready = [vm for vm in machines if _is_ready(vm)]
    states = [vm.state for vm in machines]
    took = None
    if machines and len(ready) == len(machines):
        took = max(vm.readiness.ssh_at for vm in ready if vm.readiness.ssh_at) - since
    booting = sum(
        vm.state == VmState.RUNNING and not _is_ready(vm) and vm.readiness.is_moving
        for vm in machines
    )
    return Progress(
        total=len(machines),
        ready=len(ready),
        coming=sum(state in _COMING for state in states) + booting,
        silent=states.count(VmState.RUNNING) - len(ready) - booting,
        failed=sum(state in (VmState.FAILED, VmState.UNKNOWN) for state in states),
        ending=sum(state in (VmState.SHUTDOWN, VmState.EPILOG) for state in states),
        over=states.count(VmState.DONE),
        took=took,
    )


def counts(batches: Collection[int]) -> Mapping[int, Mapping[str, int]]:
    """Of each batch (by primary key): how many machines it has, are alive, are ready."""
    alive = ~Q(state=VmState.DONE)
    ready = Q(state=VmState.RUNNING, readiness__ssh_at__isnull=False)
    rows = VM.objects.filter(batch__in=batches).values("batch").order_by()
    counted = rows.annotate(
        total=Count("pk"), alive=Count("pk", filter=alive), ready=Count("pk", filter=ready)
    )
    found = {batch: dict.fromkeys(("total", "alive", "ready"), 0) for batch in batches}
    for row in counted:
        found[row["batch"]] |= {name: row[name] for name in ("total", "alive", "ready")}
    return found

"""Doors with bells: tasks carry ids, take one step, and ring for the next."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from celery import shared_task
from django.conf import settings

from core.bells import NOW
from core.machine import Stateful, due, hurry, tick
from marketplace import actions as marketplace
from vms import bells, sampling
from vms import reconcile as rules
from vms.lifecycle import (
    BUILD_STEPS,
    CLUSTER_STEPS,
    NETWORK_STEPS,
    NIC_STEPS,
    READINESS_STEPS,
    SAVING_STEPS,
    VM_STEPS,
    end_empty_clusters,
    look_at_leases,
    settle_kept,
    tell_of_batches,
)
from vms.models import VM, Build, Cluster, Network, Nic, Readiness, Saving
from vms.states import VmState

#: Rows of each table that one sweep rings; the next sweep is two seconds away.
SWEEP_ROWS = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Life:
    """How the rows of one table live. ``reads``: what their steps follow, in one query.

    ``cloud``: the column with the name of their cloud.
    """

    steps: Mapping[str, Any]
    reads: tuple[str, ...] = ()
    cloud: str = "cloud"


#: Each has a task ``vms.tick_<kind>``, and is swept. Machines and milestones come on their own.
ROWS: Mapping[type[Stateful], Life] = {
    Build: Life(steps=BUILD_STEPS, reads=("vm__owner", "owner"), cloud="vm__cloud"),
    Cluster: Life(steps=CLUSTER_STEPS, reads=("owner", "network")),
    Network: Life(steps=NETWORK_STEPS),
    Nic: Life(steps=NIC_STEPS, reads=("vm__owner", "network"), cloud="vm__cloud"),
    Saving: Life(steps=SAVING_STEPS, reads=("vm__owner", "vm__entry", "volume"), cloud="vm__cloud"),
}


def _task_for(table: type[Stateful], life: Life) -> Any:
    @shared_task(name=f"vms.tick_{table.KIND}")
    def tick_row(pk: int) -> None:
        rows: Any = table._default_manager
        row = rows.select_related(*life.reads).filter(pk=pk).first()
        if row and (wait := tick(row, life.steps)) is not None:
            ring_row(row, after=wait)

    return tick_row


_TASKS = [_task_for(table, life) for table, life in ROWS.items()]


@shared_task(name="vms.tick_vm")
def tick_vm(pk: int) -> None:
    wait: timedelta | None = NOW
    vm = None
    while wait == NOW:
        vm = VM.objects.select_related("entry", "root_disk", "owner").filter(pk=pk).first()
        wait = tick(vm, VM_STEPS) if vm else None
    if vm and wait is not None:
        ring_vm(vm, after=wait)
    if vm:
        _ring_readiness(vm)


def _ring_readiness(vm: VM) -> None:
    readiness = due(Readiness.objects.filter(vm=vm)).first()
    if readiness:
        ring_readiness(readiness)


@shared_task(name="vms.tick_readiness")
def tick_readiness(pk: int) -> None:
    readiness = Readiness.objects.select_related("vm").filter(pk=pk).first()
    if readiness and (wait := tick(readiness, READINESS_STEPS)) is not None:
        ring_readiness(readiness, after=wait)


@shared_task(name="vms.sweep")
def sweep() -> None:
    """Ring whatever is overdue. A bell can get lost; a row cannot.

    Nobody answers the bells of a cloud that the site no longer has: they would pile up.
    """
    clouds = list(settings.CLOUDS)
    for vm in due(VM.objects.filter(cloud__in=clouds))[:SWEEP_ROWS]:
        ring_vm(vm)
    watched = Readiness.objects.filter(vm__cloud__in=clouds).select_related("vm")
    for readiness in due(watched)[:SWEEP_ROWS]:
        ring_readiness(readiness)
    for table, life in ROWS.items():
        rows: Any = table._default_manager.filter(**{f"{life.cloud}__in": clouds})
        for row in due(rows.select_related(*life.reads))[:SWEEP_ROWS]:
            ring_row(row)
    settle_kept()
    end_empty_clusters()
    tell_of_batches()


@shared_task(name="vms.reconcile")
def reconcile() -> None:
    """Compare every cloud with its rows, and keep what it has left for the pages."""
    for cloud in settings.CLOUDS:
        rules.sweep(cloud)
        if rules.needs_status(cloud):
            rules.write_status(cloud)


@shared_task(name="vms.make_room")
def make_room() -> None:
    """Have copies of images removed that no machine needs, if they take too much room."""
    for cloud in settings.CLOUDS:
        machines = VM.objects.filter(cloud=cloud, entry__isnull=False).exclude(state=VmState.DONE)
        needed = machines.values_list("entry__identifier", flat=True).distinct()
        marketplace.evict_useless(cloud, set(needed))
        marketplace.evict(cloud, set(needed))


@shared_task(name="vms.let_go")
def let_go() -> None:
    """Have the fetching of images ended that no machine waits for any more."""
    for cloud in settings.CLOUDS:
        waiting = VM.objects.filter(cloud=cloud, state__in=(VmState.PENDING, VmState.PROLOG))
        entries = waiting.filter(entry__isnull=False).values_list("entry_id", flat=True)
        marketplace.let_go(cloud, set(entries))


@shared_task(name="vms.leases")
def leases() -> None:
    """Tell of leases that end, and end them. Again and again does no harm."""
    look_at_leases()


@shared_task(name="vms.sample")
def sample() -> None:
    for cloud in settings.CLOUDS:
        sampling.sample(cloud)


def follow_up(cloud: str, ref: str) -> None:
    """What ``watch`` saw: settle a machine at rest now, and look at a moving one soon."""
    vm = rules.look(cloud, ref)
    if vm and hurry(vm):
        ring_vm(vm)


def ring_row(row: Any, *, after: timedelta = NOW) -> None:
    """Have a worker of this row's cloud look at it, once this transaction commits."""
    bells.ring_row(row, after=after)


def ring_vm(vm: VM, *, after: timedelta = NOW) -> None:
    """Have a worker of this machine's cloud look at it, once this transaction commits."""
    bells.ring_row(vm, after=after)


def ring_readiness(readiness: Readiness, *, after: timedelta = NOW) -> None:
    bells.ring_row(readiness, after=after)

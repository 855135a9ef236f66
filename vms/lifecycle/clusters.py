"""The steps of a cluster: follow its machines until each has set itself up; and end them all.

No step waits, and each may run twice: what a look has found of the nodes is written with the row.
"""

from collections.abc import Container, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any

from django.db import transaction
from django.utils import timezone

from cloud.driver import CloudDriver
from cloud.errors import NotFound, Unsupported
from core.machine import Go, StaleState, Step, hurry
from registration import actions as registration
from vms import clusters
from vms.bells import ring_row
from vms.clusters import STEPS
from vms.models import VM, Cluster, Network, Nic, Saving
from vms.states import (
    VM_VERBS,
    ClusterState,
    NetworkState,
    NicState,
    SavingState,
    VmState,
)

#: More than an engine keeps: all of a machine's log.
WHOLE_LOG_BYTES = 8 << 20
_COMING = (VmState.PENDING, VmState.PROLOG, VmState.BOOT)


@dataclass(frozen=True, slots=True)
class Trouble:
    """A node that did not make it."""

    vm: VM
    reason: str
    tail: str = ""


def start(cluster: Cluster, cloud: CloudDriver) -> Go | None:
    """STARTING: wait until all machines run; the others are given up, or the whole is."""
    machines = _nodes(cluster)
    troubles = [Trouble(vm, _why_down(vm)) for vm in machines if _is_down(vm)]
    if troubles:
        return _settle(cluster, machines, troubles)
    if any(vm.state in _COMING for vm in machines) or not _has_cards(machines):
        return None
    return Go(ClusterState.WIRING, fields={"nodes": cluster.nodes})


def _has_cards(machines: Sequence[VM]) -> bool:
    """A master that was there before it has its card put in while it runs."""
    return not Nic.objects.filter(vm__in=machines, state=NicState.ATTACHING).exists()


def wire(cluster: Cluster, cloud: CloudDriver) -> Go | None:
    """WIRING: read what each node says of itself, until all are done or one is not to be."""
    machines = _nodes(cluster)
    before = dict(cluster.nodes)
    for vm in machines:
        _look_at(cluster, vm, cloud)
    gone = _left_out(cluster, machines)
    troubles = [one for vm in machines if (one := _trouble(cluster, vm, gone))]
    if troubles:
        return _settle(cluster, machines, troubles)
    if all(_said(cluster, vm).get("done") for vm in machines):
        return _ready(cluster)
    if cluster.nodes != before:
        cluster.keep(nodes=cluster.nodes)
    return None


def _ready(cluster: Cluster) -> Go:
    lost = [one for one in cluster.nodes.values() if one.get("dropped")]
    without = f" Without {', '.join(one['name'] for one in lost)}." if lost else ""
    sentence = f"The cluster {cluster} is ready.{without}"

    def tell() -> None:
        registration.notify(
            cluster.owner, "cluster_ready", sentence=sentence, url=cluster.get_absolute_url(),
            about=cluster,
        )  # fmt: skip

    return Go(ClusterState.READY, without.strip(), {"nodes": cluster.nodes}, tell)


def end(cluster: Cluster, cloud: CloudDriver) -> Go | None:
    """ENDING: kill what is left, give a borrowed master back, remove the network."""
    _give_back(cluster)
    _detach_others(cluster)
    left = [vm for vm in _machines(cluster) if vm.state != VmState.DONE]
    for vm in left:
        _kill(vm, cluster.reason)
    if left or cluster.network.nics.holding().exists():
        return None
    network = Network.objects.get(pk=cluster.network_id)
    if network.state in (NetworkState.CREATING, NetworkState.READY, NetworkState.FAILED):
        with suppress(StaleState), transaction.atomic():
            network.move(NetworkState.DELETING, reason=f"Its cluster {cluster} has ended.")
            ring_row(network)
        return None
    if network.state != NetworkState.DELETED:
        return None
    return Go(ClusterState.ENDED, cluster.reason, {"ended_at": timezone.now(), "sealed_key": ""})


CLUSTER_STEPS: Mapping[str, Step[Cluster]] = {
    ClusterState.STARTING: start,
    ClusterState.WIRING: wire,
    ClusterState.ENDING: end,
}


def end_empty_clusters() -> None:
    """Clusters at rest whose machines were ended one by one."""
    resting = Cluster.objects.filter(state__in=(ClusterState.READY, ClusterState.FAILED))
    for cluster in resting.exclude(pk__in=VM.objects.alive().filter(
            cluster__isnull=False).values("cluster")):  # fmt: skip
        with suppress(StaleState), transaction.atomic():
            cluster.move(ClusterState.ENDING, reason="Its last machine has ended.")
            ring_row(cluster)


# Looking ---------------------------------------------------------------------------------


def _machines(cluster: Cluster) -> list[VM]:
    """All that belong to it, but for a master that was there before it."""
    rows = VM.objects.filter(cluster=cluster).order_by("node_number")
    return [vm for vm in rows if str(vm.uuid) != cluster.wishes.get("borrowed")]


def _nodes(cluster: Cluster) -> list[VM]:
    """Those that are not given up."""
    rows = VM.objects.filter(cluster=cluster).order_by("node_number")
    return [vm for vm in rows if not _said(cluster, vm).get("dropped")]


def _said(cluster: Cluster, vm: VM) -> dict[str, Any]:
    found: dict[str, Any] = cluster.nodes.get(vm.token, {})
    return found


def _look_at(cluster: Cluster, vm: VM, cloud: CloudDriver) -> None:
    if vm.state != VmState.RUNNING or _said(cluster, vm).get("done"):
        return
    try:
        log = cloud.console_log(vm.cloud_ref, max_bytes=WHOLE_LOG_BYTES)
    except (NotFound, Unsupported):
        return
    said = clusters.read(log, cluster.tag)
    now = {"name": _name(vm), "step": said.step, "status": said.status, "done": said.is_done,
           "tail": said.tail, "without": list(said.without)}  # fmt: skip
    cluster.nodes = {**cluster.nodes, vm.token: now}


def _name(vm: VM) -> str:
    return "the master" if not vm.node_number else f"node{vm.node_number + 1}"


def _is_down(vm: VM) -> bool:
    return vm.state != VmState.RUNNING and vm.state not in _COMING


_DOWN = {
    VmState.SHUTDOWN: "is shutting down",
    VmState.UNKNOWN: "has halted",
    VmState.FAILED: "has failed",
    VmState.EPILOG: "was ended",
    VmState.DONE: "was ended",
}


def _why_down(vm: VM) -> str:
    return f"{_DOWN[VmState(vm.state)]}. {vm.reason}".strip()


def _left_out(cluster: Cluster, machines: Sequence[VM]) -> frozenset[str]:
    """Whom the master has gone on without: its lists are those that all have."""
    masters = [vm for vm in machines if vm.node_number == 0]
    return frozenset(name for vm in masters for name in _said(cluster, vm).get("without", ()))


def _trouble(cluster: Cluster, vm: VM, gone: Container[str]) -> Trouble | None:
    said = _said(cluster, vm)
    if vm.state != VmState.RUNNING:
        return Trouble(vm, _why_down(vm))
    if said.get("status"):
        step = STEPS.get(said["step"], said["step"])
        what = f"failed at “{step}” with exit status {said['status']}."
        return Trouble(vm, what, said.get("tail", ""))
    if vm.node_number and _name(vm) in gone:
        return Trouble(vm, "did not answer the master, which went on without it.")
    if said.get("done") or timezone.now() - cluster.state_since < _limit(cluster, vm):
        return None
    step = said.get("step", "")
    where = f"; it is at “{STEPS.get(step, step)}”" if step else "; it has said nothing"
    minutes = cluster.wanted.minutes
    return Trouble(vm, f"was not set up within {minutes} minute{'s' * (minutes != 1)}{where}.")


def _limit(cluster: Cluster, vm: VM) -> timedelta:
    """The master may have to find out that a worker does not come."""
    wishes = cluster.wanted
    if vm.node_number == 0 and wishes.tolerate:
        return timedelta(minutes=2 * wishes.minutes + 1)
    return timedelta(minutes=wishes.minutes)


# What comes of trouble -------------------------------------------------------------------


def _settle(cluster: Cluster, machines: Sequence[VM], troubles: Sequence[Trouble]) -> Go | None:
    """Go on without these, or give the whole up."""
    bad = {one.vm.pk for one in troubles}
    left = [vm for vm in machines if vm.pk not in bad]
    can_go_on = any(vm.node_number == 0 for vm in left) and any(vm.node_number for vm in left)
    if cluster.wanted.tolerate and can_go_on:
        _drop(cluster, troubles)
        return None
    return _give_up(cluster, troubles[0])


def _drop(cluster: Cluster, troubles: Sequence[Trouble]) -> None:
    """Name them in the row, and take them off the network, by which the others know: killed, or
    kept without their card there. Both, or neither.
    """
    nodes = dict(cluster.nodes)
    for one in troubles:
        known = nodes.get(one.vm.token, {})
        nodes[one.vm.token] = {**known, "name": _name(one.vm), "dropped": one.reason}
    with transaction.atomic():
        cluster.keep(nodes=nodes)
        if cluster.wanted.keep_failed:
            held = Nic.objects.holding().filter(network=cluster.network)
            kept = held.filter(vm__in=[one.vm for one in troubles])
            _pull_out(kept, f"Its cluster {cluster} goes on without this machine.")
            return
        for one in troubles:
            _kill(one.vm, f"Its cluster {cluster} goes on without it: it {one.reason}")


def _give_up(cluster: Cluster, trouble: Trouble) -> Go:
    name = _name(trouble.vm)
    reason = f"{name[0].upper()}{name[1:]} ({trouble.vm.name}) {trouble.reason}"
    known = cluster.nodes.get(trouble.vm.token, {})
    nodes = {**cluster.nodes, trouble.vm.token: {**known, "name": name, "failed": trouble.reason}}
    if cluster.wanted.keep_failed:
        return Go(ClusterState.FAILED, reason, {"nodes": nodes})
    return Go(
        ClusterState.ENDING,
        f"{reason} All were killed.",
        {"nodes": nodes},
        partial(_kill_all, cluster, reason),
    )


def _kill_all(cluster: Cluster, reason: str) -> None:
    for vm in _machines(cluster):
        _kill(vm, f"Its cluster {cluster} was given up. {reason}")
    ring_row(cluster)


def _kill(vm: VM, reason: str) -> None:
    """Without a person. Nothing of it is saved. Quiet if it is ending, or changes just now."""
    if vm.state not in VM_VERBS["kill"]:
        return
    with suppress(StaleState), transaction.atomic():
        vm.move(VmState.EPILOG, reason=reason)
        saving = Saving.objects.filter(vm=vm, state=SavingState.PLANNED).first()
        if saving:
            saving.move(SavingState.DROPPED, reason="Its machine was killed with its cluster.")
        ring_row(vm)


def _give_back(cluster: Cluster) -> None:
    """A machine that was there before it loses its card, and goes on."""
    borrowed = VM.objects.filter(cluster=cluster, uuid=cluster.wishes.get("borrowed")).first()
    if borrowed is None:
        return
    held = Nic.objects.holding().filter(vm=borrowed, network=cluster.network)
    _pull_out(held, f"The cluster {cluster} has ended.")
    if not held.exists():
        VM.objects.filter(pk=borrowed.pk).update(cluster=None, node_number=None)


def _detach_others(cluster: Cluster) -> None:
    """Machines of its owner that were put on its network beside it lose that card, and go on."""
    others = Nic.objects.holding().filter(network=cluster.network).exclude(vm__cluster=cluster)
    _pull_out(others, f"The network went with its cluster {cluster}.")


def _pull_out(nics: Iterable[Nic], reason: str) -> None:
    """Cards of machines that are still to start follow once they have."""
    for nic in nics:
        if nic.state in (NicState.ATTACHED, NicState.ATTACHING):
            with suppress(StaleState), transaction.atomic():
                nic.move(NicState.DETACHING, reason=reason)
                ring_row(nic)
        elif nic.state == NicState.DETACHING and hurry(nic):
            ring_row(nic)

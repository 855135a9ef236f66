"""Clusters: a master and workers on a network of their own, launched and killed together."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.conf import settings
from django.db import transaction

from core.errors import Refused
from core.machine import StaleState
from registration import names, sealing
from registration.models import User
from vms import clusters
from vms.actions import asking
from vms.actions.batches import launch_many
from vms.actions.launching import Order, must_be_launchable, the_only_one
from vms.actions.networks import attach_nic, make_network, must_have_networks
from vms.bells import ring_row
from vms.clusters import Wishes
from vms.models import VM, Batch, Cluster, Network
from vms.quota import machine_use, over_quota_as_cluster
from vms.states import ClusterState, VmState

#: Of one cluster, the master among them.
MOST_NODES = 50
_ENDING = (ClusterState.ENDING, ClusterState.ENDED)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterOrder:
    """What a person wants. ``worker`` and ``master`` are what each of these machines is like:
    image, size, keys; their names follow from ``name``.

    ``master_vm``: a running machine of theirs that is to be the master; then ``master`` is None.
    """

    name: str
    worker: Order
    workers: int
    master: Order | None = None
    master_vm: VM | None = None
    wishes: Wishes = field(default_factory=Wishes)
    create_key: uuid.UUID = field(default_factory=uuid.uuid4)


def launch_cluster(
    *, owner: User, order: ClusterOrder, cloud: str = settings.DEFAULT_CLOUD
) -> Cluster:
    """Launch it whole, or nothing: network, machines, key pair. The same order twice is one.

    Raises:
        Refused: ``cluster_name``, ``cluster_size``, ``cluster_wish``, ``cluster_master``,
            ``networks_lacking``, ``network_limit``, ``quota_machines``, ``quota_vcpus``,
            ``quota_memory``, and those of ``launch_many``.
    """
    if known := _known(owner, order):
        return known
    order = replace(order, name=_name(order.name))
    _must_be_sound(owner, order)
    must_have_networks(cloud)
    for one in filter(None, (order.master, order.worker)):
        must_be_launchable(owner, one, cloud)  # a denial that is rolled back is in no audit
    with transaction.atomic():
        owner = the_only_one(owner)
        if known := _known(owner, order):  # sent twice at once
            return known
        _must_fit(owner, order)
        cluster = _create(owner, order, cloud)
        _launch(cluster, order)
        cluster.record_event("asked", by=owner, now=ClusterState.STARTING, workers=order.workers)
        cluster.announce()
        ring_row(cluster)
    return cluster


def _must_fit(owner: User, order: ClusterOrder) -> None:
    """Raises: Refused: ``quota_machines``, ``quota_vcpus``, ``quota_memory``: of the whole."""
    master = [order.master] if order.master else []
    workers = [order.worker] * order.workers
    if refused := over_quota_as_cluster(machine_use(owner), master, workers):
        raise refused


def _known(owner: User, order: ClusterOrder) -> Cluster | None:
    return Cluster.objects.filter(owner=owner, create_key=order.create_key).first()


def _name(text: str) -> str:
    name = names.line(text, "cluster_name", field="name").strip()
    if not 1 <= len(name) <= 40:
        raise Refused("cluster_name", "A name has 1 to 40 characters.", field="name")
    return name


def _must_be_sound(owner: User, order: ClusterOrder) -> None:
    for name, sentence in clusters.problems(order.wishes):
        raise Refused("cluster_wish", sentence, field=name)
    if not 1 <= order.workers < MOST_NODES:
        sentence = f"A cluster has 1 to {MOST_NODES - 1} workers."
        raise Refused("cluster_size", sentence, field="workers")
    if (order.master is None) is (order.master_vm is None):
        sentence = "Name an image for the master, or a machine that is to be it."
        raise Refused("cluster_master", sentence, field="master_vm")
    if order.master_vm is not None:
        _must_be_a_master(owner, order.master_vm)


def _must_be_a_master(owner: User, vm: VM) -> None:
    if vm.owner_id != owner.pk:
        vm.record_denial("attach_nic", by=owner)
        raise Refused("not_yours", f"{vm} is somebody else's machine.", field="master_vm")
    if vm.state != VmState.RUNNING:
        sentence = f"{vm} is {vm.get_state_display()}: only a running machine can become a master."
        raise Refused("cluster_master", sentence, field="master_vm")
    if vm.cluster_id:
        sentence = f"{vm} belongs to the cluster {vm.cluster}: kill that first."
        raise Refused("cluster_master", sentence, field="master_vm")


def _create(owner: User, order: ClusterOrder, cloud: str) -> Cluster:
    network = make_network(owner, order.name, order.create_key, cloud)
    private, public = _key_pair(order.name)
    more: dict[str, Any] = {"public_key": public}
    if order.master_vm is not None:
        more["borrowed"] = str(order.master_vm.uuid)
    cluster = Cluster(
        owner=owner,
        cloud=cloud,
        create_key=order.create_key,
        name=order.name,
        network=network,
        wishes=order.wishes.as_json() | more,
        sealed_key=sealing.seal(private),
    )
    cluster.next_tick_at = cluster.state_since
    cluster.save(force_insert=True)
    return cluster


def _key_pair(name: str) -> tuple[str, str]:
    """In OpenSSH's formats."""
    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.OpenSSH,
        serialization.NoEncryption(),
    )
    public = key.public_key().public_bytes(
        serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
    )
    word = "".join(char for char in name if char.isascii() and char.isalnum()) or "cluster"
    return private.decode(), f"{public.decode()} {word}@portal"


def _launch(cluster: Cluster, order: ClusterOrder) -> None:
    """Its machines, as one batch; the master first, so that it has the first address."""
    if order.master_vm is not None:
        _borrow(cluster, order.master_vm)
    orders = list(_orders(cluster, order))
    batch = launch_many(
        owner=cluster.owner,
        orders=[one for _, one in orders],
        name=cluster.name,
        key=uuid.uuid5(order.create_key, "batch"),  # a batch of theirs may have that key
        cloud=cluster.cloud,
    )
    _number(batch, cluster, [number for number, _ in orders])


def _orders(cluster: Cluster, order: ClusterOrder) -> Sequence[tuple[int, Order]]:
    kinds = [(0, order.master)] if order.master else []
    kinds += [(number, order.worker) for number in range(1, order.workers + 1)]
    found = []
    for number, kind in kinds:
        name = "master" if not number else f"node{number + 1}"
        key = uuid.uuid5(order.create_key, name)
        networks = (cluster.network, *kind.networks)
        one = replace(kind, name=f"{order.name}-{name}", launch_key=key, networks=networks)
        found.append((number, one))
    return found


def _number(batch: Batch, cluster: Cluster, numbers: Sequence[int]) -> None:
    machines = batch.vms.order_by("pk").values_list("pk", flat=True)
    for pk, number in zip(machines, numbers, strict=True):
        VM.objects.filter(pk=pk).update(cluster=cluster, node_number=number)


def _borrow(cluster: Cluster, vm: VM) -> None:
    """Its card waits for the network, which is made only now."""
    attach_nic(vm, cluster.network, by=cluster.owner)
    VM.objects.filter(pk=vm.pk).update(cluster=cluster, node_number=0)


def kill_cluster(cluster: Cluster, *, by: User) -> None:
    """Kill all of its machines, and remove its network. Quiet if that is under way.

    A machine that was there before it, as its master, goes on running.

    Raises: Refused: ``not_yours``.
    """
    if not (by.is_staff or cluster.owner_id == by.pk):
        cluster.record_denial("kill_cluster", by=by)
        raise Refused("not_yours", f"{cluster} is somebody else's cluster.")
    while cluster.state not in _ENDING:
        try:
            with transaction.atomic():
                who = "its owner" if by.pk == cluster.owner_id else f"administrator {by.username}"
                cluster.move(ClusterState.ENDING, by=by, verb="kill_cluster",
                             reason=f"Kill, asked by {who}.")  # fmt: skip
                ring_row(cluster)
        except StaleState:
            cluster.refresh_from_db()
    machines = [vm for vm in own_machines(cluster) if "kill" in vm.verbs]
    asking.ask_many(machines, "kill", by=by)


def own_machines(cluster: Cluster) -> list[VM]:
    """Those that were launched for it."""
    rows = VM.objects.alive().filter(cluster=cluster).for_rows()
    borrowed = cluster.wishes.get("borrowed")
    return [vm for vm in rows.order_by("node_number") if str(vm.uuid) != borrowed]


def networks_of(owner: User) -> Any:
    """Networks that a new machine of this owner can be put on."""
    return Network.objects.filter(owner=owner, state__in=("creating", "ready"))

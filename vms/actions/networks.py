"""Private networks: making and removing them, and putting machines on them."""

import hashlib
import ipaddress
import uuid
from collections.abc import Iterator, Sequence

from django.conf import settings
from django.db import transaction

from cloud import cards
from core.errors import Refused
from core.machine import StaleState
from registration import names
from registration.models import User
from vms.bells import ring_row
from vms.models import VM, CloudStatus, Cluster, Network, Nic
from vms.states import NIC_HOLDS, ClusterState, NetworkState, NicState, VmState

#: Networks are given parts of it; a guest's first card is elsewhere in 10.0.0.0/8.
_POOL = [ipaddress.ip_network(f"10.{second}.0.0/16") for second in range(64, 128)]
#: When a card can be put in or taken out.
_AT_REST = (VmState.RUNNING, VmState.UNKNOWN)
_SHOWN = 5  # names in a sentence


def create_network(
    *,
    owner: User,
    name: str,
    create_key: uuid.UUID | None = None,
    cloud: str = settings.DEFAULT_CLOUD,
) -> Network:
    """A network of the owner's own, with addresses that no other of theirs has. The same key
    twice is one network.

    Raises:
        Refused: ``not_active``, ``network_name``, ``network_limit``, ``networks_lacking``.
    """
    key = create_key or uuid.uuid4()
    name = names.line(name, "network_name", field="name").strip()
    if not 1 <= len(name) <= 40:
        raise Refused("network_name", "A name has 1 to 40 characters.", field="name")
    must_have_networks(cloud)
    with transaction.atomic():
        owner = User.objects.select_for_update(no_key=True).get(pk=owner.pk)
        if known := Network.objects.filter(owner=owner, create_key=key).first():
            return known
        return make_network(owner, name, key, cloud)


def make_network(owner: User, name: str, key: uuid.UUID, cloud: str) -> Network:
    """Write its row; the owner is locked. Raises: Refused: ``not_active``, ``network_limit``."""
    if not owner.is_active:
        raise Refused("not_active", "Your account is not active; ask an administrator.")
    held = Network.objects.listed().filter(owner=owner)
    limit = settings.PORTAL_NETWORKS
    if held.count() >= limit:
        raise Refused(
            "network_limit",
            f"You have {limit} private networks, which is the limit of this site. Delete one "
            "that you do not need: under “Networks”, or with its cluster.",
        )
    cidr = _free_cidr(set(held.values_list("cidr", flat=True)), key)
    network = Network(owner=owner, cloud=cloud, create_key=key, name=name, cidr=cidr)
    network.next_tick_at = network.state_since
    network.save(force_insert=True)
    network.record_event("asked", by=owner, now=NetworkState.CREATING, addresses=cidr)
    network.announce()
    ring_row(network)
    return network


def lacking(cloud: str) -> str:
    """Why this site has no private networks, or ""."""
    status = CloudStatus.objects.filter(cloud=cloud).first()
    return str((status.lacks or {}).get("networks", "")) if status else ""


def must_have_networks(cloud: str) -> None:
    """Raises: Refused: ``networks_lacking``."""
    if sentence := lacking(cloud):
        raise Refused("networks_lacking", sentence)


def _free_cidr(taken: set[str], key: uuid.UUID) -> str:
    """One of 16,384; where to begin follows from the key, so owners seldom have the same."""
    first = int.from_bytes(hashlib.sha256(key.bytes).digest()[:4])
    count = len(_POOL) * 256
    for step in range(count):
        pool, third = divmod((first + step) % count, 256)
        cidr = f"{str(_POOL[pool].network_address).rsplit('.', 2)[0]}.{third}.0/24"
        if cidr not in taken:
            return cidr
    raise Refused("network_limit", "There are no addresses left for another network of yours.")


def delete_network(network: Network, *, by: User) -> None:
    """Remove a network that no machine is on. Quiet if it is on its way out.

    Raises:
        Refused: ``not_yours``, ``network_busy`` (machines are on it), ``network_of_cluster``,
            ``network_state``.
    """
    _must_be_theirs(network, "delete", by=by)
    with transaction.atomic():
        network = Network.objects.select_for_update(no_key=True).get(pk=network.pk)
        if network.state in (NetworkState.DELETING, NetworkState.DELETED):
            return
        clusters = Cluster.objects.filter(network=network).exclude(state=ClusterState.ENDED)
        if cluster := clusters.first():
            sentence = f"It belongs to the cluster {cluster}: kill that, and it goes with it."
            raise Refused("network_of_cluster", sentence)
        _must_be_empty(network)
        try:
            network.move(NetworkState.DELETING, by=by, verb="delete_network")
        except StaleState:
            sentence = "It has just changed. Look again."
            raise Refused("network_state", sentence) from None
        ring_row(network)


def _must_be_empty(network: Network) -> None:
    held = network.nics.holding().select_related("vm").order_by("vm__name")
    machines = [nic.vm.name for nic in held[: _SHOWN + 1]]
    if machines:
        more = f" and {held.count() - _SHOWN} more" if len(machines) > _SHOWN else ""
        raise Refused(
            "network_busy",
            f"Machines are on this network: {', '.join(machines[:_SHOWN])}{more}. Detach or end "
            "them first.",
        )


# Cards -----------------------------------------------------------------------------------


def must_be_joinable(owner: User, networks: Sequence[Network], cloud: str) -> None:
    """Whether a new machine of this owner can be on these.

    Raises: Refused: ``networks_lacking``, ``nic_room``, ``not_yours``, ``network_state``.
    """
    if not networks:
        return
    must_have_networks(cloud)
    if len(networks) > cards.MOST:
        raise Refused("nic_room", cards.TOO_MANY, field="networks")
    for network in networks:
        _must_take(network, owner)


def _must_take(network: Network, owner: User) -> None:
    if network.owner_id != owner.pk:
        sentence = f"{network} is somebody else's network: only machines of its owner are on it."
        raise Refused("not_yours", sentence, field="networks")
    if network.state not in (NetworkState.CREATING, NetworkState.READY):
        sentence = f"The network {network} is {network.get_state_display().lower()}: no machine " \
            "can be put on it."  # fmt: skip
        raise Refused("network_state", sentence, field="networks")


def plan_nics(vm: VM, networks: Sequence[Network]) -> None:
    """Cards of a machine that is being ordered, in the transaction of its row.

    Raises: Refused: ``network_state``, ``network_full``.
    """
    for network in networks:
        _add(vm, network, NicState.PLANNED)


def _add(vm: VM, network: Network, state: NicState) -> Nic:
    network = Network.objects.select_for_update(no_key=True).get(pk=network.pk)
    _must_take(network, vm.owner)
    nic = Nic(vm=vm, network=network, state=state, address=_free_address(network))
    nic.mac = _mac(nic.uuid)
    nic.next_tick_at = nic.state_since if nic.is_moving else None
    nic.save(force_insert=True)
    nic.announce()
    return nic


def _free_address(network: Network) -> str:
    """The first one that no machine has; .1 stays free."""
    taken = set(network.nics.holding().values_list("address", flat=True))
    for address in _addresses(network.cidr):
        if address not in taken:
            return address
    sentence = f"The network {network} is full: all of its addresses are taken."
    raise Refused("network_full", sentence, field="networks")


def _addresses(cidr: str) -> Iterator[str]:
    hosts = ipaddress.ip_network(cidr).hosts()
    next(hosts)
    length = cidr.rpartition("/")[2]
    return (f"{host}/{length}" for host in hosts)


def _mac(key: uuid.UUID) -> str:
    digest = hashlib.sha256(str(key).encode()).digest()
    return "52:54:01:" + ":".join(f"{byte:02x}" for byte in digest[:3])


def attach_nic(vm: VM, network: Network, *, by: User) -> Nic:
    """Give a machine a card on a network: at once if it runs, else it has it when it starts.

    Raises:
        Refused: ``not_yours``, ``vm_state``, ``nic_twice``, ``nic_room``, ``network_state``,
            ``network_full``, ``networks_lacking``.
    """
    if vm.owner_id != by.pk:
        vm.record_denial("attach_nic", by=by)
        raise Refused("not_yours", f"{vm} is somebody else's machine.")
    must_have_networks(vm.cloud)
    with transaction.atomic():
        vm = VM.objects.select_for_update(no_key=True).select_related("owner").get(pk=vm.pk)
        _must_be_at_rest(vm)
        held = Nic.objects.holding().filter(vm=vm)
        if held.filter(network=network).exists():
            raise Refused("nic_twice", f"{vm} has a card on {network} already.")
        if held.count() >= cards.MOST:
            raise Refused("nic_room", cards.TOO_MANY)
        nic = _add(vm, network, NicState.ATTACHING)
        vm.record_event("attach_nic", by=by, network=network.name, address=nic.address)
        ring_row(nic)
    return nic


def detach_nic(nic: Nic, *, by: User) -> None:
    """Take a card out of its machine. Quiet if it is on its way out.

    Raises: Refused: ``not_yours``, ``vm_state``.
    """
    vm = nic.vm
    if not (by.is_staff or vm.owner_id == by.pk):
        vm.record_denial("detach_nic", by=by)
        raise Refused("not_yours", f"{vm} is somebody else's machine.")
    if nic.state not in NIC_HOLDS or nic.state == NicState.DETACHING:
        return
    _must_be_at_rest(vm)
    with transaction.atomic():
        try:
            to = NicState.DETACHED if nic.state == NicState.PLANNED else NicState.DETACHING
            nic.move(to, by=by, verb="detach_nic")
        except StaleState:
            raise Refused("vm_state", "This card has just changed. Look again.") from None
        vm.record_event("detach_nic", by=by, network=nic.network.name, address=nic.address)
        if nic.is_moving:
            ring_row(nic)


def leave_networks(vm: VM, *, to: User) -> None:
    """A machine that is given away leaves the networks and the cluster of others."""
    nics = Nic.objects.holding().filter(vm=vm).exclude(network__owner=to)
    for nic in nics.select_related("network", "vm"):
        if nic.state != NicState.DETACHING:
            is_in = nic.state in (NicState.ATTACHED, NicState.ATTACHING)
            nic.move(
                NicState.DETACHING if is_in else NicState.DETACHED,
                reason=f"{vm} was given to {to}, whose network this is not.",
            )
            if is_in:
                ring_row(nic)
    if vm.cluster and vm.cluster.owner_id != to.pk:
        VM.objects.filter(pk=vm.pk).update(cluster=None, node_number=None)


def inherit_clusters(heir_of: User, *, to: User) -> None:
    """Give all clusters of somebody whose account ends to another person: before their machines
    are locked, since a cluster's own step kills machines."""
    Cluster.objects.filter(owner=heir_of).update(owner=to)


def inherit_networks(heir_of: User, *, to: User) -> None:
    """Give all networks of somebody whose account ends to another person: after their machines
    are locked, since a machine that gets a card has locked itself first."""
    Network.objects.filter(owner=heir_of).update(owner=to)


def _must_be_at_rest(vm: VM) -> None:
    if vm.state not in _AT_REST:
        raise Refused(
            "vm_state",
            f"{vm} is {vm.get_state_display()}: cards can be changed while it runs, or while it "
            "is halted.",
        )


def _must_be_theirs(network: Network, verb: str, *, by: User) -> None:
    if not (by.is_staff or network.owner_id == by.pk):
        network.record_denial(f"{verb}_network", by=by)
        raise Refused("not_yours", f"{network} is somebody else's network.")

"""The steps of private networks and of machines' cards on them. Each may run twice."""

from collections.abc import Mapping
from contextlib import suppress

from cloud import types
from cloud.driver import CloudDriver
from cloud.errors import CloudRefused, NotFound, Unsupported
from core.machine import Go, StaleState, Step, hurry_after
from vms.bells import ring_row
from vms.models import VM, Network, Nic
from vms.states import NetworkState, NicState, VmState

_GONE = "The machine is gone."


def make(network: Network, cloud: CloudDriver) -> Go | None:
    """CREATING: find the network that we may already have asked for, or ask."""
    info = cloud.find_network(network.token) or cloud.create_network(token=network.token)
    return Go(
        NetworkState.READY,
        fields={"cloud_ref": info.ref},
        alongside=lambda: _wake(network),
    )


def _wake(network: Network) -> None:
    """Machines that wait for it go on now."""
    waiting = VM.objects.filter(nics__network=network, state=VmState.PENDING)
    for vm in waiting:
        hurry_after(vm)
        ring_row(vm)


def remove(network: Network, cloud: CloudDriver) -> Go | None:
    """DELETING: ask until it is gone; the engine refuses while machines are on it."""
    with suppress(Unsupported):
        info = cloud.find_network(network.token)
        if info is not None:
            cloud.delete_network(info.ref)
    return Go(NetworkState.DELETED)


NETWORK_STEPS: Mapping[str, Step[Network]] = {
    NetworkState.CREATING: make,
    NetworkState.DELETING: remove,
}


def plug_in(nic: Nic, cloud: CloudDriver) -> Go | None:
    """ATTACHING: put the card in, and look whether it is there."""
    vm = nic.vm
    if vm.state == VmState.DONE or not vm.cloud_ref:
        return Go(NicState.DETACHED, _GONE)
    if nic.network.state == NetworkState.CREATING:
        return None
    try:
        if not _is_in(nic, cloud):
            card = types.Nic(network=nic.network.cloud_ref, mac=nic.mac, address=nic.address)
            cloud.attach_nic(vm.cloud_ref, card)
        return Go(NicState.ATTACHED) if _is_in(nic, cloud) else None
    except NotFound as error:
        return Go(NicState.DETACHED, str(error) or _GONE)
    except (CloudRefused, Unsupported) as error:
        return Go(NicState.DETACHED, str(error))


def pull_out(nic: Nic, cloud: CloudDriver) -> Go | None:
    """DETACHING: take the card out, once the guest lets go of it."""
    vm = nic.vm
    if vm.state == VmState.DONE or not vm.cloud_ref:
        return Go(NicState.DETACHED, _GONE)
    try:
        cloud.detach_nic(vm.cloud_ref, nic.mac)
        return None if _is_in(nic, cloud) else Go(NicState.DETACHED, nic.reason)
    except NotFound:
        return Go(NicState.DETACHED, _GONE)


def _is_in(nic: Nic, cloud: CloudDriver) -> bool:
    return any(one.mac == nic.mac for one in cloud.get_vm(nic.vm.cloud_ref).nics)


NIC_STEPS: Mapping[str, Step[Nic]] = {
    NicState.ATTACHING: plug_in,
    NicState.DETACHING: pull_out,
}


# The machine's part ------------------------------------------------------------------------


def held_up(vm: VM) -> str | Go:
    """What a machine waits for before it can be asked for: a sentence; "" nothing; or its end."""
    for network in Network.objects.filter(nics__vm=vm).exclude(state=NetworkState.READY):
        if network.state == NetworkState.CREATING:
            return f"Its network {network} is being made."
        why = network.reason or network.meaning
        return Go(VmState.FAILED, f"Its network {network} is not there. {why}")
    return ""


def nics_are_in(vm: VM) -> None:
    """In the transaction in which a machine comes to run."""
    _move_all(vm, NicState.ATTACHED, only=(NicState.PLANNED,))


def release_nics(vm: VM) -> None:
    """In the transaction in which a machine is gone: its addresses are free."""
    _move_all(vm, NicState.DETACHED)


def _move_all(vm: VM, to: NicState, *, only: tuple[str, ...] = ()) -> None:
    nics = Nic.objects.holding().filter(vm=vm).select_related("network", "vm")
    for nic in nics.filter(state__in=only) if only else nics:
        with suppress(StaleState):  # somebody has just moved it; its own step ends it
            nic.move(to)

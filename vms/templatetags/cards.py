"""What a machine's page says of its cards on private networks."""

from collections.abc import Sequence
from dataclasses import dataclass

from django import template

from registration.models import User
from vms.actions.networks import lacking
from vms.models import VM, Network, Nic
from vms.states import NIC_HOLDS, NetworkState, NicState, VmState

register = template.Library()


@dataclass(frozen=True, slots=True)
class ByHand:
    """A card that came while its machine ran: ``line`` gives it its address, in the guest.

    ``is_new``: the machine has not been started since.
    """

    nic: Nic
    line: str
    is_new: bool


@dataclass(frozen=True, slots=True)
class Cards:
    """``offer``: networks that it could be put on now. ``is_hinted``: it has no card, and its owner
    is told what networks are for.
    """

    rows: Sequence[Nic]
    offer: Sequence[Network]
    by_hand: Sequence[ByHand]
    may_change: bool
    lacking: str
    is_hinted: bool


@register.simple_tag
def cards_of(vm: VM, user: User) -> Cards:
    """In four queries at the most, whatever it has."""
    rows = list(
        vm.nics.filter(state__in=sorted(NIC_HOLDS)).select_related("network").order_by("pk")
    )
    if vm.state != VmState.DONE:  # those that could not be put in, with the reason
        rows += _refused(vm, {nic.network_id for nic in rows})
    at_rest = vm.state in (VmState.RUNNING, VmState.UNKNOWN)
    offer: list[Network] = []
    if at_rest and vm.owner_id == user.pk:
        networks = Network.objects.filter(owner=user, state=NetworkState.READY)
        offer = list(networks.exclude(pk__in=[nic.network_id for nic in rows if nic.is_held]))
    may = at_rest and (user.is_staff or vm.owner_id == user.pk)
    is_bare = not rows and vm.state != VmState.DONE and vm.owner_id == user.pk
    why_not = lacking(vm.cloud) if offer or is_bare else ""
    by_hand = [_by_hand(vm, nic) for nic in rows if _came_later(vm, nic)]
    return Cards(rows, offer, by_hand, may, why_not if offer else "", is_bare and not why_not)


def _came_later(vm: VM, nic: Nic) -> bool:
    """Whether its guest lacks the address from its start. A cluster sets its own card itself."""
    if nic.state != NicState.ATTACHED or vm.state != VmState.RUNNING:
        return False
    if vm.cluster and vm.cluster.network_id == nic.network_id:
        return False
    return (nic.created_at - vm.created_at).total_seconds() > 1


def _by_hand(vm: VM, nic: Nic) -> ByHand:
    sudo = "" if vm.login == "root" else "sudo "
    line = (
        f"card=$(grep -l {nic.mac} /sys/class/net/*/address | cut -d/ -f5); "
        f'{sudo}ip link set "$card" up && {sudo}ip addr add {nic.address} dev "$card"'
    )
    return ByHand(nic, line, is_new=nic.created_at > vm.state_since)


def _refused(vm: VM, but: set[int]) -> list[Nic]:
    ended = vm.nics.filter(state=NicState.DETACHED).exclude(reason="").exclude(network__in=but)
    return list(ended.select_related("network").order_by("-pk")[:3])

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
class Cards:
    """``offer``: networks that it could be put on now; ``by_hand``: cards that came while it ran,
    whose address somebody may have to set in the guest."""

    rows: Sequence[Nic]
    offer: Sequence[Network]
    by_hand: Sequence[Nic]
    may_change: bool
    lacking: str


@register.simple_tag
def cards_of(vm: VM, user: User) -> Cards:
    """In three queries, whatever it has."""
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
    came = [nic for nic in rows if nic.created_at > vm.created_at and nic.is_held]
    later = [nic for nic in came if (nic.created_at - vm.created_at).total_seconds() > 1]
    may = at_rest and (user.is_staff or vm.owner_id == user.pk)
    return Cards(rows, offer, later, may, lacking(vm.cloud) if offer else "")


def _refused(vm: VM, but: set[int]) -> list[Nic]:
    ended = vm.nics.filter(state=NicState.DETACHED).exclude(reason="").exclude(network__in=but)
    return list(ended.select_related("network").order_by("-pk")[:3])

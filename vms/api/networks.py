"""Private networks and cards on them, for programs."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from ninja import Field, Schema, Status

from cloud import cards
from registration.bearer import ApiRequest
from registration.doors import find_or_404
from vms import actions
from vms.api.machines import MachineRef, find, router
from vms.models import Network, Nic

MOST_NETWORKS = cards.MOST


class NetworkRef(Schema):
    uuid: UUID
    name: str


class NicOut(Schema):
    uuid: UUID
    machine: MachineRef
    network: NetworkRef
    address: str = Field(description="With the length of its network: 10.81.7.2/24")
    mac: str
    state: str = Field(description="planned, attaching, attached, detaching or detached")
    reason: str

    @staticmethod
    def resolve_machine(nic: Nic) -> Any:
        return nic.vm


class NetworkOut(Schema):
    uuid: UUID
    name: str
    owner: str = Field(description="A user name")
    cidr: str = Field(description="Addresses of its machines; no other network of yours has them")
    state: str = Field(description="creating, ready, deleting, deleted or failed")
    reason: str
    created_at: datetime
    cards: list[NicOut] = Field(description="Of machines that are on it")

    @staticmethod
    def resolve_owner(network: Network) -> str:
        return network.owner.username

    @staticmethod
    def resolve_cards(network: Network) -> list[Nic]:
        return [nic for nic in network.nics.all() if nic.is_held]


class NetworkIn(Schema):
    name: Annotated[str, Field(min_length=1, max_length=40)] = Field(description="Yours to choose")
    create_key: UUID | None = Field(
        None, description="Of your choice: the same twice makes one network"
    )


class NicIn(Schema):
    network: UUID = Field(description="Which one of yours")


def _rows(request: ApiRequest) -> Any:
    rows = Network.objects.visible_to(request.user).select_related("owner")
    return rows.prefetch_related("nics__vm", "nics__network")


def _find(request: ApiRequest, key: UUID, verb: str = "") -> Network:
    network: Network = find_or_404(_rows(request), request, verb, uuid=key)
    return network


def networks_of(request: ApiRequest, keys: Sequence[UUID]) -> tuple[Network, ...]:
    """What a launch names."""
    return tuple(_find(request, key, "launch") for key in dict.fromkeys(keys))


@router.get("/networks", response=list[NetworkOut], url_name="networks",
            summary="Your private networks")  # fmt: skip
def list_networks(request: ApiRequest) -> Any:
    """There are never many: a site has a limit for each person."""
    return _rows(request).listed().filter(owner=request.user)


@router.post("/networks", response={201: NetworkOut}, url_name="new_network",
             summary="Make a private network")  # fmt: skip
def new_network(request: ApiRequest, wanted: NetworkIn) -> Status[Network]:
    network = actions.create_network(
        owner=request.user, name=wanted.name, create_key=wanted.create_key
    )
    return Status(201, _find(request, network.uuid))


@router.get("/networks/{uuid:network}", response=NetworkOut, url_name="network",
            summary="One private network, and who is on it")  # fmt: skip
def one_network(request: ApiRequest, network: UUID) -> Network:
    return _find(request, network)


@router.delete("/networks/{uuid:network}", response={202: NetworkOut},
               summary="Remove a private network that no machine is on")  # fmt: skip
def delete_network(request: ApiRequest, network: UUID) -> Status[Network]:
    actions.delete_network(_find(request, network, "delete_network"), by=request.user)
    return Status(202, _find(request, network))


@router.post("/vms/{uuid:vm}/nics", response={202: NicOut}, url_name="attach_nic",
             summary="Put a machine on a private network")  # fmt: skip
def attach_nic(request: ApiRequest, vm: UUID, wanted: NicIn) -> Status[Nic]:
    """One that runs gets the card at once; a halted one has it when it starts."""
    machine = find(request, vm, verb="attach_nic")
    nic = actions.attach_nic(machine, _find(request, wanted.network, "attach_nic"), by=request.user)
    return Status(202, nic)


@router.delete("/nics/{uuid:nic}", response={202: NicOut}, url_name="detach_nic",
               summary="Take a machine off a private network")  # fmt: skip
def detach_nic(request: ApiRequest, nic: UUID) -> Status[Nic]:
    rows = Nic.objects.select_related("vm__owner", "network")
    mine = rows if request.user.is_staff else rows.filter(vm__owner=request.user)
    row = find_or_404(mine, request, "detach_nic", uuid=nic)
    actions.detach_nic(row, by=request.user)
    return Status(202, find_or_404(mine, request, uuid=nic))

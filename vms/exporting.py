"""Machines as exports tell of them."""

from django.db.models import Prefetch

from vms.batches.exports import Listed
from vms.models import VM, Nic, VMQuerySet
from vms.states import VmState


def for_exports(machines: VMQuerySet) -> VMQuerySet:
    """With everything that ``listed`` reads."""
    cards = Nic.objects.holding().select_related("network").order_by("pk")
    rows = machines.select_related("entry", "root_disk", "batch", "cluster")
    return rows.prefetch_related(Prefetch("nics", cards, to_attr="held_nics"))


def listed(vm: VM) -> Listed:
    end = None if vm.state == VmState.DONE else vm.ssh_endpoint
    return Listed(
        number=vm.pk,
        uuid=vm.token,
        name=vm.name,
        label=vm.hostname,
        state=str(vm.state),
        host=str(end["host"]) if end else "",
        port=int(end["port"]) if end else 0,
        user=vm.login,
        group=str(vm.cluster or vm.batch or ""),
        image=vm.source,
        type=vm.type_name,
        vcpus=vm.vcpus,
        memory_mib=vm.memory_mib,
        role=_role(vm),
        private=_private(vm),
        created_at=vm.created_at.isoformat(timespec="seconds"),
    )


def _role(vm: VM) -> str:
    if vm.cluster_id is None:
        return ""
    return "worker" if vm.node_number else "master"


def _private(vm: VM) -> dict[str, str]:
    """Its addresses by network: two that are called alike are told apart by their numbers."""
    network = vm.cluster.network_id if vm.cluster else None
    found: dict[str, str] = {}
    cards: list[Nic] = vm.held_nics  # type: ignore[attr-defined]
    for nic in sorted(cards, key=lambda one: one.network_id != network):
        name = nic.network.name
        known = f"{name} ({nic.network.cidr})" if name in found else name
        found[known] = nic.address.partition("/")[0]
    return found

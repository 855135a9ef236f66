"""Machines as exports tell of them."""

from vms.batches.exports import Listed
from vms.models import VM, VMQuerySet
from vms.states import VmState


def for_exports(machines: VMQuerySet) -> VMQuerySet:
    """With everything that ``listed`` reads."""
    return machines.select_related("entry", "root_disk", "batch", "cluster")


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
        created_at=vm.created_at.isoformat(timespec="seconds"),
    )


def _role(vm: VM) -> str:
    if vm.cluster_id is None:
        return ""
    return "workers" if vm.node_number else "master"

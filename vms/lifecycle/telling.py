"""Whom the portal tells what becomes of machines, in the transaction in which it does."""

from core.machine import Move
from registration.actions import notify
from vms.models import VM, Readiness
from vms.states import ReadinessState, VmState


def machine_moved(vm: VM, move: Move) -> None:
    """Its owner is told of what nobody asked for: it failed, or no longer runs."""
    if move.to == VmState.FAILED:
        _tell(vm, "machine_failed", f"{vm} has failed: {move.reason}", move.reason)
    elif move.to == VmState.UNKNOWN and move.was in (VmState.RUNNING, VmState.BOOT):
        why = f": {move.reason}" if move.reason else "."
        _tell(vm, "machine_failed", f"{vm} no longer runs{why}", move.reason)


def readiness_moved(readiness: Readiness, move: Move) -> None:
    """Once for each start; of the machines of a cluster, that of the cluster tells."""
    vm = readiness.vm
    if move.to != ReadinessState.READY or vm.cluster_id is not None:
        return
    note = readiness.context_note
    note = f" Of its contextualization: {note}" if note else ""
    _tell(vm, "machine_ready", f"{vm} is ready.{note}", note.strip())


def _tell(vm: VM, kind: str, sentence: str, reason: str) -> None:
    notify(
        vm.owner, kind, sentence=sentence, url=vm.get_absolute_url(), about=vm,
        address=vm.ssh_address, reason=reason,
    )  # fmt: skip

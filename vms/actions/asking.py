"""What may be asked of a machine that there is."""

from collections.abc import Iterable
from typing import Any

from core.errors import Refused
from core.machine import StaleState
from registration.models import User
from vms import tasks
from vms.models import VM
from vms.states import VmState


def shut_down(vm: VM, *, by: User) -> None:
    """Press the power button; when the guest is off, everything it holds is released.

    Raises:
        Refused: ``vm_state``, the machine is not running, or not any more; ``not_yours``.
    """
    _ask(vm, "shut_down", VmState.SHUTDOWN, by=by)


def reboot(vm: VM, *, by: User) -> None:
    """Restart the guest. Raises: Refused: ``vm_state``, ``not_yours``."""
    _ask(vm, "reboot", VmState.BOOT, by=by, asked="reboot")


def start(vm: VM, *, by: User) -> None:
    """Start a machine that was found halted. Raises: Refused: ``vm_state``, ``not_yours``."""
    _ask(vm, "start", VmState.BOOT, by=by, asked="start")


def kill(vm: VM, *, by: User) -> None:
    """Pull the power cord and release everything. Raises: Refused: ``vm_state``, ``not_yours``."""
    _ask(vm, "kill", VmState.EPILOG, by=by)


VERBS = {"shut_down": shut_down, "reboot": reboot, "start": start, "kill": kill}


def ask_many(vms: Iterable[VM], verb: str, *, by: User) -> tuple[int, list[Refused]]:
    """Ask the same of several machines: how many took it, and why the others did not."""
    refusals: list[Refused] = []
    done = 0
    for vm in vms:
        try:
            VERBS[verb](vm, by=by)
        except Refused as refused:
            refusals.append(refused)
        else:
            done += 1
    return done, refusals


def _ask(vm: VM, verb: str, to: str, *, by: User, **fields: Any) -> None:
    if not (by.is_staff or vm.owner_id == by.pk):
        vm.record_denial(verb, by=by)
        raise Refused("not_yours", f"{vm} is somebody else's machine.")
    while verb in vm.verbs:
        try:
            vm.move(to, by=by, verb=verb, reason=_asked_by(vm, verb, by), **fields)
        except StaleState:
            vm.refresh_from_db()  # the wish is about the machine, not the state it was seen in
        else:
            tasks.ring_vm(vm)
            return
    raise Refused("vm_state", f"{vm} is {vm.get_state_display()}: it cannot be asked to "
                  f"{verb.replace('_', ' ')}.")  # fmt: skip


def _asked_by(vm: VM, verb: str, by: User) -> str:
    words = {"shut_down": "Shut down", "reboot": "Reboot", "start": "Start", "kill": "Kill"}[verb]
    who = "its owner" if by.pk == vm.owner_id else f"administrator {by.username}"
    return f"{words}, asked by {who}."

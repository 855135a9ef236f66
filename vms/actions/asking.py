"""What may be asked of a machine that there is."""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from django.db import transaction

from core.errors import Refused
from core.machine import StaleState
from registration.models import User
from vms import tasks
from vms.actions.leases import extend, must_have_time
from vms.actions.saving import begin_again, drop_with
from vms.models import VM
from vms.states import VmState


def shut_down(vm: VM, *, by: User) -> None:
    """Press the power button; when the guest is off, everything it holds is released.

    If its disk is to become an image, it does so first.

    Raises:
        Refused: ``vm_state``, the machine is not running, or not any more; ``not_yours``.
    """
    again = partial(begin_again, vm, by=by)
    _ask(vm, "shut_down", VmState.SHUTDOWN, by=by, alongside=again, asked="")


def reboot(vm: VM, *, by: User) -> None:
    """Restart the guest. Raises: Refused: ``vm_state``, ``not_yours``."""
    _ask(vm, "reboot", VmState.BOOT, by=by, asked="reboot")


def start(vm: VM, *, by: User) -> None:
    """Start a machine that was found halted.

    Raises: Refused: ``vm_state``, ``not_yours``, ``lease_over``.
    """
    must_have_time(vm)
    again = partial(begin_again, vm, by=by)
    _ask(vm, "start", VmState.BOOT, by=by, alongside=again, asked="start")


def kill(vm: VM, *, by: User) -> None:
    """Pull the power cord and release everything, an image that is being saved of it as well.

    Raises: Refused: ``vm_state``, ``not_yours``.
    """
    _must_be_theirs(vm, "kill", by=by)
    if vm.state == VmState.EPILOG:
        _lose_image(vm, by=by)
        return
    lose = partial(drop_with, vm, by=by)
    _ask(vm, "kill", VmState.EPILOG, by=by, alongside=lose)


def _lose_image(vm: VM, *, by: User) -> None:
    try:
        with transaction.atomic():
            is_lost = drop_with(vm, by=by)
            if is_lost:
                vm.record_event("kill", by=by, reason="Its image is not saved.")
                vm.announce()
    except StaleState:  # it has just gone on
        is_lost = False
    if not is_lost:
        raise _wrong_state(vm, "kill")
    tasks.ring_vm(vm)


VERBS = {
    "shut_down": shut_down,
    "reboot": reboot,
    "start": start,
    "kill": kill,
    "extend": extend,
}


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


def _must_be_theirs(vm: VM, verb: str, *, by: User) -> None:
    if not (by.is_staff or vm.owner_id == by.pk):
        vm.record_denial(verb, by=by)
        raise Refused("not_yours", f"{vm} is somebody else's machine.")


def _ask(
    vm: VM,
    verb: str,
    to: str,
    *,
    by: User,
    alongside: Callable[[], Any] | None = None,
    **fields: Any,
) -> None:
    _must_be_theirs(vm, verb, by=by)
    while verb in vm.verbs:
        try:
            why = _asked_by(vm, verb, by)
            vm.move(to, by=by, verb=verb, reason=why, alongside=alongside, **fields)
        except StaleState:
            vm.refresh_from_db()  # the wish is about the machine, not the state it was seen in
        else:
            tasks.ring_vm(vm)
            return
    raise _wrong_state(vm, verb)


def _wrong_state(vm: VM, verb: str) -> Refused:
    asked = verb.replace("_", " ")
    return Refused("vm_state", f"{vm} is {vm.get_state_display()}: it cannot be asked to {asked}.")


def _asked_by(vm: VM, verb: str, by: User) -> str:
    words = {"shut_down": "Shut down", "reboot": "Reboot", "start": "Start", "kill": "Kill"}[verb]
    who = "its owner" if by.pk == vm.owner_id else f"administrator {by.username}"
    return f"{words}, asked by {who}."

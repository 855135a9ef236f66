"""What accounts hold here: their machines."""

from collections.abc import Sequence

from core.errors import Refused
from registration.models import User
from vms import actions
from vms.models import VM
from vms.states import VmState

#: Names in a sentence; the others are counted.
NAMED = 5
STARTING = frozenset({VmState.PENDING, VmState.PROLOG, VmState.BOOT})


class Machines:
    """The ``registration.holdings.Holding`` of this floor."""

    def lines(self, person: User) -> list[str]:
        alive = _alive(person)
        if not alive:
            return []
        names = ", ".join(f"{vm.name} ({vm.get_state_display()})" for vm in alive[:NAMED])
        more = f" and {len(alive) - NAMED} more" if len(alive) > NAMED else ""
        return [f"{len(alive)} machine{'s' if len(alive) > 1 else ''}: {names}{more}"]

    def stop(self, person: User, *, by: User, verb: str) -> None:
        """End what runs, and what is about to: it has nothing to lose yet, and is killed."""
        machines = _locked(person)
        starting = [vm for vm in machines if vm.state in STARTING]
        running = [vm for vm in machines if vm.state == VmState.RUNNING]
        actions.ask_many(starting, "kill", by=by)
        actions.ask_many(running, verb, by=by)

    def hand_over(self, person: User, *, to: User, by: User, is_over_quota: bool) -> None:
        given = [
            vm for vm in _alive(person) if "kill" in vm.verbs and vm.state != VmState.EPILOG
        ]  # the others are on their way out
        actions.hand_over(given, to=to, by=by, is_over_quota=is_over_quota, heir_of=person)

    def remove(self, person: User, *, by: User) -> None:
        _kill(_locked(person), by=by)


def _alive(person: User) -> Sequence[VM]:
    return list(VM.objects.alive().filter(owner=person).order_by("pk"))


def _locked(person: User) -> Sequence[VM]:
    """All at once, by their keys: two who lock several in another order wait for ever."""
    return list(
        VM.objects.alive().select_for_update(no_key=True).filter(owner=person).order_by("pk")
    )


def _kill(machines: Sequence[VM], *, by: User) -> None:
    """Raises: Refused: one that could not be killed, and has not gone by itself either."""
    _, refusals = actions.ask_many(machines, "kill", by=by)
    going = (VmState.EPILOG, VmState.DONE)
    if refusals and VM.objects.filter(pk__in=[vm.pk for vm in machines]).exclude(state__in=going):
        raise Refused("machines_alive", str(refusals[0]))


MACHINES = Machines()

"""How long a machine lasts: the end it is given, and more time."""

from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from core.errors import Refused
from registration.models import User
from vms.models import VM
from vms.states import VmState

#: A day that is chosen ends at its midnight: the last one counts whole.
_DAY = timedelta(days=1)
#: Sooner, a machine would end before it is there.
_SHORTEST = timedelta(minutes=10)
#: Nobody means a later one, and calendars end.
_FARTHEST = timedelta(days=10 * 365)


def longest() -> timedelta | None:
    """How far ahead a person may set the end of a machine; None: as far as they like."""
    days = settings.PORTAL_LEASE_DAYS
    return timedelta(days=days) if days > 0 else None


def first_lease(owner: User, until: datetime | None) -> dict[str, Any]:
    """The columns of a new machine's lease: until when its owner says, or as the site does.

    Raises: Refused: ``lease_past``, ``lease_long``.
    """
    now = timezone.now()
    step = longest()
    if until is not None:
        _must_fit(owner, until, created_at=now, field="until")
    elif step is not None:
        most = _most(now)
        until = min(now + step, most) if most else now + step
    return {"expires_at": until, "lease_since": now} if until else {}


def extend(vm: VM, *, by: User) -> None:
    """Give a machine more time: as long as the site gives, from now, or as long as it had.

    One that was halted at the end of its lease stays so, and can be started again.

    Raises:
        Refused: ``not_yours``, ``vm_state``, ``lease_none``, ``lease_most``.
    """
    _must_be_theirs(vm, "extend", by)
    with transaction.atomic():
        now_vm = _locked(vm)
        if now_vm.expires_at is None:
            raise Refused("lease_none", f"{vm} has no end: there is nothing to extend.")
        _must_be_alive(now_vm)
        until = _extended(now_vm, now_vm.expires_at, by)
        if until > now_vm.expires_at:
            _give(now_vm, until, by=by, verb="extend")
        _take_over(vm, now_vm)


def _extended(vm: VM, ends_at: datetime, by: User) -> datetime:
    """Raises: Refused: ``lease_most``."""
    now = timezone.now()
    until = now + (longest() or ends_at - (vm.lease_since or vm.created_at))
    most = None if by.is_staff else _most(vm.created_at)
    if most and until > most and most <= ends_at + _SHORTEST:
        raise Refused(
            "lease_most",
            f"A machine lasts {settings.PORTAL_LEASE_MOST_DAYS} days at most on this site, and "
            f"{vm} was launched on {vm.created_at:%-d %B %Y}. Save it as an image and launch that, "
            "or ask an administrator.",
        )
    return min(until, most) if most else until


def set_lease(vm: VM, *, until: datetime | None, by: User) -> None:
    """Have a machine end at ``until``; None, never.

    Raises:
        Refused: ``not_yours``, ``vm_state``, ``lease_past``, ``lease_long``, ``lease_needed``.
    """
    _must_be_theirs(vm, "lease_set", by)
    with transaction.atomic():
        now_vm = _locked(vm)
        _must_be_alive(now_vm)
        if until is not None:
            _must_fit(by, until, created_at=now_vm.created_at, field="until")
        elif longest() and not by.is_staff:
            days = settings.PORTAL_LEASE_DAYS
            sentence = f"On this site a machine has an end, {days} days from now at most."
            raise Refused("lease_needed", sentence, field="until")
        if until != now_vm.expires_at:
            _give(now_vm, until, by=by, verb="lease_set")
        _take_over(vm, now_vm)


def must_have_time(vm: VM) -> None:
    """Before it is started again. Raises: Refused: ``lease_over``."""
    if vm.expires_at is not None and vm.expires_at <= timezone.now():
        raise Refused(
            "lease_over",
            f"The lease of {vm} has ended: started, it would be shut down again. Extend it first.",
        )


def _must_fit(by: User, until: datetime, *, created_at: datetime, field: str) -> None:
    """Raises: Refused: ``lease_past``, ``lease_long``."""
    now = timezone.now()
    if until < now + _SHORTEST:
        raise Refused(
            "lease_past", "A machine ends in the future: choose a later day.", field=field
        )
    if until > now + _FARTHEST:
        raise Refused(
            "lease_long",
            f"The end of a machine is {_FARTHEST.days // 365} years ahead at most. A machine "
            "that is to run longer has no end.",
            field=field,
        )
    if by.is_staff:
        return
    step, most = longest(), _most(created_at)
    latest = min([at for at in (now + step if step else None, most) if at], default=None)
    if latest and until > latest + _DAY:
        raise Refused(
            "lease_long",
            f"On this site the end of this machine is {latest:%-d %B %Y} at the latest. You can "
            "extend it when that is near.",
            field=field,
        )


def _most(created_at: datetime) -> datetime | None:
    days = settings.PORTAL_LEASE_MOST_DAYS
    return created_at + timedelta(days=days) if days > 0 else None


def _must_be_theirs(vm: VM, verb: str, by: User) -> None:
    if not (by.is_staff or vm.owner_id == by.pk):
        vm.record_denial(verb, by=by)
        raise Refused("not_yours", f"{vm} is somebody else's machine.")


def _must_be_alive(vm: VM) -> None:
    if vm.state in (VmState.EPILOG, VmState.DONE):
        sentence = f"{vm} is {vm.get_state_display()}: its end cannot be changed any more."
        raise Refused("vm_state", sentence)


def _locked(vm: VM) -> VM:
    return VM.objects.select_for_update(no_key=True).get(pk=vm.pk)


def _give(vm: VM, until: datetime | None, *, by: User, verb: str) -> None:
    before = vm.expires_at
    fields = {"expires_at": until, "lease_since": timezone.now(), "expiry_told_at": None}
    VM.objects.filter(pk=vm.pk).update(**fields)
    for name, value in fields.items():
        setattr(vm, name, value)
    vm.record_event(verb, by=by, before={"ends": _said(before)}, after={"ends": _said(until)})
    vm.announce()


def _said(at: datetime | None) -> str:
    return at.isoformat(timespec="minutes") if at else "never"


def _take_over(vm: VM, now: VM) -> None:
    for name in ("expires_at", "lease_since", "expiry_told_at", "state", "state_since"):
        setattr(vm, name, getattr(now, name))

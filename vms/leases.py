"""When a machine's lease has something to say: pure arithmetic on its row and the settings.

A lease ends twice. At its end the machine is shut down, and its disk is kept; after the grace
the machine is removed with its disk. Each is told before, and never comes sooner than told.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import StrEnum

from django.conf import settings

from vms.models import VM
from vms.states import VmState

#: A guest that ignores the power button is asked again so often.
AGAIN = timedelta(hours=1)
#: Warned so long before the end, or for a quarter of the lease, if that is shorter.
WARN = (timedelta(days=3), timedelta(days=1))
#: The last warning before the machine is removed; or for a quarter of the grace.
LAST = timedelta(days=1)
#: What is off, and holds a disk.
HALTED = frozenset({VmState.UNKNOWN, VmState.FAILED})
ENDING = frozenset({VmState.EPILOG, VmState.DONE})
#: Why a machine is in SHUTDOWN whose disk is kept: its lease ended; or so long ago that its
#: plug is pulled.
ASKED, CUT = "lease", "lease_off"


class Due(StrEnum):
    """What is to be done about a lease now."""

    WARN = "warn"  # it ends soon
    HALT = "halt"  # it ended: press the power button
    CUT = "cut"  # the guest has ignored that for the whole grace: pull the plug
    SAVE = "save"  # it ended, and its halted machine is to become an image
    KEEP = "keep"  # it ended, and the machine is off: say until when its disk is kept
    LAST = "last"  # say once more when it is removed
    OVER = "over"  # remove it


def grace() -> timedelta:
    return timedelta(hours=settings.PORTAL_LEASE_GRACE_HOURS)


def due(vm: VM, now: datetime) -> Due | None:
    """What is to be done about the lease of ``vm``, with its image; None: nothing now."""
    if vm.expires_at is None or vm.state in ENDING:
        return None
    if now < vm.expires_at:
        passed = [at for at in warned_at(vm, vm.expires_at) if at <= now]
        return Due.WARN if passed and _is_untold(vm, passed[-1]) else None
    if vm.state in HALTED:
        return _halted(vm, vm.expires_at, now)
    if vm.state == VmState.RUNNING:
        return _running(vm, vm.expires_at, now)
    return None


def warned_at(vm: VM, ends_at: datetime) -> Sequence[datetime]:
    """When the owner is told that the lease ends, the first first."""
    quarter = (ends_at - (vm.lease_since or vm.created_at)) / 4
    return sorted({ends_at - min(before, quarter) for before in WARN})


def kept_until(vm: VM) -> datetime | None:
    """Until when a machine that is off keeps its disk at the least; None: it is not at its end."""
    if vm.expires_at is None or vm.state not in HALTED:
        return None
    return max(vm.state_since, vm.expires_at) + grace()


def removed_at(vm: VM, until: datetime, told_at: datetime) -> datetime:
    """When it is removed: at ``until``, and never sooner after the last warning than it says."""
    last = _last()
    return max(until, told_at + last) if told_at >= until - last else until


def _is_untold(vm: VM, since: datetime) -> bool:
    return vm.expiry_told_at is None or vm.expiry_told_at < since


def _last() -> timedelta:
    return min(LAST, grace() / 4)


def _running(vm: VM, ended_at: datetime, now: datetime) -> Due | None:
    told_at = vm.expiry_told_at
    if told_at is None or told_at < ended_at:
        return Due.HALT
    if now - vm.state_since < AGAIN:
        return None
    return Due.CUT if now >= told_at + grace() else Due.HALT


def _halted(vm: VM, ended_at: datetime, now: datetime) -> Due | None:
    if vm.state == VmState.UNKNOWN and vm.saved_as and vm.saved_as.is_open:
        return Due.SAVE
    since = max(vm.state_since, ended_at)
    until = since + grace()
    told_at = vm.expiry_told_at
    if told_at is None or told_at < since:
        return Due.KEEP
    if now >= until - _last() and told_at < until - _last():
        return Due.LAST
    return Due.OVER if now >= removed_at(vm, until, told_at) else None

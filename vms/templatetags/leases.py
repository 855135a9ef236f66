"""What pages say of the end of a machine."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django import template
from django.conf import settings
from django.utils import timezone

from vms import leases
from vms.models import VM
from vms.states import VmState

register = template.Library()


@dataclass(frozen=True, slots=True)
class Lease:
    """``ends_at`` None: it has no end. ``kept_until``: it is off at its end, and kept so long."""

    ends_at: datetime | None
    kept_until: datetime | None
    is_soon: bool
    is_over: bool
    is_failed: bool
    grace: timedelta
    today: str  # as a date field wants it
    latest: str
    chosen: str
    is_needed: bool  # by the site, of everybody but administrators


@register.simple_tag(takes_context=True)
def lease_of(context: Any, vm: VM) -> Lease:
    """The lease of ``vm`` as whoever looks may see and change it. Asks the database nothing."""
    now = timezone.now()
    ends_at = vm.expires_at if vm.state not in leases.ENDING else None
    is_staff = bool(getattr(context.get("user"), "is_staff", False))
    days = settings.PORTAL_LEASE_DAYS
    is_over = ends_at is not None and ends_at <= now
    return Lease(
        ends_at=ends_at,
        kept_until=leases.kept_until(vm) if is_over else None,
        is_soon=ends_at is not None and leases.warned_at(vm, ends_at)[0] <= now,
        is_over=is_over,
        is_failed=vm.state == VmState.FAILED,
        grace=leases.grace(),
        today=f"{now:%Y-%m-%d}",
        latest=f"{now + timedelta(days=days):%Y-%m-%d}" if days > 0 and not is_staff else "",
        chosen=f"{ends_at - timedelta(seconds=1):%Y-%m-%d}" if ends_at else "",
        is_needed=days > 0 and not is_staff,
    )

"""Give machines to somebody else."""

from collections.abc import Iterable
from typing import Any

from django.db import transaction
from django.utils import timezone

from core.errors import Refused
from core.machine import StaleState
from registration.models import User
from vms import disks
from vms.actions.leaving import leave_plans
from vms.actions.networks import inherit_clusters, inherit_networks, leave_networks
from vms.models import VM, Build, Tenure
from vms.quota import must_fit
from volumes.models import Access, Attachment

_TO_WRITE = (Access.WRITE, Access.OWN)


@transaction.atomic
def hand_over(
    machines: Iterable[VM],
    *,
    to: User,
    by: User,
    is_over_quota: bool = False,
    heir_of: User | None = None,
) -> list[VM]:
    """Make ``to`` the owner of these machines, as an administrator decides.

    Disks that ``to`` may not use as they are plugged in are detached: the guest is asked. So are
    cards on networks of others; an image that it was to become is called off. Of
    ``heir_of``, whose account ends, the disks follow, and no guest is asked for the others.
    ``is_over_quota``: they may be more than the quota of ``to`` allows.

    Raises:
        Refused: ``not_administrator``, ``not_active``, ``quota_machines``, ``quota_vcpus``,
            ``quota_memory``, ``disk_stays`` (a machine cannot let go of such a disk now),
            ``saving_state``, ``vm_state``.
    """
    if not (by.is_staff and by.is_active):
        raise Refused("not_administrator", "Only an administrator may do this.")
    to = User.objects.select_for_update(no_key=True).get(pk=to.pk)
    if not to.is_active:
        raise Refused("not_active", f"The account {to} is not active: it can be given nothing.")
    wanted = [vm.pk for vm in machines]
    if heir_of is not None:
        inherit_clusters(heir_of, to=to)
    list(Build.objects.select_for_update(no_key=True).filter(vm__in=wanted).order_by("pk"))
    alive = VM.objects.alive().select_for_update(no_key=True).order_by("pk")
    given = list(alive.filter(pk__in=wanted).exclude(owner=to))
    if given and not is_over_quota:
        must_fit(to, given)
    if heir_of is not None:
        inherit_networks(heir_of, to=to)
    for vm in given:
        try:
            leave_plans(vm, to=to, by=by, is_heir=heir_of is not None)
            leave_networks(vm, to=to)
        except StaleState:  # a worker was faster
            raise Refused("vm_state", f"{vm} has just changed: try again.") from None
        left = _left_behind(vm, to, heir_of)
        for attachment in left:
            _detach(attachment, to=to, by=by, force=heir_of is not None)
        _give(vm, to=to, by=by, without=[str(attachment.volume) for attachment in left])
    return given


def _left_behind(vm: VM, to: User, heir_of: User | None) -> list[Attachment]:
    """Disks in it that ``to`` may not have in it like that."""
    held = Attachment.objects.holding().filter(vm=vm).order_by("volume")
    return [
        attachment
        for attachment in held.select_related("volume__owner", "vm__owner")
        if attachment.volume.owner != heir_of and not _may_have(attachment, to)
    ]


def _may_have(attachment: Attachment, to: User) -> bool:
    access = attachment.volume.access_of(to)
    return access in _TO_WRITE or (access is not None and attachment.read_only)


def _detach(attachment: Attachment, *, to: User, by: User, force: bool) -> None:
    """Raises: Refused: ``disk_stays``."""
    vm, volume = attachment.vm, attachment.volume
    try:
        disks.detach(attachment, by=by, force=force)
    except Refused as refused:
        raise Refused(
            "disk_stays",
            f"{vm} has the disk {volume} of {volume.owner}, which {to} may not use like that. "
            f"{refused} Or kill the machine first, or have the disk shared with {to}.",
        ) from refused
    reason = f"{vm} was given to {to}, who may not use it like that."
    volume.record_event("detach", by=by, reason=reason)


def _give(vm: VM, *, to: User, by: User, without: list[str]) -> None:
    before, now = User.objects.get(pk=vm.owner_id), timezone.now()
    since = vm.owner_since or vm.created_at
    Tenure.objects.create(vm=vm, owner=before, since=since, until=now)
    change: dict[str, Any] = {"before": before.username, "after": to.username}
    if without:
        change["detached"] = without
    vm.record_event("handed_over", by=by, **change)  # in the list of who gives
    vm.announce()
    VM.objects.filter(pk=vm.pk).update(owner=to, owner_since=now)
    vm.owner, vm.owner_since = to, now
    vm.record_event("taken_over", by=by, **change)  # and of who takes
    vm.announce()

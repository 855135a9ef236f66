"""Give machines to somebody else."""

from collections.abc import Iterable

from django.db import transaction
from django.utils import timezone

from core.errors import Refused
from registration.models import User
from vms.models import VM, Tenure
from vms.quota import must_fit


@transaction.atomic
def hand_over(
    machines: Iterable[VM], *, to: User, by: User, is_over_quota: bool = False
) -> list[VM]:
    """Make ``to`` the owner of these machines, as an administrator decides.

    ``is_over_quota``: they may be more than the quota of ``to`` allows.

    Raises:
        Refused: ``not_administrator``, ``not_active``, ``quota_machines``, ``quota_vcpus``,
            ``quota_memory``.
    """
    if not (by.is_staff and by.is_active):
        raise Refused("not_administrator", "Only an administrator may do this.")
    to = User.objects.select_for_update().get(pk=to.pk)
    if not to.is_active:
        raise Refused("not_active", f"The account {to} is not active: it can be given nothing.")
    wanted = [vm.pk for vm in machines]
    given = list(VM.objects.alive().select_for_update().filter(pk__in=wanted).exclude(owner=to))
    if given and not is_over_quota:
        must_fit(to, given)
    for vm in given:
        _give(vm, to=to, by=by)
    return given


def _give(vm: VM, *, to: User, by: User) -> None:
    before, now = User.objects.get(pk=vm.owner_id), timezone.now()
    since = vm.owner_since or vm.created_at
    Tenure.objects.create(vm=vm, owner=before, since=since, until=now)
    change = {"before": before.username, "after": to.username}
    vm.record_event("handed_over", by=by, **change)  # in the list of who gives
    vm.announce()
    VM.objects.filter(pk=vm.pk).update(owner=to, owner_since=now)
    vm.owner, vm.owner_since = to, now
    vm.record_event("taken_over", by=by, **change)  # and of who takes
    vm.announce()

"""Several launches, closings and gifts in the same moment, with real threads and commits."""

from uuid import uuid4

import pytest
from django.utils import timezone

from marketplace.tests.factories import EntryFactory
from registration import actions as accounts
from registration.models import Notification, User
from registration.tests.factories import UserFactory
from registration.tests.test_at_once import at_once
from vms import actions
from vms.lifecycle import tell_of_batches
from vms.models import VM, Batch, Readiness
from vms.states import ReadinessState, VmState
from vms.tests.factories import VMFactory
from vms.tests.test_actions import order
from volumes.models import Access, Attachment, DiskType
from volumes.tests.factories import ShareFactory, VolumeFactory

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow, pytest.mark.at_once]

WHY = "The project has ended."


def copies(person, number):
    """The same account, as each of so many requests would load it."""
    return [User.objects.get(pk=person.pk) for _ in range(number)]


def test_eight_launches_against_a_quota_of_one_make_one():
    alice, entry = UserFactory(quota_machines=1), EntryFactory()
    outcome = at_once(
        *(
            lambda owner=owner: actions.launch(owner=owner, order=order(entry=entry))
            for owner in copies(alice, 8)
        )
    )
    assert outcome == ["done", *["quota_machines"] * 7]
    assert VM.objects.count() == 1


def test_launches_fill_the_quota_of_memory_and_no_more():
    alice, entry = UserFactory(quota_memory_mib=1100), EntryFactory()
    outcome = at_once(
        *(
            lambda owner=owner: actions.launch(owner=owner, order=order(entry=entry))
            for owner in copies(alice, 6)
        )
    )
    assert outcome == ["done"] * 2 + ["quota_memory"] * 4


def test_of_six_launches_with_one_disk_to_write_to_one_gets_it():
    alice, entry = UserFactory(), EntryFactory()
    disk = VolumeFactory(owner=alice)
    outcome = at_once(
        *(
            lambda owner=owner: actions.launch(
                owner=owner, order=order(entry=entry, disks=[(disk, False)])
            )
            for owner in copies(alice, 6)
        )
    )
    assert outcome == ["disk_in_use"] * 5 + ["done"]
    assert VM.objects.count() == 1
    assert Attachment.objects.get().vm == VM.objects.get()


def test_two_people_who_launch_from_one_disk_do_not_get_it_both():
    disk = VolumeFactory(type=DiskType.MACHINE_IMAGE_LIVE)
    friend = UserFactory()
    ShareFactory(volume=disk, user=friend, access=Access.WRITE)
    size = {"name": "web", "type_name": "m1.small", "vcpus": 1, "memory_mib": 512}
    outcome = at_once(
        *(
            lambda owner=owner: actions.launch(
                owner=owner, order=actions.Order(root_disk=disk, **size)
            )
            for owner in (disk.owner, friend)
        )
    )
    assert outcome == ["disk_in_use", "done"]
    assert VM.objects.count() == 1


def test_launches_with_the_same_disks_in_another_order_do_not_wait_for_ever():
    entry, people = EntryFactory(), UserFactory.create_batch(2)
    disks = VolumeFactory.create_batch(2, public=True)
    outcome = at_once(
        *(
            lambda owner=owner, disks=disks[::way]: actions.launch(
                owner=owner, order=order(entry=entry, disks=[(disk, True) for disk in disks])
            )
            for owner, way in zip(people, (1, -1), strict=True)
        )
    )
    assert outcome == ["done", "done"]
    assert Attachment.objects.holding().count() == 4


def test_an_account_that_closes_while_it_launches_leaves_no_machine():
    alice, admin, entry = UserFactory(), UserFactory(admin=True), EntryFactory()
    closing, *launching = copies(alice, 4)
    outcome = at_once(
        lambda: accounts.close(closing, by=admin, reason=WHY),
        *(
            lambda owner=owner: actions.launch(owner=owner, order=order(entry=entry))
            for owner in launching
        ),
    )
    assert set(outcome) <= {"done", "not_active"}
    alive = VM.objects.filter(owner=alice).exclude(state__in=(VmState.EPILOG, VmState.DONE))
    assert not alive.exists()


def test_two_gifts_to_one_heir_do_not_exceed_their_quota():
    admin, heir = UserFactory(admin=True), UserFactory(quota_machines=1)
    givers = [VMFactory().owner for _ in range(2)]
    outcome = at_once(
        *(
            lambda giver=giver: accounts.close(giver, by=admin, reason=WHY, heir=heir)
            for giver in givers
        )
    )
    assert outcome == ["done", "quota_machines"]
    assert VM.objects.filter(owner=heir).count() == 1


def test_two_accounts_that_inherit_from_each_other_do_not_wait_for_ever():
    admin, one, other = UserFactory(admin=True), UserFactory(), UserFactory()
    VMFactory(owner=one)
    VMFactory(owner=other)
    outcome = at_once(
        lambda: accounts.close(one, by=admin, reason=WHY, heir=User.objects.get(pk=other.pk)),
        lambda: accounts.close(other, by=admin, reason=WHY, heir=User.objects.get(pk=one.pk)),
    )
    assert outcome == ["done", "heir_state"]


def batch_of(number):
    owner = UserFactory()
    batch = Batch.objects.create(owner=owner, uuid=uuid4(), name="web", asked=number)
    for vm in VMFactory.create_batch(number, owner=owner, batch=batch, running=True):
        found = {"state": ReadinessState.WATCHING, "ssh_at": timezone.now()}
        Readiness.objects.filter(vm=vm).update(**found)
    return batch


def told():
    return list(Notification.objects.order_by("pk").values_list("kind", "sentence"))


def test_machines_that_become_ready_in_the_same_moment_are_told_of_once():
    batch = batch_of(4)

    def become_ready(vm):
        Readiness.objects.get(vm=vm).move(ReadinessState.READY)
        tell_of_batches()

    at_once(*(lambda vm=vm: become_ready(vm) for vm in batch.vms.all()))
    tell_of_batches()
    assert told() == [("batch_ready", "All 4 machines of web are ready.")]


@pytest.mark.parametrize("_", range(3))
def test_a_machine_that_is_lost_while_its_batch_is_told_of_is_told_of_in_one_way(_):
    batch = batch_of(2)
    Readiness.objects.update(state=ReadinessState.READY)
    vm = batch.vms.first()
    at_once(lambda: vm.move(VmState.UNKNOWN, reason="Gone."), tell_of_batches, tell_of_batches)
    tell_of_batches()
    assert told() in (
        [("batch_ready", "1 of the 2 machines of web is ready; 1 failed.")],
        [
            ("batch_ready", "All 2 machines of web are ready."),
            ("machine_failed", f"{vm} no longer runs: Gone."),
        ],
    )


def test_administrators_who_unmake_each_other_leave_one():
    admins = [UserFactory(admin=True) for _ in range(3)]
    acts = [
        lambda by=by, whom=whom: accounts.revoke_administrator(
            User.objects.get(pk=whom.pk), by=User.objects.get(pk=by.pk)
        )
        for by, whom in zip(admins, [*admins[1:], admins[0]], strict=True)
    ]
    at_once(*acts)
    assert User.objects.administrators().count() >= 1

"""What becomes of disks when an account is closed."""

from datetime import timedelta

import pytest
import time_machine
from django.utils import timezone

from core.errors import Refused
from core.models import Event
from registration import actions as accounts
from registration import holdings
from registration.models import GIB, OutgoingMail
from registration.tests.factories import UserFactory
from vms.tests.factories import VMFactory
from volumes import actions
from volumes.lifecycle.closing import bin_what_is_left
from volumes.models import Access, Attachment, Offer, Visibility, Volume
from volumes.states import AttachmentState, OfferState, VolumeState
from volumes.tests.factories import (
    AttachmentFactory,
    OfferFactory,
    ShareFactory,
    SnapshotFactory,
    VolumeFactory,
)

pytestmark = pytest.mark.django_db

WHY = "The project has ended."


@pytest.fixture
def alice():
    return UserFactory()


@pytest.fixture
def admin():
    return UserFactory(admin=True)


def close(person, *, by, **how):
    accounts.close(person, by=by, reason=WHY, **how)


def test_it_is_said_what_an_account_holds(alice):
    VolumeFactory(owner=alice, tag="results", size_gib=2)
    SnapshotFactory(volume=VolumeFactory(owner=alice, tag="old", binned=True))
    VolumeFactory(owner=alice, failed=True)
    VolumeFactory()
    assert holdings.of(alice) == ["2 disks, 4 GiB: results (Available), old (In the bin)"]


def test_of_many_disks_five_are_named(alice):
    VolumeFactory.create_batch(8, owner=alice)
    assert "8 disks, 8 GiB: " in holdings.of(alice)[0]
    assert holdings.of(alice)[0].endswith(" and 3 more")


def test_who_holds_no_disk_holds_nothing(alice):
    assert holdings.of(alice) == []


@pytest.mark.parametrize("meanwhile", ["shut_down", "kill"])
def test_a_suspended_account_keeps_its_disks(alice, admin, meanwhile):
    disk = VolumeFactory(owner=alice)
    accounts.suspend(alice, by=admin, reason=WHY, machines=meanwhile)
    disk.refresh_from_db()
    assert (disk.owner, disk.state) == (alice, VolumeState.AVAILABLE)


def test_an_heir_gets_every_disk_with_its_snapshots_and_shares(alice, admin):
    heir, friend = UserFactory(), UserFactory()
    disk = VolumeFactory(owner=alice)
    snapshot = SnapshotFactory(volume=disk)
    ShareFactory(volume=disk, user=friend)
    ShareFactory(volume=disk, user=heir)
    binned = VolumeFactory(owner=alice, binned=True)
    in_use = AttachmentFactory(volume__owner=alice).volume
    close(alice, by=admin, heir=heir)
    assert set(Volume.objects.filter(owner=heir)) == {disk, binned, in_use}
    assert snapshot.volume.shares.get().user == friend
    assert Attachment.objects.get().state == AttachmentState.ATTACHED
    assert Attachment.objects.get().vm.owner == heir


def test_both_owners_and_the_administrator_are_in_the_audit(alice, admin):
    heir = UserFactory()
    disk = VolumeFactory(owner=alice)
    close(alice, by=admin, heir=heir)
    told = Event.objects.of(disk.uuid).filter(verb__in=("handed_over", "taken_over"))
    assert [(one.verb, one.by, one.owner) for one in told] == [
        ("handed_over", admin, alice),
        ("taken_over", admin, heir),
    ]


def test_an_heir_without_room_is_refused_unless_it_may_be_more(alice, admin):
    heir = UserFactory(quota_disk_bytes=3 * GIB)
    VolumeFactory(owner=heir, size_gib=2)
    disk = VolumeFactory(owner=alice, size_gib=2)
    with pytest.raises(Refused) as refused:
        close(alice, by=admin, heir=heir)
    assert refused.value.code == "quota_disk"
    assert "is 3 GiB: they hold 2 GiB and this would add 2 GiB" in str(refused.value)
    disk.refresh_from_db()
    alice.refresh_from_db()
    assert (disk.owner, alice.is_active) == (alice, True)
    close(alice, by=admin, heir=heir, is_over_quota=True)
    disk.refresh_from_db()
    assert disk.owner == heir


def test_without_an_heir_disks_go_into_the_bin(alice, admin, settings):
    settings.PORTAL_BIN_DAYS = 7
    disk = VolumeFactory(owner=alice)
    offer = OfferFactory(volume=disk)
    close(alice, by=admin)
    disk.refresh_from_db()
    assert disk.state == VolumeState.BINNED
    assert disk.purge_at > timezone.now() + timedelta(days=6)
    assert Offer.objects.get(pk=offer.pk).state == OfferState.WITHDRAWN
    assert Event.objects.of(disk.uuid).get(verb="delete").by == admin


def test_what_is_in_the_bin_already_stays_there_no_longer(alice, admin):
    disk = VolumeFactory(owner=alice, binned=True)
    close(alice, by=admin)
    before = disk.purge_at
    disk.refresh_from_db()
    assert (disk.state, disk.purge_at) == (VolumeState.BINNED, before)


def test_what_is_still_arriving_is_cancelled(alice, admin):
    disk = VolumeFactory(owner=alice, state=VolumeState.UPLOADING)
    close(alice, by=admin)
    disk.refresh_from_db()
    assert disk.state == VolumeState.CLEARING


def test_a_disk_in_a_machine_follows_when_that_has_let_go(alice, admin, cloud, worker):
    vm = VMFactory(owner=alice, running=True)
    held = AttachmentFactory(volume__owner=alice, vm=vm)
    close(alice, by=admin)
    bin_what_is_left()
    held.volume.refresh_from_db()
    assert held.volume.state == VolumeState.IN_USE
    worker.run(hours=0.001)
    bin_what_is_left()
    held.volume.refresh_from_db()
    assert held.volume.state == VolumeState.BINNED
    assert held.volume.reason == "The account of its owner was closed."


def test_what_was_being_made_follows_when_it_is_there(alice, admin):
    disk = VolumeFactory(owner=alice, creating=True)
    close(alice, by=admin)
    bin_what_is_left()
    disk.refresh_from_db()
    assert disk.state == VolumeState.CREATING
    disk.move(VolumeState.AVAILABLE)
    bin_what_is_left()
    disk.refresh_from_db()
    assert disk.state == VolumeState.BINNED


def test_nobody_else_gets_a_disk_that_others_machines_still_hold(alice, admin):
    friend = UserFactory()
    disk = VolumeFactory(owner=alice, public=True, state=VolumeState.IN_USE)
    ShareFactory(volume=disk, user=friend, access=Access.WRITE)
    AttachmentFactory(volume=disk, vm=VMFactory(owner=friend, running=True), read_only=True)
    close(alice, by=admin)
    disk.refresh_from_db()
    assert (disk.state, disk.visibility) == (VolumeState.IN_USE, Visibility.PRIVATE)
    assert disk.access_of(friend) is None
    assert Attachment.objects.get().state == AttachmentState.ATTACHED


@pytest.mark.parametrize("has_heir", [True, False])
def test_what_was_open_to_a_closed_account_is_not_any_more(alice, admin, has_heir):
    disk = VolumeFactory()
    ShareFactory(volume=disk, user=alice)
    offer = OfferFactory(to=alice)
    close(alice, by=admin, heir=UserFactory() if has_heir else None)
    assert not disk.shares.exists()
    assert Offer.objects.get(pk=offer.pk).state == OfferState.DECLINED
    assert Event.objects.of(disk.uuid).get().verb == "share_stopped"


def test_the_disks_of_people_who_are_here_stay(alice):
    disk = VolumeFactory(owner=alice)
    bin_what_is_left()
    disk.refresh_from_db()
    assert disk.state == VolumeState.AVAILABLE


def left_by(alice, admin):
    """Alice's account is closed, and an administrator has taken her disk out of the bin."""
    disk = VolumeFactory(owner=alice)
    close(alice, by=admin)
    disk.refresh_from_db()
    actions.recover(disk, by=admin)
    bin_what_is_left()
    disk.refresh_from_db()
    assert disk.state == VolumeState.AVAILABLE
    return disk


def test_an_administrator_finds_somebody_for_what_a_closed_account_has_left(alice, admin):
    disk, heir = left_by(alice, admin), UserFactory()
    made = actions.offer(disk, by=admin, username=heir.username)
    with time_machine.travel(timezone.now() + timedelta(days=8)):
        bin_what_is_left()
        actions.accept_offer(Offer.objects.get(pk=made.pk), by=heir)
        bin_what_is_left()
    disk.refresh_from_db()
    assert (disk.owner, disk.state, disk.purge_at) == (heir, VolumeState.AVAILABLE, None)
    kinds = OutgoingMail.objects.values_list("kind", flat=True)
    assert "disk_offered" in kinds
    assert "disk_offer_answered" not in kinds  # there is nobody to tell


def test_what_nobody_is_found_for_goes_back_into_the_bin(alice, admin):
    disk = left_by(alice, admin)
    made = actions.offer(disk, by=admin, username=UserFactory().username)
    actions.withdraw_offer(Offer.objects.get(pk=made.pk), by=admin)
    with time_machine.travel(timezone.now() + timedelta(days=8)):
        bin_what_is_left()
    disk.refresh_from_db()
    assert disk.state == VolumeState.BINNED


def test_nobody_else_offers_what_is_left_and_an_administrator_nothing_else(alice, admin):
    with pytest.raises(Refused) as refused:
        actions.offer(VolumeFactory(), by=admin, username=alice.username)
    assert refused.value.code == "not_yours"
    disk = left_by(alice, admin)
    with pytest.raises(Refused) as refused:
        actions.offer(disk, by=UserFactory(), username=admin.username)
    assert refused.value.code == "not_yours"

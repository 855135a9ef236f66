"""Two tabs and two people ask of one disk in the same moment, with real threads and commits."""

from uuid import uuid4

import pytest

from registration.models import GIB, User
from registration.tests.factories import UserFactory
from registration.tests.test_at_once import at_once
from volumes import actions, quota
from volumes.models import Offer, Snapshot, Volume
from volumes.states import SNAPSHOT_HOLDS, VolumeState
from volumes.tests.factories import OfferFactory, SnapshotFactory, VolumeFactory

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow, pytest.mark.at_once]


def asking(call, row, by, **more):
    """As a request of its own would load and ask it."""

    def act():
        call(type(row).objects.get(pk=row.pk), by=User.objects.get(pk=by.pk), **more)

    return act


def test_of_two_who_answer_an_offer_one_is_too_late():
    offer = OfferFactory()
    outcome = at_once(
        asking(actions.accept_offer, offer, offer.to),
        asking(actions.withdraw_offer, offer, offer.owner),
    )
    assert outcome == ["done", "offer_over"]
    is_taken = Volume.objects.get(pk=offer.volume_id).owner_id == offer.to_id
    assert is_taken == (Offer.objects.get(pk=offer.pk).state == "accepted")


def test_a_disk_is_offered_to_one_of_six():
    volume = VolumeFactory()
    names = [UserFactory().username for _ in range(6)]
    wishes = (asking(actions.offer, volume, volume.owner, username=name) for name in names)
    assert at_once(*wishes) == [*["disk_offered"] * 5, "done"]
    assert Offer.objects.waiting().count() == 1


def test_an_offered_disk_that_is_deleted_is_not_taken_too():
    offer = OfferFactory()
    outcome = at_once(
        asking(actions.accept_offer, offer, offer.to),
        asking(actions.delete, offer.volume, offer.owner),
    )
    volume = Volume.objects.get(pk=offer.volume_id)
    assert outcome.count("done") == 1
    assert (volume.owner_id == offer.to_id) != (volume.state == VolumeState.BINNED)


def test_six_snapshots_at_once_keep_to_the_quota(settings):
    settings.PORTAL_QUOTA_DISK_GIB = 3
    volume = VolumeFactory()
    wishes = (
        asking(actions.take_snapshot, volume, volume.owner, name=f"number {number}")
        for number in range(6)
    )
    assert at_once(*wishes) == ["done"] * 2 + ["quota_disk"] * 4
    assert quota.bytes_held(volume.owner) == 3 * GIB


def test_two_disks_that_grow_at_once_keep_to_the_quota(settings):
    settings.PORTAL_QUOTA_DISK_GIB = 6
    owner = UserFactory()
    disks = [VolumeFactory(owner=owner) for _ in range(2)]
    wishes = (asking(actions.grow, disk, owner, size_gib=5) for disk in disks)
    assert at_once(*wishes) == ["done", "quota_disk"]


def test_of_two_tabs_that_go_back_one_finds_it_going():
    snapshots = [SnapshotFactory()]
    snapshots.append(SnapshotFactory(volume=snapshots[0].volume))
    wishes = (
        asking(actions.restore_snapshot, one, one.volume.owner, typed=one.name) for one in snapshots
    )
    assert at_once(*wishes) == ["disk_state", "done"]


def test_a_snapshot_is_not_deleted_under_its_copy():
    snapshot = SnapshotFactory()
    owner = snapshot.volume.owner
    outcome = at_once(
        asking(actions.delete_snapshot, snapshot, owner),
        asking(actions.copy, snapshot.volume, owner, snapshot=snapshot, create_key=uuid4()),
    )
    assert outcome.count("done") == 1
    is_copied = Volume.objects.filter(source=snapshot.volume).exists()
    assert is_copied == (Snapshot.objects.get(pk=snapshot.pk).state == "ready")


def test_the_same_form_sent_six_times_is_one_copy():
    volume, key = VolumeFactory(), uuid4()
    wishes = (asking(actions.copy, volume, volume.owner, create_key=key) for _ in range(6))
    assert at_once(*wishes) == ["done"] * 6
    assert Volume.objects.filter(source=volume).count() == 1


def test_six_shares_with_one_person_are_one():
    volume, bob = VolumeFactory(), UserFactory()
    wishes = (
        asking(actions.share, volume, volume.owner, username=bob.username, access=access)
        for access in ("read", "write") * 3
    )
    assert at_once(*wishes) == ["done"] * 6
    assert volume.shares.count() == 1


def test_a_snapshot_and_growing_at_once_are_one_after_the_other():
    volume = VolumeFactory()
    at_once(
        asking(actions.take_snapshot, volume, volume.owner, name="monday"),
        asking(actions.grow, volume, volume.owner, size_gib=2),
    )
    taking = volume.snapshots.filter(state__in=SNAPSHOT_HOLDS).exists()
    growing = Volume.objects.get(pk=volume.pk).state == VolumeState.GROWING
    assert taking != growing

"""Whose disks were how large when."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
import time_machine

from registration.models import GIB
from registration.tests.factories import UserFactory
from vms import usage
from vms.usage import Period
from volumes.actions import making, offers
from volumes.actions.changes import grow
from volumes.actions.snapshots import restore_snapshot
from volumes.models import Volume
from volumes.states import VolumeState
from volumes.tests.factories import SnapshotFactory, VolumeFactory

pytestmark = pytest.mark.django_db

APRIL, MAY = (datetime(2026, month, 1, tzinfo=UTC) for month in (4, 5))


def at(hours):
    return time_machine.travel(APRIL + timedelta(hours=hours), tick=False)


@pytest.fixture
def alice():
    return UserFactory(username="alice")


def made(owner, hours=0, **fields):
    with at(hours):
        disk = VolumeFactory(owner=owner, **fields)
        Volume.objects.filter(pk=disk.pk).update(created_at=APRIL + timedelta(hours=hours))
    return disk


def hours_of(person, *, now=10, period=(APRIL, MAY)):
    with at(now):
        (mine,) = usage.of_person(person, [Period(*period)])
        everybody = usage.report(Period(*period))
    assert everybody.people.get(person.pk, usage.Used()).kept_bytes_s == mine.kept_bytes_s
    assert sum(one.kept_bytes_s for one in everybody.people.values()) == (
        everybody.total.kept_bytes_s
    )
    return mine.kept_gib_hours


def test_a_disk_counts_from_when_it_was_made_until_now(alice):
    made(alice, 4, size_gib=3)
    assert hours_of(alice) == 18


def test_half_a_gib_counts_half(alice):
    made(alice, size_bytes=GIB // 2)
    assert hours_of(alice) == 5


def test_the_bin_counts_and_what_is_gone_does_not_any_more(alice):
    disk = made(alice)
    with at(2):
        making.delete(disk, by=alice)
    with at(5):
        making.purge(disk, by=alice)
        disk.move(VolumeState.DELETED)
    assert hours_of(alice) == 5


def test_a_disk_that_grew_counts_as_more_from_then_on(alice):
    disk = made(alice, size_gib=1)
    with at(4):
        grow(disk, by=alice, size_gib=3)
        disk.move(VolumeState.AVAILABLE, size_bytes=3 * GIB)
    assert hours_of(alice) == 4 * 1 + 6 * 3


def test_a_disk_that_went_back_counts_as_it_was_then_from_then_on(alice):
    disk = made(alice, size_gib=3)
    then = SnapshotFactory(volume=disk, size_bytes=1 * GIB)
    with at(4):
        restore_snapshot(then, by=alice, typed=then.name)
        disk.refresh_from_db()
        disk.move(VolumeState.AVAILABLE, size_bytes=1 * GIB)
    assert hours_of(alice) == 4 * 3 + 6 * 1


def test_growing_that_came_to_nothing_changes_nothing(alice):
    disk = made(alice, size_gib=1)
    with at(4):
        grow(disk, by=alice, size_gib=3)
        disk.move(VolumeState.AVAILABLE)
    assert hours_of(alice) == 10


def test_a_disk_that_changed_hands_counts_for_each_while_it_was_theirs(alice):
    bob, carol = UserFactory(), UserFactory()
    disk = made(alice, 1, size_gib=2)
    for hour, to in ((3, bob), (4, carol)):
        with at(hour):
            offers.give(disk, to=to, by=to)
    assert [hours_of(one) for one in (alice, bob, carol)] == [4, 2, 12]


def test_what_never_came_to_be_does_not_count(alice):
    made(alice, failed=True)
    dismissed = made(alice, failed=True)
    with at(3):
        making.dismiss(dismissed, by=alice)
    assert hours_of(alice) == 0


def test_snapshots_count_in_the_quota_only(alice):
    SnapshotFactory(volume=made(alice))
    assert hours_of(alice) == 10


def test_periods_that_touch_add_up(alice):
    disk = made(alice, 1, size_gib=2)
    with at(3):
        grow(disk, by=alice, size_gib=5)
        disk.move(VolumeState.AVAILABLE, size_bytes=5 * GIB)
    with at(6):
        offers.give(disk, to=UserFactory(), by=alice)
    borders = [APRIL + timedelta(hours=hour) for hour in (0, 2, 4, 7, 10)]
    parts = [hours_of(alice, period=period) for period in pairwise(borders)]
    assert sum(parts) == hours_of(alice) == 2 * 2 + 3 * 5


def test_many_disks_cost_as_many_queries_as_one(alice, django_assert_num_queries):
    for _ in range(3):
        made(alice)
    with django_assert_num_queries(4):
        usage.report(Period(APRIL, MAY))

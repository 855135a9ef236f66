"""Several people, tabs and workers at the same disk in the same moment."""

from uuid import uuid4

import pytest

from registration.models import GIB, User
from registration.tests.factories import UserFactory
from registration.tests.test_at_once import at_once
from volumes import actions
from volumes.lifecycle.making import empty_bin
from volumes.models import Volume
from volumes.tests.factories import VolumeFactory

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow, pytest.mark.at_once]


def copies(row, number):
    """The same row, as each of so many requests would load it."""
    return [type(row).objects.get(pk=row.pk) for _ in range(number)]


def test_eight_tabs_against_a_quota_of_three_gib_make_three_disks():
    alice = UserFactory(quota_disk_bytes=3 * GIB)
    outcome = at_once(
        *(
            lambda owner=owner: actions.create(owner=owner, size_gib=1, create_key=uuid4())
            for owner in copies(alice, 8)
        )
    )
    assert sorted(outcome) == ["done"] * 3 + ["quota_disk"] * 5
    assert Volume.objects.count() == 3


def test_one_form_sent_eight_times_at_once_is_one_disk():
    alice, key = UserFactory(quota_disk_bytes=GIB), uuid4()
    outcome = at_once(
        *(
            lambda owner=owner: actions.create(owner=owner, size_gib=1, create_key=key)
            for owner in copies(alice, 8)
        )
    )
    assert outcome == ["done"] * 8
    assert Volume.objects.count() == 1


def test_restored_or_ended_but_never_both():
    alice = UserFactory()
    for _ in range(5):
        volume = VolumeFactory(owner=alice, binned=True)
        one, other, third = copies(volume, 3)
        people = [User.objects.get(pk=alice.pk) for _ in range(3)]
        outcome = at_once(
            lambda one=one, by=people[0]: actions.recover(one, by=by),
            lambda other=other, by=people[1]: actions.purge(other, by=by),
            lambda third=third, by=people[2]: actions.recover(third, by=by),
            empty_bin,
        )
        assert outcome[:3].count("done") == 1, outcome

"""Bytes move in lanes: a slow server of one person holds up no disk of another."""

from contextlib import contextmanager

import pytest
from django.utils import timezone

from core.errors import Refused
from registration.tests.factories import UserFactory
from volumes import tasks
from volumes.actions.fetches import MOST_FETCHES, Wanted, fetch
from volumes.models import Arrival, Volume
from volumes.states import VolumeState
from volumes.tests.factories import VolumeFactory
from volumes.tests.intake import landed

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def arrivals(settings, tmp_path):
    settings.PORTAL_ARRIVALS = tmp_path / "arrivals"


@contextmanager
def busy(lane, count):
    for _ in range(count):
        assert lane.acquire(blocking=False)
    try:
        yield
    finally:
        lane.release(count)


def test_fetches_that_wait_for_their_servers_hold_up_no_other_disk(cloud):
    volume = landed(bytes(1024))
    with busy(tasks._fetches, tasks.FETCHES_AT_ONCE):
        tasks.tick_volume(volume.pk)
    assert Volume.objects.get(pk=volume.pk).state == VolumeState.UNPACKING


def test_disks_that_are_read_hold_up_no_fetch(cloud):
    waiting = landed(bytes(1024))
    fetched = VolumeFactory(
        state=VolumeState.FETCHING, cloud_ref="", next_tick_at=timezone.now(), origin="fetched"
    )
    Arrival.objects.create(volume=fetched, url="ftp://not.fetched/")
    with busy(tasks._lanes, tasks.BULK_AT_ONCE):
        tasks.tick_volume(waiting.pk)
        tasks.tick_volume(fetched.pk)
    assert Volume.objects.get(pk=waiting.pk).state == VolumeState.CHECKING
    assert Volume.objects.get(pk=fetched.pk).state == VolumeState.CLEARING
    with busy(tasks._fetches, tasks.FETCHES_AT_ONCE):
        """Whatever becomes of a step, its lane is free again."""


def test_one_person_has_three_fetches_at_a_time():
    owner = UserFactory()
    for number in range(MOST_FETCHES):
        fetch(owner=owner, wanted=Wanted(url=f"https://example.org/{number}.img"))
    with pytest.raises(Refused, match="3 are the most at a time") as refused:
        fetch(owner=owner, wanted=Wanted(url="https://example.org/4.img"))
    assert refused.value.code == "too_many_fetches"
    assert fetch(owner=UserFactory(), wanted=Wanted(url="https://example.org/4.img"))

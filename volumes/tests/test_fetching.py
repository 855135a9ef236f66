"""A file comes from an address: step by step, through whatever breaks."""

from datetime import timedelta

import pytest
import time_machine
from django.utils import timezone

from core.machine import tick
from core.tests.webserver import CONTENT, Server, ranged, says
from registration.models import GIB
from volumes import landing
from volumes.lifecycle import VOLUME_STEPS
from volumes.models import Arrival, Origin, Volume
from volumes.states import VolumeState
from volumes.tests.factories import VolumeFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def server(settings, tmp_path):
    settings.PORTAL_ARRIVALS = tmp_path / "arrivals"
    settings.PORTAL_FETCH_NETWORKS = ["127.0.0.0/8"]
    one = Server()
    one.answers["/disk"] = ranged
    yield one
    one.close()


def wanted(url: str, **more) -> Volume:
    volume = VolumeFactory(
        state=VolumeState.FETCHING, origin=Origin.FETCHED, cloud_ref="", next_tick_at=timezone.now()
    )
    Arrival.objects.create(volume=volume, url=url, **more)
    return volume


def step(volume: Volume) -> Volume:
    Volume.objects.filter(pk=volume.pk).update(next_tick_at=timezone.now(), lease_until=None)
    tick(Volume.objects.get(pk=volume.pk), VOLUME_STEPS)
    return Volume.objects.get(pk=volume.pk)


def test_the_file_lands_and_is_checked_next(server, cloud):
    volume = step(wanted(server.url("/disk")))
    assert volume.state == VolumeState.CHECKING
    assert landing.received(volume).read_bytes() == CONTENT
    assert volume.bytes_done == volume.bytes_total == len(CONTENT)
    assert volume.arrival.length == len(CONTENT)


def test_a_broken_fetch_goes_on_where_it_ended(server, cloud):
    server.answers["/disk"] = says(
        200, CONTENT[:5000], content_length=str(len(CONTENT)), etag='"v1"'
    )
    volume = step(wanted(server.url("/disk")))
    assert volume.state == VolumeState.FETCHING
    assert "tries again" in volume.reason

    server.answers["/disk"] = ranged
    volume = step(volume)
    assert volume.state == VolumeState.CHECKING
    assert server.asked[-1]["range"] == "bytes=5000-"
    assert landing.received(volume).read_bytes() == CONTENT
    assert volume.reason == ""


def test_a_worker_that_dies_after_the_last_byte_fetches_nothing_twice(server, cloud):
    volume = wanted(server.url("/disk"), length=len(CONTENT))
    landing.make(volume).write_bytes(CONTENT)
    assert step(volume).state == VolumeState.CHECKING
    assert server.asked == []


def test_an_error_page_is_never_kept(server, cloud):
    server.answers["/gone"] = says(404, b"<html>")
    volume = step(wanted(server.url("/gone")))
    assert volume.state == VolumeState.CLEARING
    assert "no such file" in volume.reason


def test_a_server_that_never_comes_back_is_given_up(server, cloud):
    server.answers["/busy"] = says(503)
    volume = step(wanted(server.url("/busy")))
    assert volume.state == VolumeState.FETCHING
    with time_machine.travel(timezone.now() + timedelta(minutes=16)):
        volume = step(volume)
    assert volume.state == VolumeState.CLEARING
    assert "503" in volume.reason


def test_what_is_inside_the_site_stays_there(server, cloud, settings):
    settings.PORTAL_FETCH_NETWORKS = []
    volume = step(wanted(server.url("/disk")))
    assert volume.state == VolumeState.CLEARING
    assert "private network" in volume.reason
    assert server.asked == []


def test_what_has_no_room_is_not_begun(server, cloud):
    server.answers["/huge"] = says(200, b"", content_length=str(1024 * GIB))
    volume = step(wanted(server.url("/huge")))
    assert volume.state == VolumeState.CLEARING
    assert landing.received_bytes(volume) == 0

"""A file comes from an address: step by step, through whatever breaks."""

from datetime import timedelta
from html import unescape
from uuid import uuid4

import pytest
import time_machine
from django.urls import reverse
from django.utils import timezone

from core import fetch as fetcher
from core.errors import Refused
from core.machine import StaleState, tick
from core.models import Event
from core.tests.webserver import CONTENT, Server, ranged, says
from registration.models import GIB
from registration.states import AccountState
from registration.tests.factories import UserFactory
from volumes import landing
from volumes.actions.fetches import Wanted, fetch
from volumes.actions.uploads import must_have_room
from volumes.appending import Writer
from volumes.lifecycle import VOLUME_STEPS, fetching
from volumes.models import Arrival, DiskType, Origin, Visibility, Volume
from volumes.states import VolumeState
from volumes.tests.factories import ArrivalFactory, VolumeFactory
from volumes.tests.intake import landed

pytestmark = pytest.mark.django_db


@pytest.fixture
def server(settings, tmp_path):
    settings.PORTAL_ARRIVALS = tmp_path / "arrivals"
    settings.PORTAL_FETCH_NETWORKS = ["127.0.0.0/8"]
    one = Server()
    settings.PORTAL_FETCH_PORTS = [one.http.server_port]
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


def test_a_server_that_answers_and_sends_next_to_nothing_is_given_up(server, cloud, monkeypatch):
    """Each try gets its head and some bytes: neither is worth another quarter of an hour."""
    monkeypatch.setattr(fetcher, "SLOWEST_BYTES_S", 1 << 30)
    server.answers["/drip"] = says(200, CONTENT[:5000], content_length=str(len(CONTENT)))
    volume = step(wanted(server.url("/drip")))
    for minutes, state in ((10, VolumeState.FETCHING), (16, VolumeState.CLEARING)):
        with time_machine.travel(timezone.now() + timedelta(minutes=minutes)):
            volume = step(volume)
        assert volume.state == state


def test_a_server_that_breaks_often_and_sends_well_is_not_given_up(server, cloud):
    def breaks(request):
        begins = int(request.headers.get("Range", "bytes=0-")[6:-1])
        says(
            206 if begins else 200,
            CONTENT[begins : begins + 200_000],
            content_length=str(len(CONTENT) - begins),
            content_range=f"bytes {begins}-{len(CONTENT) - 1}/{len(CONTENT)}",
            etag='"v1"',
        )(request)

    server.answers["/breaks"] = breaks
    volume = step(wanted(server.url("/breaks")))
    for minutes in (10, 20, 30):
        with time_machine.travel(timezone.now() + timedelta(minutes=minutes)):
            volume = step(volume)
        assert volume.state == VolumeState.FETCHING


def test_no_fetch_lasts_longer_than_its_state_may(server, cloud):
    volume = wanted(server.url("/disk"))
    with time_machine.travel(timezone.now() + timedelta(hours=25)):
        volume = step(volume)
    assert volume.state == VolumeState.CLEARING
    assert volume.reason == "It could not be fetched within 24 hours."


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


def test_nothing_is_fetched_for_who_is_shut_out_meanwhile(server, cloud):
    volume = wanted(server.url("/disk"))
    volume.owner.state = AccountState.SUSPENDED
    volume.owner.save()
    volume = step(volume)
    assert (volume.state, server.asked) == (VolumeState.CLEARING, [])
    assert "not active" in volume.reason


class TestQuota:
    """What is fetched counts before it lands, whatever its server says of it."""

    @pytest.fixture
    def poor(self):
        return UserFactory(quota_disk_bytes=512 << 10)

    @pytest.mark.parametrize("length", [str(len(CONTENT)), ""], ids=["announced", "not announced"])
    def test_nothing_lands_beyond_it(self, server, cloud, poor, length):
        server.answers["/disk"] = says(200, CONTENT, content_length=length)
        volume = step(fetch(owner=poor, wanted=Wanted(url=server.url("/disk"))))
        assert volume.state == VolumeState.CLEARING
        assert "disk quota is 512 KiB" in volume.reason
        assert "address has" in volume.reason
        assert landing.received_bytes(volume) <= poor.quota.disk_bytes

    @pytest.mark.parametrize("length", [str(len(CONTENT)), ""], ids=["announced", "not announced"])
    def test_what_fits_is_counted_while_it_comes(self, server, cloud, length):
        server.answers["/disk"] = says(200, CONTENT, content_length=length)
        volume = step(fetch(owner=UserFactory(), wanted=Wanted(url=server.url("/disk"))))
        assert volume.state == VolumeState.CHECKING
        assert volume.size_bytes >= len(CONTENT)

    def test_room_that_was_promised_to_another_is_not_promised_twice(self, server, cloud):
        other = VolumeFactory(state=VolumeState.UPLOADING, origin=Origin.UPLOADED)
        Arrival.objects.create(volume=other, length=2 * landing.room_bytes())
        server.answers["/disk"] = ranged
        volume = step(wanted(server.url("/disk")))
        assert volume.state == VolumeState.CLEARING
        assert "no room" in volume.reason
        with pytest.raises(Refused, match="beside what is on its way"):
            must_have_room(len(CONTENT))
        must_have_room(len(CONTENT), beside=other)


class TestOneWriter:
    def test_a_second_worker_leaves_the_file_to_the_first(self, server, cloud):
        volume = wanted(server.url("/disk"))
        first = Writer(volume)
        first.write([b"half"])
        assert step(volume).state == VolumeState.FETCHING
        assert server.asked == []
        assert landing.received(volume).read_bytes() == b"half"
        first.close()
        assert step(volume).state == VolumeState.CHECKING
        assert landing.received(volume).read_bytes() == CONTENT

    def test_who_lost_the_lease_touches_nothing(self, server, cloud):
        volume = wanted(server.url("/disk"))
        landing.make(volume).write_bytes(b"of another worker")
        late = Volume.objects.get(pk=volume.pk)
        Volume.objects.filter(pk=volume.pk).update(lease_until=timezone.now())
        with pytest.raises(StaleState):
            fetching.bring(late, cloud)
        assert landing.received(volume).read_bytes() == b"of another worker"

    def test_nothing_is_inspected_while_somebody_may_write_to_it(self, cloud, server):
        volume = landed(CONTENT)
        late = Writer(volume)
        assert step(volume).state == VolumeState.CHECKING
        late.close()
        assert step(volume).state == VolumeState.UNPACKING


class TestPage:
    @pytest.fixture(autouse=True)
    def _signed_in(self, server, client):
        self.server, self.client, self.owner = server, client, UserFactory()
        client.force_login(self.owner)

    def ask(self, **answers):
        fields = {
            "create_key": str(uuid4()),
            "url": self.server.url("/disk"),
            "tag": "",
            "type": DiskType.DATA_IMAGE_RAW_READ_WRITE,
            "visibility": Visibility.PRIVATE,
        }
        return self.client.post(reverse("volumes:fetch"), fields | answers)

    def test_the_form_is_shown(self):
        assert "Address of the file" in self.client.get(reverse("volumes:fetch")).text

    def test_a_disk_is_begun_and_its_page_shown(self):
        answer = self.ask(tag="genomes", sha256="A" * 64, expected_bytes="1000")
        volume = Volume.objects.get()
        assert answer.headers["location"] == volume.get_absolute_url()
        assert (volume.state, volume.tag, volume.size_bytes) == ("fetching", "genomes", 1024)
        assert volume.arrival.expected_sha256 == "a" * 64
        assert volume.next_tick_at
        assert Event.objects.of(volume.uuid).get().verb == "fetch"

    def test_the_same_form_twice_is_one_disk(self):
        key = str(uuid4())
        assert (
            self.ask(create_key=key).headers["location"]
            == (self.ask(create_key=key).headers["location"])
        )

    def test_without_a_tag_it_has_that_of_its_file(self):
        self.ask(url=self.server.url("/pub/debian-12.img.xz?v=1"))
        assert Volume.objects.get().tag == "debian-12"

    def test_raw_is_raw(self):
        self.ask(is_raw="on")
        assert Volume.objects.get().arrival.format == "raw"

    @pytest.mark.parametrize(
        ("answers", "sentence"),
        [
            ({"url": "ftp://example.org/x"}, "An address begins with https:// or http://"),
            ({"url": "http://me:secret@example.org/x"}, "user name or password"),
            ({"sha1": "abc"}, "A SHA-1 has 40 hexadecimal digits."),
            ({"expected_bytes": str(2000 * GIB)}, "1024 GiB at most"),
            ({"expected_bytes": str(101 * GIB)}, "Your disk quota is 100 GiB"),
            ({"tag": "x" * 41}, "40 characters"),
        ],
    )
    def test_what_is_wrong_stands_beside_its_field_and_nothing_is_lost(self, answers, sentence):
        answer = self.ask(**{"tag": "keep me"} | answers)
        assert answer.status_code == 422
        assert sentence in unescape(answer.text)
        assert answers.get("tag", "keep me") in answer.text
        assert not Volume.objects.exists()


def test_a_fetch_that_failed_is_tried_again_with_what_was_asked(client):
    volume = VolumeFactory(failed=True, origin=Origin.FETCHED, tag="genomes")
    url = "https://example.org/genomes.iso"
    ArrivalFactory(volume=volume, url=url, expected_sha256="ab" * 32)
    client.force_login(volume.owner)
    link = f"/volumes/fetch/?again={volume.uuid}"
    assert f'href="{link}"' in client.get(volume.get_absolute_url()).content.decode()
    form = client.get(link).context["form"]
    asked = [form[name].value() for name in ("url", "tag", "sha256")]
    assert asked == [url, "genomes", "ab" * 32]


def test_nobody_learns_from_the_form_what_somebody_else_fetched(client):
    volume = VolumeFactory(failed=True, origin=Origin.FETCHED)
    ArrivalFactory(volume=volume, url="https://example.org/secret.iso")
    client.force_login(UserFactory())
    for key in (volume.uuid, "no-uuid"):
        assert not client.get(f"/volumes/fetch/?again={key}").context["form"]["url"].value()

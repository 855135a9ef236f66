"""The page that uploads: whose rows it shows, and whether a file is the same."""

import random
import re
import subprocess
from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from registration.tests.factories import UserFactory
from volumes import landing
from volumes.models import Arrival, Volume
from volumes.states import VolumeState
from volumes.tests.factories import ArrivalFactory, VolumeFactory

pytestmark = pytest.mark.django_db

MIB = 1 << 20
CONTENT = random.Random(5).randbytes(5 * MIB // 2)


@pytest.fixture
def alice():
    return UserFactory(username="alice")


@pytest.fixture
def browser(client, alice):
    client.force_login(alice)
    return client


@pytest.fixture
def arrival(alice, settings, tmp_path):
    settings.PORTAL_ARRIVALS = tmp_path
    arrival = ArrivalFactory(volume__owner=alice, volume__tag="mine", file_name="mine.img")
    landing.make(arrival.volume).write_bytes(CONTENT)
    return arrival


def page(browser):
    return browser.get(reverse("volumes:upload")).content.decode()


def compare(browser, arrival, offset, body):
    url = reverse("volumes:upload_same", args=[arrival.volume.uuid])
    return browser.post(f"{url}?offset={offset}", body, content_type="application/octet-stream")


def test_the_page_shows_what_is_unfinished_and_what_just_failed(browser, alice, arrival):
    ArrivalFactory(volume__tag="of somebody else")
    for tag, days in (("failed now", 0), ("failed before", 2)):
        since = timezone.now() - timedelta(days=days)
        volume = VolumeFactory(owner=alice, failed=True, uploaded=True, tag=tag, state_since=since)
        Arrival.objects.create(volume=volume, length=1)
    text = page(browser)
    assert "mine.img" in text
    assert 'data-unfinished data-name="mine.img"' in text
    assert "failed now" in text
    assert "The file is damaged." in text
    assert "failed before" not in text
    assert "of somebody else" not in text


def test_a_row_is_its_owners(browser, client, arrival):
    url = reverse("volumes:upload_row", args=[arrival.volume.uuid])
    assert "mine.img" in browser.get(url).content.decode()
    client.force_login(UserFactory(admin=True))
    assert client.get(url).status_code == 404


@pytest.mark.parametrize("state", VolumeState.values)
def test_a_row_can_be_shown_in_every_state(browser, arrival, state):
    Volume.objects.filter(pk=arrival.volume_id).update(state=state)
    answer = browser.get(reverse("volumes:upload_row", args=[arrival.volume.uuid]))
    assert VolumeState(state).label in answer.content.decode()


def test_what_is_complete_does_not_ask_for_its_file(browser, arrival):
    Volume.objects.filter(pk=arrival.volume_id).update(bytes_done=arrival.length)
    text = page(browser)
    assert "All of it is here" in text
    assert "data-unfinished" not in text


@pytest.mark.parametrize("offset", [0, 1, MIB - 1, MIB, MIB + 1, len(CONTENT)])
def test_a_file_is_the_same_if_its_ends_are(browser, arrival, offset):
    ends = CONTENT[: min(offset, MIB)] + CONTENT[max(0, offset - MIB) : offset]
    assert compare(browser, arrival, offset, ends).status_code == 204
    if ends:
        other = ends[:-1] + bytes([ends[-1] ^ 1])
        assert compare(browser, arrival, offset, other).status_code == 409
    assert compare(browser, arrival, offset, ends + b"x").status_code == 409


@pytest.mark.parametrize(
    ("offset", "status"), [(len(CONTENT) + 1, 409), ("", 400), ("-1", 400), ("1" * 30, 400)]
)
def test_an_offset_that_cannot_be_is_refused(browser, arrival, offset, status):
    assert compare(browser, arrival, offset, b"x").status_code == status


def test_nobody_else_learns_what_a_file_holds(client, arrival):
    client.force_login(UserFactory(admin=True))
    assert compare(client, arrival, 0, b"").status_code == 404


@pytest.mark.slow
def test_the_lines_for_a_terminal_are_bash(browser):
    lines = [step["lines"] for step in browser.get(reverse("volumes:upload")).context["recipe"]]
    assert len(lines) == 5
    subprocess.run(["bash", "-n"], input="\n".join(lines).encode(), check=True)
    assert not re.search(r"slp_\w+", "\n".join(lines))

"""Nobody has all the fetches of the site, and what waits says for what."""

from datetime import timedelta
from uuid import uuid4

import pytest
from django.utils import timezone

from marketplace import actions, lanes, tasks
from marketplace.models import Draft, ImageFile
from marketplace.states import DraftState, ImageState
from marketplace.tests.factories import EntryFactory

pytestmark = pytest.mark.django_db

S = ImageState


def fetching(name, by, server=""):
    url = f"http://{server or name}.example.org/x"
    entry = EntryFactory(
        content=name.encode(), is_kept_here=False, locations=[url], endorser_email=f"{name}@x.org"
    )
    image = actions.image_for(entry, "local", by=by).image
    ImageFile.objects.filter(pk=image.pk).update(state=S.FETCHING, location=url)
    return ImageFile.objects.select_related("entry").get(pk=image.pk)


@pytest.fixture
def inside():
    """Have rows in the lane of images until the test is over."""
    held = []

    def enter(row):
        room = lanes.IMAGES.room(row)
        held.append(room)
        return room.__enter__()

    yield enter
    for room in held:
        room.__exit__(None, None, None)


def test_one_person_leaves_room_for_others(cloud, alice, bob, inside):
    assert [bool(inside(fetching(name, by=alice))) for name in "abc"] == [False, False, True]
    assert not inside(fetching("d", by=bob))


def test_one_server_leaves_room_for_others(cloud, alice, bob, inside):
    assert not inside(fetching("a", by=alice, server="slow"))
    assert not inside(fetching("b", by=bob, server="slow"))
    assert "from one server" in inside(fetching("c", by=None, server="slow"))
    assert not inside(fetching("d", by=None))


def test_drafts_and_documents_take_no_lane_of_images(cloud, alice):
    actions.draft_of_url("http://slow.example.org/a", by=alice, create_key=uuid4())
    Draft.objects.update(state=DraftState.MEASURING)
    assert lanes.lane_of(Draft.objects.get()) is lanes.DRAFTS
    assert lanes.lane_of(fetching("a", by=alice)) is lanes.IMAGES


def test_a_fetch_that_waits_says_so_until_it_begins(cloud, alice, client, inside):
    inside(fetching("a", by=alice))
    inside(fetching("b", by=alice))
    image = fetching("c", by=alice)
    tasks.tick_image(image.pk)
    image.refresh_from_db()
    assert image.reason == (
        "Waiting for its turn: the portal fetches images, 2 at a time for one person or from one "
        "server."
    )
    client.force_login(alice)
    text = client.get(f"/marketplace/copies/{image.uuid}/").text
    assert "Waiting for its turn" in text
    assert "progress" not in text
    lanes.tell_no_more(image)
    image.refresh_from_db()
    assert image.reason == ""


def test_one_that_a_worker_is_busy_with_is_told_nothing(cloud, alice):
    image = fetching("a", by=alice)
    ImageFile.objects.update(lease_until=timezone.now() + timedelta(seconds=9))
    lanes.tell(image, "Waiting for its turn: no.")
    image.refresh_from_db()
    assert image.reason == ""


def test_it_is_known_whether_another_could_go_on(cloud, alice, bob):
    lane = lanes.Lane("fetches", 2, most_each=1)
    ours, hers, his = (fetching(*who) for who in (("a", alice), ("b", alice), ("c", bob)))
    with lane.room(ours), lane.room(his):
        assert not lane.is_wanted(ours)
        with lane.room(hers) as why_not:
            assert why_not
        assert lane.is_wanted(ours)
        assert not lane.is_wanted(his)  # hers would find no room beside ours

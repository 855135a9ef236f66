"""What nobody waits for is not fetched, and what is slow stands in nobody's way."""

from datetime import timedelta

import pytest
import time_machine
from django.urls import reverse
from django.utils import timezone

from core.errors import Refused
from core.machine import StaleState
from core.models import Event
from core.tests.webserver import says
from marketplace import actions, lanes
from marketplace.actions.images import GRACE, SLOW_AFTER, may_use
from marketplace.lifecycle.images import fetching
from marketplace.models import ImageFailure, ImageFile, LocationCheck
from marketplace.states import ImageState, Visibility
from marketplace.tests.arriving import (
    MIB,
    RAW,
    an_entry,
    bring,
    landing,
    server,
    serving,
    step,
)
from marketplace.tests.factories import EntryFactory, ImageFileFactory
from registration.tests.factories import UserFactory
from volumes.models import Access, Share
from volumes.states import VolumeState
from volumes.tests.factories import VolumeFactory

__all__ = ["landing", "server"]
pytestmark = pytest.mark.django_db

S = ImageState


def on_its_way(server, *paths, by=None, **more):
    """In FETCHING, with nothing of it here yet."""
    image = actions.image_for(an_entry(server, *paths, **more), "local", by=by).image
    assert step(image) == S.FETCHING
    return image


class TestLettingGo:
    def test_what_no_machine_waits_for_ends_after_a_grace(self, server, cloud):
        image = on_its_way(server, "/disk")
        assert actions.let_go("local", ()) == 0
        with time_machine.travel(timezone.now() + GRACE):
            assert actions.let_go("local", {image.entry_id}) == 0
            assert actions.let_go("local", ()) == 1
            image.refresh_from_db()
            assert step(image) == S.EVICTED
        assert image.reason == "No machine waited for it any more, so its fetching was ended."

    def test_it_is_no_failure_of_whoever_asks_next(self, server, cloud):
        image, wish = on_its_way(server, "/disk"), timezone.now()
        server.answers["/disk"] = serving(RAW)
        with time_machine.travel(timezone.now() + GRACE):
            actions.let_go("local", ())
            image.refresh_from_db()
            step(image)
            assert not ImageFailure.objects.exists()
            assert bring(image.entry, asked_at=wish).state == S.READY

    def test_a_fetch_under_way_ends_before_its_next_portion(self, server, cloud, monkeypatch):
        server.answers["/disk"] = serving(RAW)
        image = on_its_way(server, "/disk")
        monkeypatch.setattr(fetching, "_LOOKS_EVERY_S", 0.0)
        take = fetching._Landing._take

        def taken(self, offset, piece):
            ImageFile.objects.filter(pk=image.pk).update(state=S.CLEARING)
            with pytest.raises(StaleState):
                take(self, offset, piece)
            raise StaleState("left")

        monkeypatch.setattr(fetching._Landing, "_take", taken)
        assert step(image) == S.CLEARING

    def test_a_copy_that_others_use_stays(self, server, cloud, alice, bob):
        server.answers["/hers"] = serving(RAW)
        hers = an_entry(server, "/hers", owner=alice, visibility=Visibility.PRIVATE)
        bring(hers)
        his = an_entry(server, "/his", owner=bob, endorser_email="bob@example.org")
        image = actions.image_for(his, "local", by=bob).image
        with time_machine.travel(timezone.now() + GRACE):
            assert actions.let_go("local", ()) == 1
            image.refresh_from_db()
            assert step(image) == S.READY
        assert may_use(image, hers, alice)


class TestStopping:
    def test_an_administrator_ends_a_fetch_and_its_machines_hear_why(self, server, cloud, client):
        image, admin = on_its_way(server, "/disk"), UserFactory(is_staff=True)
        client.force_login(admin)
        page = reverse("marketplace:copy", args=[image.uuid])
        assert "Stop" in client.get(page).text
        client.post(reverse("marketplace:stop_copy", args=[image.uuid]))
        image.refresh_from_db()
        assert step(image) == S.FAILED
        assert Event.objects.of(image.uuid).filter(verb="stopped", by=admin).exists()
        assert "Stop" not in client.get(page).text
        asked_at = timezone.now() - timedelta(minutes=1)
        standing = actions.image_for(image.entry, "local", asked_at=asked_at)
        assert standing.refusal == "An administrator ended the fetching of this image."

    def test_nobody_else_may(self, cloud, alice):
        with pytest.raises(Refused) as refusal:
            actions.stop_image(ImageFileFactory(state=S.FETCHING), by=alice)
        assert refusal.value.code == "not_administrator"


class TestSlowOnes:
    def test_another_entry_takes_the_place_of_a_slow_one(self, server, cloud, alice, bob):
        image = on_its_way(server, "/slow", by=bob)
        server.answers["/good"] = serving(RAW)
        good = an_entry(server, "/good", owner=alice, endorser_email="a@example.org")
        actions.image_for(good, "local", by=alice)
        assert ImageFile.objects.get().entry == image.entry
        with time_machine.travel(timezone.now() + SLOW_AFTER):
            actions.image_for(good, "local", by=alice)
            image.refresh_from_db()
            assert (image.state, image.entry, image.asked_by) == (S.WANTED, good, alice)
            while image.is_moving:
                step(image)
            assert actions.image_for(good, "local", by=alice).is_ready

    def test_two_slow_ones_take_no_turns(self, server, cloud, alice, bob):
        image = on_its_way(server, "/slow", by=bob)
        other = an_entry(server, "/slower", owner=alice, endorser_email="a@example.org")
        first = image.entry
        with time_machine.travel(timezone.now() + SLOW_AFTER):
            actions.image_for(other, "local", by=alice)
            image.refresh_from_db()
            step(image)
        with time_machine.travel(timezone.now() + SLOW_AFTER * 3):
            actions.image_for(first, "local", by=bob)
            image.refresh_from_db()
            assert (image.state, image.entry) == (S.FETCHING, other)

    def test_one_that_has_had_its_turn_goes_on_later_from_where_it_was(
        self, server, cloud, monkeypatch
    ):
        server.answers["/disk"] = serving(RAW)
        image = on_its_way(server, "/disk")
        monkeypatch.setattr(fetching, "_LOOKS_EVERY_S", 0.0)
        monkeypatch.setattr(fetching, "_TURN_S", 0.0)
        monkeypatch.setattr(fetching, "PORTION", 1)
        monkeypatch.setattr(lanes.IMAGES, "is_wanted", lambda row: True)
        assert step(image) == S.FETCHING
        assert image.reason == "Waiting for its turn: it goes on once others have had theirs."
        assert image.next_tick_at > timezone.now()
        monkeypatch.setattr(lanes.IMAGES, "is_wanted", lambda row: False)
        assert step(image) == S.CHECKING


class TestWantedInVain:
    def test_an_entry_that_leads_nowhere_leaves_the_copy_alone(self, server, cloud, alice, bob):
        server.answers["/hers"] = serving(RAW)
        bring(an_entry(server, "/hers", owner=alice, visibility=Visibility.PRIVATE))
        his = an_entry(server, owner=bob, endorser_email="bob@example.org")
        standing = actions.image_for(his, "local", by=bob)
        assert "names no place" in standing.refusal
        assert standing.image.state == S.READY

    def test_one_that_turns_out_to_lead_nowhere_gives_it_back(self, server, cloud, alice, bob):
        server.answers["/hers"] = serving(RAW)
        image = bring(an_entry(server, "/hers", owner=alice, visibility=Visibility.PRIVATE))
        his = an_entry(server, owner=bob, endorser_email="bob@example.org")
        image.move(S.WANTED, entry=his)
        assert [step(image), step(image)] == [S.CLEARING, S.READY]
        assert ImageFailure.objects.get().entry == his


class TestDisks:
    @pytest.fixture
    def lent(self, server, cloud, alice, bob):
        """An image of Bob's at a disk of Alice's that she shares with him."""
        volume = VolumeFactory(owner=alice, size_bytes=MIB)
        Share.objects.create(volume=volume, user=bob, access=Access.READ)
        entry = EntryFactory(is_kept_here=False, owner=bob, endorser_email="bob@example.org")
        image = ImageFileFactory(entry=entry, ready=True)
        image.proven_by.add(entry)
        image.proof_disks = {str(entry.pk): str(volume.uuid)}
        image.save()
        return volume, image, entry

    def test_a_right_that_was_taken_back_gives_no_bytes(self, lent, bob):
        _, image, entry = lent
        stranger = UserFactory()
        assert may_use(image, entry, bob)
        Share.objects.all().delete()
        assert not may_use(image, entry, bob)
        assert not may_use(image, entry, stranger)

    def test_whoever_deletes_a_disk_of_their_own_takes_nothing_back(self, lent, alice, bob):
        volume, image, entry = lent
        volume.state = VolumeState.DELETED
        volume.save()
        assert not may_use(image, entry, bob)
        entry.owner = alice
        entry.save()
        assert may_use(image, entry, alice)


class TestWhatAFetchHasSeen:
    def test_it_is_the_latest_look_at_the_location(self, server, cloud):
        server.answers |= {"/gone": says(404), "/disk": serving(RAW)}
        bring(an_entry(server, "/gone", "/disk"))
        gone = LocationCheck.objects.get(url=server.url("/gone"))
        there = LocationCheck.objects.get(url=server.url("/disk"))
        assert not gone.is_there
        assert "404" in gone.said
        assert (there.is_there, there.size_bytes) == (True, MIB)

    def test_a_file_of_another_size_is_there_all_the_same(self, server, cloud):
        server.answers["/disk"] = serving(RAW + b"more")
        bring(an_entry(server, "/disk"))
        assert LocationCheck.objects.get().size_bytes == MIB + 4


def test_copies_that_nobody_has_weighed_are_weighed_and_not_evicted(server, cloud, settings):
    settings.PORTAL_IMAGE_CACHE_GIB = 1
    old = ImageFileFactory(ready=True, kept_bytes=0)
    old.proven_by.add(old.entry)
    cloud.put_image(old.identifier)
    needed = ImageFileFactory(ready=True, kept_bytes=2 << 30, used_at=timezone.now())
    assert actions.evict("local", {needed.identifier}) == 0
    old.refresh_from_db()
    assert old.state == S.WANTED
    assert step(old) == S.READY
    assert old.kept_bytes

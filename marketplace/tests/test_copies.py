"""Copies of images: who may use one that is here, and which goes when room is needed."""

from datetime import timedelta

import pytest
import time_machine
from django.utils import timezone

from cloud.errors import CloudFull
from core.tests.webserver import says
from marketplace import actions, arrivals
from marketplace.actions.images import may_use
from marketplace.models import ImageFailure, ImageFile
from marketplace.states import ImageState, Visibility
from marketplace.tests.arriving import MIB, RAW, an_entry, bring, server, serving, step

__all__ = ["server"]
pytestmark = pytest.mark.django_db

S = ImageState


class TestProof:
    """Nobody gets the bytes of somebody's private image by naming its checksums."""

    @pytest.fixture
    def private(self, server, cloud, alice):
        server.answers["/mine"] = serving(RAW)
        entry = an_entry(server, "/mine", owner=alice, visibility=Visibility.PRIVATE)
        assert bring(entry).state == S.READY
        return entry

    def test_an_entry_that_only_names_them_must_lead_to_them(self, server, private, bob):
        server.answers["/his"] = says(404)
        his = an_entry(server, "/his", owner=bob, endorser_email="bob@example.org")
        wish = timezone.now()
        standing = actions.image_for(his, "local", by=bob, asked_at=wish)
        assert (standing.is_ready, standing.is_open) == (False, False)
        image = standing.image
        assert image.state == S.WANTED
        while image.is_moving:
            step(image)
            assert not may_use(image, his, bob)
        standing = actions.image_for(his, "local", by=bob, asked_at=wish)
        assert "404" in standing.refusal
        assert not standing.is_ready

    def test_it_bans_nobody_else(self, server, private, alice, bob):
        server.answers["/his"] = serving(b"x" * MIB)
        his = an_entry(server, "/his", owner=bob, endorser_email="bob@example.org")
        wish = timezone.now()
        image = actions.image_for(his, "local", by=bob, asked_at=wish).image
        while image.is_moving:
            assert actions.image_for(private, "local", by=alice).is_ready
            step(image)
        assert image.state == S.READY
        assert actions.image_for(private, "local", by=alice).is_ready
        assert "expected" in actions.image_for(his, "local", by=bob, asked_at=wish).refusal
        assert ImageFailure.objects.get().entry == his

    def test_one_that_leads_to_them_may_use_the_copy(self, server, cloud, private, bob):
        server.answers["/his"] = serving(RAW)
        his = an_entry(server, "/his", owner=bob, endorser_email="bob@example.org")
        before = cloud.world.calls.count("import_image")
        image = actions.image_for(his, "local", by=bob).image
        while image.is_moving:
            step(image)
        assert actions.image_for(his, "local", by=bob).is_ready
        assert cloud.world.calls.count("import_image") == before
        assert list(arrivals.landed()) == []

    def test_who_may_see_an_entry_that_led_to_them_need_not_prove_it(self, server, private, alice):
        other = an_entry(server, "/gone", owner=alice, endorser_email="a@example.org")
        assert actions.image_for(other, "local", by=alice).is_ready

    def test_what_another_entry_states_wrongly_is_refused_for_it_alone(self, server, cloud, alice):
        server.answers["/disk"] = serving(RAW)
        right = an_entry(server, "/disk", owner=alice)
        assert bring(right).state == S.READY
        wrong = an_entry(server, "/disk", endorser_email="b@example.org", sha512="0" * 128)
        standing = actions.image_for(wrong, "local", by=alice)
        assert "SHA-512 expected 000" in standing.refusal
        assert not standing.is_ready
        assert actions.image_for(right, "local", by=alice).is_ready

    def test_a_failure_of_another_entry_is_no_answer(self, server, cloud, alice, bob):
        server.answers |= {"/bad": says(404), "/good": serving(RAW)}
        bad = an_entry(server, "/bad", owner=bob, endorser_email="bob@example.org")
        good = an_entry(server, "/good", owner=alice, visibility=Visibility.PRIVATE)
        wish = timezone.now()
        image = actions.image_for(bad, "local", by=bob, asked_at=wish).image
        assert not actions.image_for(good, "local", by=alice, asked_at=wish).refusal
        while image.is_moving:
            step(image)
        assert image.state == S.FAILED
        assert not actions.image_for(good, "local", by=alice, asked_at=wish).refusal
        image.refresh_from_db()
        while image.is_moving:
            step(image)
        assert actions.image_for(good, "local", by=alice, asked_at=wish).is_ready
        assert "404" in actions.image_for(bad, "local", by=bob, asked_at=wish).refusal


class TestEviction:
    @pytest.fixture
    def copies(self, server, cloud, settings):
        settings.PORTAL_IMAGE_CACHE_GIB = 1
        made = []
        for number in range(3):
            content = RAW[:-1] + bytes([number])
            server.answers[f"/{number}"] = serving(content)
            made.append(bring(an_entry(server, f"/{number}", content=content)))
        used = timezone.now()
        for hours, image in enumerate(made):
            ImageFile.objects.filter(pk=image.pk).update(
                kept_bytes=400 * MIB, used_at=used - timedelta(hours=3 - hours)
            )
        return made

    def test_the_longest_unused_goes_until_the_rest_fits(self, copies, cloud):
        assert actions.evict("local", set()) == 1
        first = copies[0]
        first.refresh_from_db()
        assert first.state == S.EVICTING
        assert step(first) == S.EVICTED
        assert cloud.find_image(first.identifier) is None
        assert (first.ref, first.kept_bytes) == ("", 0)
        assert actions.evict("local", set()) == 0

    def test_none_that_a_machine_needs_goes(self, copies):
        assert actions.evict("local", {copies[0].identifier}) == 1
        assert [image.state for image in ImageFile.objects.order_by("pk")] == [
            S.READY, S.EVICTING, S.READY,
        ]  # fmt: skip
        ImageFile.objects.update(state=S.READY)
        assert actions.evict("local", {image.identifier for image in copies}) == 0

    def test_without_a_limit_none_goes(self, copies, settings):
        settings.PORTAL_IMAGE_CACHE_GIB = 0
        assert actions.evict("local", set()) == 0

    def test_the_next_launch_fetches_it_again(self, copies):
        actions.evict("local", set())
        first = copies[0]
        first.refresh_from_db()
        step(first)
        assert not actions.image_for(first.entry, "local").is_ready
        assert bring(first.entry).state == S.READY

    def test_one_that_the_cloud_does_not_remove_stays(self, copies, cloud):
        actions.evict("local", set())
        first = copies[0]
        first.refresh_from_db()
        with time_machine.travel(timezone.now() + timedelta(hours=2)):
            cloud.fail_next(CloudFull("Not now."))
            assert step(first) == S.READY

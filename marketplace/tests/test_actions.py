import threading
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from core.models import Event
from marketplace import actions
from marketplace.models import ImageFile
from marketplace.states import ImageState
from marketplace.tests.factories import EntryFactory, ImageFileFactory

pytestmark = pytest.mark.django_db

LONG_AGO = timedelta(hours=1)
#: An entry that leads somewhere: one that leads nowhere is refused before it is looked for.
ELSEWHERE = {"is_kept_here": False, "locations": ["https://images.example.org/a.img"]}


class TestEnsure:
    def test_an_image_nobody_had_is_wanted_and_due_at_once(self):
        entry = EntryFactory()
        image = actions.ensure_image(entry, "local")
        assert (image.state, image.identifier) == (ImageState.WANTED, entry.identifier)
        assert image.next_tick_at <= timezone.now()

    def test_asking_again_makes_no_second_copy(self):
        entry = EntryFactory()
        first = actions.ensure_image(entry, "local")
        assert actions.ensure_image(entry, "local") == first
        assert Event.objects.of(first.uuid).count() == 1

    def test_two_entries_about_the_same_bytes_share_a_copy(self):
        first, second = EntryFactory(content=b"x"), EntryFactory(content=b"x")
        assert actions.ensure_image(first, "local") == actions.ensure_image(second, "local")

    def test_each_cloud_has_its_own_copy(self):
        entry = EntryFactory()
        assert actions.ensure_image(entry, "local") != actions.ensure_image(entry, "other")

    def test_a_ready_copy_is_left_alone(self):
        image = ImageFileFactory(ready=True)
        assert actions.ensure_image(image.entry, "local").state == ImageState.READY

    def test_an_old_failure_is_tried_again(self):
        image = failed(LONG_AGO)
        assert actions.ensure_image(image.entry, "local").state == ImageState.WANTED
        image.refresh_from_db()
        assert image.next_tick_at is not None

    def test_a_failure_after_the_wish_is_its_answer(self):
        image = failed(timedelta(seconds=30))
        wish = timezone.now() - timedelta(minutes=1)
        again = actions.ensure_image(image.entry, "local", asked_at=wish)
        assert (again.state, again.reason) == (ImageState.FAILED, "The disk is full.")

    def test_a_failure_of_a_moment_ago_stands_when_no_wish_is_named(self):
        image = failed(timedelta(seconds=1))
        assert actions.ensure_image(image.entry, "local").state == ImageState.FAILED

    def test_a_new_try_believes_the_entry_of_who_asks_now(self):
        image = failed(LONG_AGO)
        other = EntryFactory(
            identifier=image.identifier, endorser_email="bob@example.org", **ELSEWHERE
        )
        assert actions.ensure_image(other, "local").entry == other

    def test_whoever_asks_rings(self, django_capture_on_commit_callbacks):
        with django_capture_on_commit_callbacks() as callbacks:
            actions.ensure_image(EntryFactory(), "local")
        assert any("tick_image" in str(callback) for callback in callbacks)


@pytest.mark.django_db(transaction=True)
def test_eight_threads_that_ask_at_once_make_one_copy():
    entry = EntryFactory()
    start = threading.Barrier(8)
    seen = []

    def ask():
        start.wait()
        seen.append(actions.ensure_image(entry, "local").pk)
        connection.close()

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert len(seen) == 8
    assert set(seen) == {ImageFile.objects.get().pk}


class TestLost:
    def test_a_lost_copy_is_made_again(self):
        image = ImageFileFactory(ready=True)
        actions.image_lost(image.identifier, "local", reason="Its file is damaged.")
        image.refresh_from_db()
        assert (image.state, image.reason) == (ImageState.WANTED, "Its file is damaged.")

    def test_what_is_on_its_way_or_unknown_is_left_alone(self):
        image = ImageFileFactory(state=ImageState.COPYING)
        actions.image_lost(image.identifier, "local")
        actions.image_lost("A" * 27, "local")
        image.refresh_from_db()
        assert image.state == ImageState.COPYING


def failed(ago):
    return ImageFileFactory(
        state=ImageState.FAILED, state_since=timezone.now() - ago, reason="The disk is full.",
        **{f"entry__{name}": value for name, value in ELSEWHERE.items()},
    )  # fmt: skip

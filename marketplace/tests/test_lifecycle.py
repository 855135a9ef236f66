from contextlib import ExitStack, contextmanager
from datetime import timedelta

import pytest
import time_machine
from django.utils import timezone

from cloud.errors import CloudBusy, CloudUnavailable
from cloud.local.driver import LocalDriver
from marketplace import actions, lanes, tasks
from marketplace.lifecycle import IMAGE_STEPS
from marketplace.models import ImageFile
from marketplace.states import ImageState
from marketplace.tests.factories import EntryFactory, ImageFileFactory

pytestmark = pytest.mark.django_db


def step(image):
    """One bell, as a worker hears it."""
    ImageFile.objects.filter(pk=image.pk, next_tick_at__isnull=False).update(
        next_tick_at=timezone.now()
    )
    tasks.tick_image(image.pk)
    image.refresh_from_db()
    return image.state


def test_a_real_file_is_copied_checked_and_ready(cloud, entry):
    image = actions.ensure_image(entry, "local")
    assert step(image) == ImageState.COPYING
    assert step(image) == ImageState.READY
    assert image.bytes_done == image.bytes_total == entry.size_bytes
    assert image.next_tick_at is None
    assert cloud.find_image(entry.identifier).size_bytes == entry.size_bytes


def test_what_the_cloud_has_already_is_not_copied_again(cloud, entry):
    cloud.put_image(entry.identifier)
    image = actions.ensure_image(entry, "local")
    assert step(image) == ImageState.READY
    assert "import_image" not in cloud.world.calls


def test_a_damaged_file_fails_with_the_reason(cloud, entry):
    path = entry.site_file
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    image = actions.ensure_image(entry, "local")
    step(image)
    assert [step(image), step(image)] == [ImageState.CLEARING, ImageState.FAILED]
    assert f"expected {entry.sha256}, got" in image.reason
    assert cloud.find_image(entry.identifier) is None


def test_a_missing_file_says_what_an_administrator_does(cloud, entry):
    entry.site_file.unlink()
    image = actions.ensure_image(entry, "local")
    assert step(image) == ImageState.FAILED
    assert f"put {entry.file_name} back" in image.reason


def test_a_file_that_vanishes_while_it_waits_fails_too(cloud, entry):
    image = actions.ensure_image(entry, "local")
    step(image)
    entry.site_file.unlink()
    assert [step(image), step(image)] == [ImageState.CLEARING, ImageState.FAILED]
    assert "no longer on this site" in image.reason


def test_once_the_file_is_back_the_next_wish_succeeds(cloud, entry):
    content = entry.site_file.read_bytes()
    entry.site_file.unlink()
    image = actions.ensure_image(entry, "local")
    assert step(image) == ImageState.FAILED
    entry.site_file.write_bytes(content)
    with time_machine.travel(timezone.now() + timedelta(minutes=1)):
        actions.ensure_image(entry, "local")
        image.refresh_from_db()
        step(image)
        assert step(image) == ImageState.READY


@pytest.mark.parametrize("error", [CloudBusy("Full."), CloudUnavailable("No answer.")])
def test_a_cloud_that_cannot_now_is_asked_again(cloud, entry, error):
    image = actions.ensure_image(entry, "local")
    step(image)
    cloud.fail_next(error)
    assert step(image) == ImageState.COPYING
    assert image.next_tick_at - timezone.now() < timedelta(seconds=3)
    assert step(image) == ImageState.READY


def test_a_lost_answer_does_not_copy_twice(cloud, entry):
    image = actions.ensure_image(entry, "local")
    step(image)
    cloud.lose_next_answer()
    assert step(image) == ImageState.COPYING
    assert step(image) == ImageState.READY


def test_a_cloud_that_is_away_for_hours_ends_as_a_failure_with_both_reasons(cloud, entry):
    image = actions.ensure_image(entry, "local")
    step(image)
    with time_machine.travel(timezone.now() + timedelta(minutes=241)):
        cloud.fail_next(CloudUnavailable("The cloud does not answer."))
        assert [step(image), step(image)] == [ImageState.CLEARING, ImageState.FAILED]
    assert image.reason == "The image was not copied within 240 minutes. The cloud does not answer."


def test_a_lost_copy_goes_the_whole_way_again(cloud, entry):
    image = actions.ensure_image(entry, "local")
    step(image)
    step(image)
    cloud.delete_image(entry.identifier)
    actions.image_lost(entry.identifier, "local")
    assert [step(image), step(image)] == [ImageState.COPYING, ImageState.READY]


def test_progress_is_written_while_it_copies(cloud, entry, monkeypatch):
    image = ImageFileFactory(entry=entry, state=ImageState.COPYING)
    seen = []
    keep = ImageFile.keep
    monkeypatch.setattr(
        ImageFile, "keep", lambda self, **fields: (seen.append(fields), keep(self, **fields))
    )
    step(image)
    assert seen[-1] == {"bytes_done": entry.size_bytes, "bytes_total": entry.size_bytes}


@contextmanager
def full(lane):
    """Others are in it, as many as there may be."""
    with ExitStack() as stack:
        for _ in range(lane.most):
            other = ImageFileFactory.build(entry=EntryFactory.build())
            assert not stack.enter_context(lane.room(other))
        yield


class TestLanes:
    def test_no_thread_waits_for_a_lane(self, cloud, entry):
        image = ImageFileFactory(entry=entry, state=ImageState.COPYING)
        with full(lanes.COPIES):
            assert step(image) == ImageState.COPYING
            assert "import_image" not in cloud.world.calls
            assert image.reason == (
                "Waiting for its turn: the portal copies and checks images, 2 at a time."
            )
        assert step(image) == ImageState.READY

    def test_questions_are_asked_while_every_lane_is_busy(self, cloud, entry):
        image = actions.ensure_image(entry, "local")
        with full(lanes.COPIES):
            assert step(image) == ImageState.COPYING

    def test_a_failing_step_gives_its_lane_back(self, cloud, entry):
        image = ImageFileFactory(entry=entry, state=ImageState.COPYING)
        for _ in range(lanes.COPIES.most + 1):
            cloud.fail_next(RuntimeError("a bug"))
            with pytest.raises(RuntimeError, match="a bug"):
                step(image)
        with lanes.COPIES.room(image) as why_not:
            assert not why_not


class TestSweep:
    def test_what_is_due_is_rung_in_its_queue(self, cloud, django_capture_on_commit_callbacks):
        ImageFileFactory()
        ImageFileFactory(state=ImageState.COPYING)
        ImageFileFactory(ready=True)
        with django_capture_on_commit_callbacks() as callbacks:
            tasks.sweep()
        assert sorted(callback.args[2] for callback in callbacks) == ["bulk.local", "cloud.local"]

    def test_a_bell_for_a_row_that_is_gone_is_quiet(self):
        tasks.tick_image(123456)


def test_the_embedded_engine_takes_a_real_image(entry, tmp_path):
    driver = LocalDriver(home=tmp_path / "cloud", public_host="127.0.0.1")
    image = ImageFileFactory(entry=entry)
    for to in (ImageState.COPYING, ImageState.READY):
        go = IMAGE_STEPS[image.state](image, driver)
        assert go.to == to
        image.move(go.to, **go.fields)
    assert image.virtual_size_bytes == 1 << 20
    assert driver.find_image(entry.identifier).ref == image.ref

"""One listing of a cloud's disks says what its rows do not know."""

import logging
from datetime import timedelta
from uuid import uuid4

import pytest
from django.utils import timezone

from cloud.errors import CloudUnavailable
from registration.models import GIB
from volumes import tasks
from volumes.models import Volume
from volumes.states import SnapshotState, VolumeState
from volumes.tests.factories import SnapshotFactory, VolumeFactory

pytestmark = pytest.mark.django_db

V = VolumeState
AGO = timezone.now() - timedelta(hours=2)
BLOCK = 64 << 10


def there(cloud, **fields):
    """A disk that holds one block there, of which nothing is known here."""
    volume = VolumeFactory(**fields)
    cloud.put_volume(volume.token, data=b"x")
    return volume


def fresh(volume):
    return Volume.objects.get(pk=volume.pk)


def tokens(cloud):
    return {info.token for info in cloud.list_volumes()}


@pytest.mark.parametrize("state", [V.AVAILABLE, V.IN_USE, V.BINNED])
def test_what_the_site_keeps_of_a_disk_is_written_down(cloud, state):
    volume = there(cloud, state=state)
    tasks.compare()
    assert fresh(volume).used_bytes == BLOCK
    cloud.write_volume(volume.token, b"y", at=GIB // 2)
    tasks.compare()
    assert fresh(volume).used_bytes == 2 * BLOCK


def test_what_has_not_changed_is_not_touched_and_the_cloud_is_asked_once(
    cloud, django_assert_num_queries
):
    for _ in range(3):
        there(cloud)
    tasks.compare()
    cloud.world.calls.clear()
    with django_assert_num_queries(1):
        tasks.compare()
    assert list(cloud.world.calls) == ["list_volumes"]


@pytest.mark.parametrize("state", [V.CREATING, V.COPYING, V.CONVERTING, V.DELETING, V.RESTORING])
def test_a_disk_that_moves_is_left_to_its_steps(cloud, state):
    volume = there(cloud, state=state)
    tasks.compare()
    assert fresh(volume).used_bytes is None
    assert tokens(cloud) == {volume.token}


@pytest.mark.parametrize("state", [V.DELETED, V.FAILED])
def test_what_is_over_here_is_ended_there_an_hour_later(cloud, state):
    there(cloud, state=state, state_since=AGO)
    late = there(cloud, state=state)
    tasks.compare()
    assert tokens(cloud) == {late.token}


def test_strangers_and_lost_ones_are_told_of_and_left_alone(cloud, caplog):
    stranger, lost = str(uuid4()), VolumeFactory(state_since=AGO)
    cloud.put_volume(stranger)
    cloud.put_volume("not-ours")
    with caplog.at_level(logging.WARNING, "volumes"):
        tasks.compare()
    assert tokens(cloud) == {stranger, "not-ours"}
    assert fresh(lost).state == V.AVAILABLE
    told = {(record.message, record.subject) for record in caplog.records}
    assert told == {("volume.stranger", stranger), ("volume.lost", lost.token)}


def test_a_snapshot_that_was_taken_after_all_is_removed(cloud):
    volume = there(cloud)
    kept = SnapshotFactory(volume=volume, state_since=AGO)
    late = SnapshotFactory(volume=volume, state=SnapshotState.DELETED, state_since=AGO)
    unknown = str(uuid4())
    for token in (kept.token, late.token, unknown):
        cloud.create_snapshot(volume.token, token=token)
    tasks.compare()
    assert set(cloud.get_volume(volume.token).snapshots) == {kept.token, unknown}


def test_a_cloud_that_does_not_answer_costs_nothing(cloud):
    volume = there(cloud)
    cloud.fail_next(CloudUnavailable("No answer."))
    tasks.compare()
    assert fresh(volume).used_bytes is None


def test_what_could_not_be_cleared_keeps_its_reason_and_is_cleared_later(cloud, worker):
    volume = there(
        cloud, state=V.CLEARING, reason="The file is damaged.",
        state_since=timezone.now() - timedelta(hours=25),
    )  # fmt: skip
    cloud.fail_next(CloudUnavailable("No answer."))
    worker.step()
    assert (fresh(volume).state, fresh(volume).reason) == (V.FAILED, "The file is damaged.")
    Volume.objects.update(state_since=AGO)
    tasks.compare()
    assert tokens(cloud) == set()

"""Snapshots and what they count: one that is larger than its disk, one that came late."""

from datetime import timedelta

import pytest
import time_machine

from cloud.errors import CloudBusy
from conftest import Worker
from core.errors import Refused
from registration.models import GIB
from volumes import actions, tasks
from volumes.models import Attachment, Snapshot, Volume
from volumes.quota import bytes_held
from volumes.states import SnapshotState, VolumeState
from volumes.tests.factories import AttachmentFactory, VolumeFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def volume(cloud):
    """A disk of 1 GiB that the engine knows."""
    volume = VolumeFactory()
    cloud.create_volume(volume.size_bytes, token=volume.token)
    return volume


def take(volume: Volume, worker: Worker, name: str) -> Snapshot:
    volume.refresh_from_db()
    snapshot = actions.take_snapshot(volume, by=volume.owner, name=name)
    worker.run()
    return Snapshot.objects.get(pk=snapshot.pk)


def go_back(snapshot: Snapshot) -> None:
    snapshot = Snapshot.objects.get(pk=snapshot.pk)
    actions.restore_snapshot(snapshot, by=snapshot.volume.owner, typed=snapshot.name)


def test_going_back_to_a_larger_one_is_within_the_quota(volume, worker):
    owner = volume.owner  # of 100 GiB
    small = take(volume, worker, "small")
    volume.refresh_from_db()
    actions.grow(volume, by=owner, size_gib=40)
    worker.run()
    large = take(volume, worker, "large")

    go_back(small)
    assert bytes_held(owner) == (40 + 41) * GIB  # until it is as small as it was
    worker.run()
    volume.refresh_from_db()
    assert (volume.size_bytes, volume.wanted_bytes) == (GIB, None)

    other = VolumeFactory(owner=owner, size_gib=30)
    with pytest.raises(Refused, match="you hold 72 GiB and this needs 39 GiB") as refused:
        go_back(large)
    assert refused.value.code == "quota_disk"

    Volume.objects.filter(pk=other.pk).update(state=VolumeState.DELETED)
    go_back(large)
    assert bytes_held(owner) == (40 + 41) * GIB  # from when it was asked
    worker.run()
    volume.refresh_from_db()
    assert volume.size_bytes == 40 * GIB


@pytest.fixture
def late(volume, worker, cloud):
    """One that the engine has taken, and did not say so in time."""
    snapshot = actions.take_snapshot(volume, by=volume.owner, name="late")
    cloud.create_snapshot(volume.cloud_ref, token=snapshot.token)
    cloud.fail_next(*[CloudBusy("not now")] * 200)
    worker.run(hours=0.5)
    snapshot.refresh_from_db()
    assert snapshot.state == SnapshotState.FAILED
    cloud.world.failures.clear()
    return snapshot


def test_one_that_failed_counts_until_the_engine_has_removed_it(late, volume, worker, cloud):
    assert bytes_held(volume.owner) == 2 * GIB
    actions.delete_snapshot(late, by=volume.owner)
    assert bytes_held(volume.owner) == 2 * GIB
    worker.run()
    late.refresh_from_db()
    assert late.state == SnapshotState.DELETED
    assert cloud.get_volume(volume.cloud_ref).snapshots == ()
    assert bytes_held(volume.owner) == GIB


def test_one_that_failed_is_removed_after_an_hour_if_nobody_does(late, volume, worker, cloud):
    tasks.tidy()
    worker.run()
    assert cloud.get_volume(volume.cloud_ref).snapshots == (late.token,)
    with time_machine.travel(late.state_since + timedelta(minutes=61)):
        tasks.tidy()
        worker.run()
    late.refresh_from_db()
    assert late.state == SnapshotState.DELETED
    assert cloud.get_volume(volume.cloud_ref).snapshots == ()


@pytest.mark.parametrize("verb", ["grow", "take", "delete"])
def test_what_machines_read_is_not_changed_under_them(volume, worker, verb):
    kept = take(volume, worker, "kept")
    Volume.objects.filter(pk=volume.pk).update(state=VolumeState.IN_USE)
    volume.refresh_from_db()
    reader = AttachmentFactory(volume=volume, read_only=True)
    owner = volume.owner
    asked = {
        "grow": lambda: actions.grow(volume, by=owner, size_gib=2),
        "take": lambda: actions.take_snapshot(volume, by=owner, name="another"),
        "delete": lambda: actions.delete_snapshot(kept, by=owner),
    }
    with pytest.raises(Refused, match=f"It is read by {reader.vm}: detach") as refused:
        asked[verb]()
    assert refused.value.code == "disk_in_use"
    Attachment.objects.filter(pk=reader.pk).update(read_only=False)
    asked[verb]()  # its QEMU is asked

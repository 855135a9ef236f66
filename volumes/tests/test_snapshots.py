"""Snapshots and what they count: one that is larger than its disk, one that came late."""


import pytest

from conftest import Worker
from core.errors import Refused
from registration.models import GIB
from volumes import actions
from volumes.models import Snapshot, Volume
from volumes.quota import bytes_held
from volumes.states import VolumeState
from volumes.tests.factories import VolumeFactory

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

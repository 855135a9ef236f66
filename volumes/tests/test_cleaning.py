"""A disk that begins as another one is, without what should not go to others."""

import hashlib
from uuid import uuid4

import pytest

from cloud.diskfiles.identifiers import identifier_of
from cloud.tests.test_hygiene import FOUND, SECRET, file_system, tree
from core.errors import Refused
from registration.tests.factories import UserFactory
from volumes import actions
from volumes.models import DiskType, Volume
from volumes.states import VolumeState
from volumes.tests.factories import AttachmentFactory, VolumeFactory

pytestmark = [pytest.mark.django_db, pytest.mark.slow]
HISTORY = "/root/.bash_history"


@pytest.fixture
def disk(cloud, tmp_path) -> Volume:
    """An image with the traces of its maker, in the cloud."""
    data = file_system(tmp_path / "disk.img", tree(tmp_path / "tree"), mib=8).read_bytes()
    volume = VolumeFactory(type=DiskType.MACHINE_IMAGE_ORIGIN, size_bytes=len(data), tag="mine")
    cloud.put_volume(volume.token, size_bytes=len(data), data=data)
    Volume.objects.filter(pk=volume.pk).update(cloud_ref=volume.token)
    return Volume.objects.get(pk=volume.pk)


def clean(disk: Volume, *paths: str, **more) -> Volume:
    return actions.clean(
        disk, by=disk.owner, paths={0: list(paths)}, **{"create_key": uuid4()} | more
    )


def bytes_of(cloud, volume: Volume) -> bytes:
    return cloud.read_volume(volume.cloud_ref, count=volume.size_bytes)


def test_it_is_the_same_disk_without_them_and_has_a_name_of_its_own(disk, cloud, worker):
    made = clean(disk, HISTORY, "/var/lib/cloud/instances")
    assert made.state == VolumeState.CLEANING
    worker.run()
    made.refresh_from_db()
    assert made.state == VolumeState.AVAILABLE, made.reason
    assert (made.type, made.tag, made.size_bytes) == (disk.type, "mine", disk.size_bytes)
    assert made.identifier == identifier_of(made.sha1)
    data = bytes_of(cloud, made)
    assert SECRET.encode() not in data
    assert b"results\n" in data
    assert SECRET.encode() in bytes_of(cloud, disk)


def test_its_checksums_are_those_of_its_bytes(disk, cloud, worker):
    made = clean(disk, *FOUND)
    worker.run()
    made.refresh_from_db()
    assert made.sha256 == hashlib.sha256(bytes_of(cloud, made)).hexdigest()


def test_what_cannot_be_taken_out_leaves_no_disk(disk, worker):
    made = clean(disk, '/root/a"b')
    worker.run()
    made.refresh_from_db()
    assert made.state == VolumeState.FAILED
    assert "Remove it inside the machine" in made.reason


def test_twice_is_one_disk(disk):
    key = uuid4()
    assert clean(disk, HISTORY, create_key=key) == clean(disk, HISTORY, create_key=key)


def test_nothing_is_not_cleaned(disk):
    with pytest.raises(Refused) as refused:
        clean(disk)
    assert refused.value.code == "nothing_to_clean"


def test_only_its_owner_may(disk):
    with pytest.raises(Refused) as refused:
        actions.clean(disk, by=UserFactory(), paths={0: [HISTORY]}, create_key=uuid4())
    assert refused.value.code == "not_yours"


def test_not_while_a_machine_writes_to_it(cloud):
    volume = VolumeFactory(state=VolumeState.IN_USE)
    AttachmentFactory(volume=volume, vm__owner=volume.owner)
    with pytest.raises(Refused) as refused:
        clean(volume, HISTORY)
    assert refused.value.code == "disk_written"

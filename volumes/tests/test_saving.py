"""A machine's root disk becomes an image of its owner's: counted, copied and summed."""

import hashlib
from uuid import uuid4

import pytest
from django.conf import settings

from cloud.diskfiles.identifiers import identifier_of
from cloud.errors import CloudBusy, CloudFull
from cloud.types import VmPhase, VmSpec
from core.errors import Refused
from registration.models import GIB, User
from registration.states import AccountState
from registration.tests.factories import UserFactory
from volumes import actions, quota
from volumes.models import DiskType, Origin, Volume
from volumes.states import VolumeState
from volumes.tests.factories import VolumeFactory

pytestmark = pytest.mark.django_db
MIB = 1 << 20


@pytest.fixture
def machine(cloud):
    """A machine of 2 MiB that has been switched off; its ref."""
    cloud.put_image("image", size_bytes=MIB)
    info = cloud.create_vm(VmSpec(name="m", vcpus=1, memory_mib=64, image="image"), token="m")
    cloud.set_phase(info.ref, VmPhase.STOPPED)
    cloud.write_root_disk(info.ref, b"what was done by hand")
    return info.ref


def begin(owner, ref, **more):
    wanted = {"tag": "My image", "size_bytes": 2 * MIB, "create_key": uuid4(), **more}
    return actions.begin_saving(owner, vm_ref=ref, vm_name="machine 1", cloud="local", **wanted)


def test_it_holds_what_the_machine_held_with_its_checksums(machine, worker):
    volume = begin(UserFactory(), machine)
    assert (volume.state, volume.type) == (VolumeState.SAVING, DiskType.MACHINE_IMAGE_ORIGIN)
    worker.run()
    volume.refresh_from_db()
    assert (volume.state, volume.origin, volume.tag) == (
        VolumeState.AVAILABLE, Origin.SAVED, "My image",
    )  # fmt: skip
    data = b"what was done by hand".ljust(2 * MIB, b"\0")
    assert volume.sha1 == hashlib.sha1(data, usedforsecurity=False).hexdigest()
    assert volume.sha256 == hashlib.sha256(data).hexdigest()
    assert volume.sha512 == hashlib.sha512(data).hexdigest()
    assert volume.identifier == identifier_of(volume.sha1)
    assert volume.size_bytes == volume.content_bytes == volume.bytes_done == 2 * MIB


def test_what_the_engine_did_not_sum_is_summed_here(machine, worker, cloud, monkeypatch, tmp_path):
    monkeypatch.setattr("cloud.fake_saving.LARGEST_SUMMED_BYTES", 0)
    monkeypatch.setattr(settings, "PORTAL_DOWNLOADS", tmp_path)
    volume = begin(UserFactory(), machine)
    worker.run()
    volume.refresh_from_db()
    data = b"what was done by hand".ljust(2 * MIB, b"\0")
    assert volume.sha256 == hashlib.sha256(data).hexdigest()
    assert list(tmp_path.iterdir()) == []


def test_the_same_key_is_one_disk(machine, worker, cloud):
    owner, key = UserFactory(), uuid4()
    assert begin(owner, machine, create_key=key) == begin(owner, machine, create_key=key)
    worker.run()
    assert len(cloud.world.volumes) == 1


def test_a_lost_answer_makes_no_second_disk(machine, worker, cloud):
    volume = begin(UserFactory(), machine)
    cloud.lose_next_answer()
    worker.run()
    volume.refresh_from_db()
    assert volume.state == VolumeState.AVAILABLE
    assert len(cloud.world.volumes) == 1
    assert volume.sha1


def test_it_counts_in_the_quota_of_images(machine):
    owner = UserFactory(quota_images=1)
    VolumeFactory(owner=owner, type=DiskType.MACHINE_IMAGE_ORIGIN)
    VolumeFactory(owner=owner, type=DiskType.MACHINE_IMAGE_LIVE)
    VolumeFactory(owner=owner, type=DiskType.MACHINE_IMAGE_ORIGIN, failed=True)
    assert quota.images_held(owner) == 1
    with pytest.raises(Refused, match="Your quota is 1 image: you hold 1, and this") as refused:
        begin(owner, machine)
    assert refused.value.code == "quota_images"
    assert "Delete the disk of one" in str(refused.value)
    assert Volume.objects.filter(origin=Origin.SAVED).count() == 0


def test_it_counts_in_the_quota_of_disks_before_a_byte_is_copied(machine):
    owner = UserFactory()
    VolumeFactory(owner=owner, size_bytes=100 * GIB)
    with pytest.raises(Refused, match="Your disk quota is 100 GiB") as refused:
        begin(owner, machine)
    assert refused.value.code == "quota_disk"


def test_a_size_that_nobody_knew_is_counted_when_the_engine_says_it(machine, worker, cloud):
    owner = UserFactory()
    VolumeFactory(owner=owner, size_bytes=100 * GIB - MIB)
    volume = begin(owner, machine, size_bytes=None)
    worker.run()
    volume.refresh_from_db()
    assert volume.state == VolumeState.FAILED
    assert "The machine's disk has 2 MiB or more" in volume.reason
    assert cloud.world.volumes == {}


def test_a_disk_becomes_an_image_only_within_the_quota():
    owner = UserFactory(quota_images=0)
    volume = VolumeFactory(owner=owner, type=DiskType.MACHINE_IMAGE_LIVE)
    with pytest.raises(Refused, match="Your quota is 0 images"):
        actions.change(volume, by=owner, type=DiskType.MACHINE_IMAGE_ORIGIN)
    with pytest.raises(Refused, match="Your quota is 0 images"):
        actions.copy(volume, by=owner, create_key=uuid4(), as_original=True)


def test_a_busy_engine_is_asked_again(machine, worker, cloud):
    volume = begin(UserFactory(), machine)
    cloud.fail_next(CloudBusy("Somebody saves this machine now."))
    worker.step()
    volume.refresh_from_db()
    assert volume.reason == "Somebody saves this machine now. The portal tries again."
    worker.run()
    volume.refresh_from_db()
    assert (volume.state, volume.reason) == (VolumeState.AVAILABLE, "")


def test_a_full_engine_is_given_up_in_words(machine, worker, cloud):
    volume = begin(UserFactory(), machine)
    cloud.fail_next(*[CloudFull("There is no room for it on the site's disk.")] * 100)
    worker.run(hours=0.7)
    volume.refresh_from_db()
    assert volume.state in (VolumeState.CLEARING, VolumeState.FAILED)
    assert volume.reason == "There is no room for it on the site's disk."


def test_a_machine_that_is_gone_gives_no_disk(worker):
    volume = begin(UserFactory(), "gone")
    worker.run()
    volume.refresh_from_db()
    assert volume.state == VolumeState.FAILED
    assert "There is no such machine." in volume.reason


def test_who_lost_their_account_gets_none(machine, worker):
    owner = UserFactory()
    volume = begin(owner, machine)
    User.objects.filter(pk=owner.pk).update(state=AccountState.SUSPENDED)
    worker.run()
    volume.refresh_from_db()
    assert volume.state == VolumeState.FAILED
    assert "not active" in volume.reason

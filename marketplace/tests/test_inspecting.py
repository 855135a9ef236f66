"""What is left of its maker in a disk, looked for before it goes to others."""

from dataclasses import replace
from uuid import uuid4

import pytest
from django.utils import timezone

from cloud.tests.test_hygiene import FOUND, file_system, tree
from core.errors import Refused
from marketplace import actions, pdisk
from marketplace.actions import Reader, endorsing
from marketplace.models import Entry, Inspection
from marketplace.states import InspectionState, Visibility
from marketplace.tests import publishing, signing
from registration.tests.factories import GroupFactory, MembershipFactory, UserFactory
from volumes import actions as volumes
from volumes.models import DiskType, Volume
from volumes.states import VolumeState
from volumes.tests.factories import AttachmentFactory, VolumeFactory

pytestmark = [pytest.mark.django_db, pytest.mark.slow]


def put(cloud, volume: Volume, data: bytes) -> Volume:
    cloud.put_volume(volume.token, size_bytes=len(data), data=data)
    Volume.objects.filter(pk=volume.pk).update(cloud_ref=volume.token, size_bytes=len(data))
    return Volume.objects.get(pk=volume.pk)


@pytest.fixture
def disk(cloud, tmp_path) -> Volume:
    """An image with the traces of its maker."""
    data = file_system(tmp_path / "disk.img", tree(tmp_path / "tree"), mib=8).read_bytes()
    return put(cloud, VolumeFactory(type=DiskType.MACHINE_IMAGE_ORIGIN), data)


def looked_into(disk: Volume, worker, **more) -> Inspection:
    actions.inspect(disk, by=disk.owner, **more)
    worker.run()
    return Inspection.objects.get(volume=disk)


def test_a_report_names_what_was_found_kind_by_kind(disk, worker):
    report = looked_into(disk, worker)
    assert report.state == InspectionState.READY, report.reason
    assert {one["path"]: one["kind"] for one in report.findings} == FOUND
    assert report.is_whole
    kinds = [kind.name for kind, _ in report.by_kind()]
    assert kinds[:3] == ["private_key", "token", "authorized_keys"]


def test_a_file_system_that_nobody_can_read_is_said_to_be_one(cloud, worker):
    disk = put(cloud, VolumeFactory(), b"XFSB" + bytes(1 << 20))
    report = looked_into(disk, worker)
    assert report.unread == [
        {"part": 0, "why": "It is xfs; the portal reads ext2, ext3, ext4 and FAT."}
    ]
    assert not report.is_whole


def test_what_is_found_can_be_removed_and_the_copy_is_looked_into(disk, worker):
    report = looked_into(disk, worker)
    paths = [(one["part"], one["path"]) for one in report.findings]
    made = actions.remove_found(report, by=disk.owner, paths=paths, create_key=uuid4())
    worker.run()
    made.refresh_from_db()
    assert made.state == VolumeState.AVAILABLE, made.reason
    assert made.inspection.state == InspectionState.READY
    assert made.inspection.findings == []
    assert Inspection.objects.get(volume=disk).findings


def test_nothing_is_removed_that_was_not_found(disk, worker):
    report = looked_into(disk, worker)
    with pytest.raises(Refused) as refused:
        actions.remove_found(
            report, by=disk.owner, paths=[(0, "/home/ann/data.txt")], create_key=uuid4()
        )
    assert refused.value.code == "not_found"


def test_asked_twice_it_is_looked_into_once(disk):
    assert actions.inspect(disk, by=disk.owner) == actions.inspect(disk, by=disk.owner)


def test_it_can_be_looked_into_again(disk, cloud, worker):
    looked_into(disk, worker)
    cloud.write_volume(disk.cloud_ref, bytes(disk.size_bytes))
    assert looked_into(disk, worker, again=True).findings == []


def test_only_its_owner_has_it_looked_into(disk):
    with pytest.raises(Refused) as refused:
        actions.inspect(disk, by=UserFactory())
    assert refused.value.code == "not_yours"


def test_not_while_a_machine_writes_to_it(cloud):
    volume = VolumeFactory(state=VolumeState.IN_USE)
    AttachmentFactory(volume=volume, vm__owner=volume.owner)
    with pytest.raises(Refused) as refused:
        actions.inspect(volume, by=volume.owner)
    assert refused.value.code == "disk_written"


def test_a_disk_that_is_gone_has_no_report(disk, worker):
    actions.inspect(disk, by=disk.owner)
    volumes.delete(disk, by=disk.owner)
    worker.run(hours=2)
    found = Inspection.objects.get(volume=disk)
    assert found.state == InspectionState.FAILED


class TestBeforeEverybodyHasIt:
    """``hygiene_unread`` and ``hygiene_found`` keep an image from being opened by mistake."""

    @pytest.fixture
    def entry(self, disk) -> Entry:
        """A private entry of the disk."""
        metadata = replace(
            publishing.metadata_about(b"an image"), kind="machine",
            locations=(pdisk.address_of(disk.uuid),),
        )  # fmt: skip
        return actions.sign_and_publish(
            metadata, signer=signing.alice(disk.owner.email), email=disk.owner.email,
            owner=disk.owner, by=disk.owner, readers=Reader(visibility=Visibility.PRIVATE),
        )  # fmt: skip

    def refusal(self, entry: Entry, **more) -> str:
        with pytest.raises(Refused) as refused:
            actions.set_readers(entry, by=entry.owner, readers=Reader(**more))
        return refused.value.code

    def test_nobody_opens_what_nobody_has_looked_into(self, entry):
        assert self.refusal(entry) == "hygiene_unread"
        assert Inspection.objects.get().is_moving  # but now somebody does

    def test_what_was_found_must_have_been_read(self, entry, disk, worker):
        looked_into(disk, worker)
        assert self.refusal(entry) == "hygiene_found"
        actions.set_readers(entry, by=disk.owner, readers=Reader(knows=True))
        entry.refresh_from_db()
        assert entry.visibility == Visibility.PUBLIC

    def test_a_clean_disk_is_opened_without_more(self, entry, disk, worker):
        looked_into(disk, worker)
        Inspection.objects.update(report={"is_read": True})
        actions.set_readers(entry, by=disk.owner, readers=Reader())
        entry.refresh_from_db()
        assert entry.visibility == Visibility.PUBLIC

    def test_what_could_not_be_read_must_be_known_too(self, entry, disk, worker):
        looked_into(disk, worker)
        Inspection.objects.update(report={"unread": [{"part": 0, "why": "It is xfs."}]})
        assert self.refusal(entry) == "hygiene_found"

    def test_a_document_that_is_uploaded_opens_it_no_sooner(self, disk, worker):
        metadata = replace(
            publishing.metadata_about(b"an image"), kind="machine",
            locations=(pdisk.address_of(disk.uuid),),
        )  # fmt: skip
        xml = endorsing.signed(metadata, signer=signing.alice(disk.owner.email))
        with pytest.raises(Refused, match="upload it for yourself alone") as refused:
            actions.submit(xml, by=disk.owner)
        assert refused.value.code == "hygiene_unread"
        worker.run()
        with pytest.raises(Refused) as refused:
            actions.submit(xml, by=disk.owner)
        assert refused.value.code == "hygiene_found"
        made = actions.submit(xml, by=disk.owner, readers=Reader(visibility=Visibility.PRIVATE))
        assert made.visibility == Visibility.PRIVATE

    def test_a_report_of_what_was_there_before_counts_no_more(self, entry, disk, worker):
        looked_into(disk, worker)
        Inspection.objects.update(report={"is_read": True})
        AttachmentFactory(
            volume=disk, vm__owner=disk.owner, state="detached", state_since=timezone.now()
        )
        assert self.refusal(entry) == "hygiene_unread"
        assert Inspection.objects.get().is_moving
        worker.run()
        assert self.refusal(entry) == "hygiene_found"

    def test_a_few_may_have_it_as_it_is(self, entry, disk):
        group = GroupFactory()
        MembershipFactory(group=group, user=disk.owner)
        readers = Reader(visibility=Visibility.GROUP, group=group)
        actions.set_readers(entry, by=disk.owner, readers=readers)
        entry.refresh_from_db()
        assert entry.visibility == Visibility.GROUP

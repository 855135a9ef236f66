"""Backups of machines: copies that outlive them, and machines made from them again."""

import re
from uuid import uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from cloud.types import VmPhase
from core.errors import Refused
from core.models import Event
from registration.tests.factories import UserFactory
from vms import actions
from vms.actions import Order, backups
from vms.models import VM, Backup
from vms.states import VmState
from vms.tests.factories import VMFactory
from volumes.models import DiskType, Snapshot, Volume
from volumes.states import SnapshotState, VolumeState
from volumes.tests.factories import AttachmentFactory, VolumeFactory

pytestmark = pytest.mark.django_db
GIB = 1 << 30


@pytest.fixture
def alice(client):
    user = UserFactory(quota_images=5, quota_disk_bytes=100 * GIB)
    client.force_login(user)
    return user


def running(owner, cloud, **more):
    """A machine that the fake engine runs."""
    vm = VMFactory(owner=owner, state=VmState.RUNNING, **more)
    info = cloud.create_vm(vm.spec(), token=vm.token)
    cloud.settle(info.ref, VmPhase.RUNNING) if hasattr(cloud, "settle") else None
    VM.objects.filter(pk=vm.pk).update(cloud_ref=info.ref)
    vm.refresh_from_db()
    return vm


def taken(vm, **more):
    return actions.back_up(vm, **{"name": "before", "by": vm.owner, "key": uuid4(), **more})


def refusal(vm, **more):
    with pytest.raises(Refused) as refused:
        taken(vm, **more)
    return refused.value


def plugged(vm, **more):
    disk = VolumeFactory(**{"owner": vm.owner, "state": VolumeState.IN_USE, **more})
    AttachmentFactory(volume=disk, vm=vm)
    return disk


def test_a_backup_copies_the_root_disk_and_takes_snapshots(alice):
    vm = VMFactory(owner=alice, running=True, name="web")
    disk = plugged(vm, tag="data")
    backup = taken(vm, disks=[disk])
    assert backup.was_running
    assert (backup.root.state, backup.root.saved_from) == (VolumeState.SAVING, vm.cloud_ref)
    assert backup.root.type == DiskType.MACHINE_IMAGE_ORIGIN
    assert [one.volume for one in backup.snapshots.all()] == [disk]
    assert Event.objects.filter(subject=vm.uuid, verb="back_up").exists()


def test_the_same_backup_asked_twice_is_one(alice):
    vm, key = VMFactory(owner=alice, running=True), uuid4()
    assert taken(vm, key=key) == taken(vm, key=key)
    assert Volume.objects.count() == 1


def test_a_machine_that_boots_from_a_disk_gets_a_snapshot_of_it(alice):
    root = VolumeFactory(owner=alice, type=DiskType.MACHINE_IMAGE_LIVE, state=VolumeState.IN_USE)
    vm = VMFactory(owner=alice, running=True, entry=None, root_disk=root)
    AttachmentFactory(volume=root, vm=vm, is_root=True)
    backup = taken(vm)
    assert backup.root is None
    assert backups.root_snapshot(backup).volume == root


def test_a_backup_is_taken_whole_or_not_at_all(alice):
    vm = VMFactory(owner=alice, running=True)
    disk = plugged(vm, size_bytes=99 * GIB)
    alice.quota_disk_bytes = 100 * GIB
    alice.save()
    assert refusal(vm, disks=[disk]).code == "quota_disk"
    assert not Backup.objects.exists()
    assert not Snapshot.objects.exists()
    assert Volume.objects.count() == 1


def test_refusals_of_a_backup(alice):
    vm = VMFactory(owner=alice, running=True)
    theirs = plugged(vm, owner=UserFactory())
    assert refusal(vm, disks=[theirs]).code == "backup_disks"
    assert refusal(vm, by=UserFactory()).code == "not_yours"
    assert refusal(vm, name="").code == "name_missing"
    assert refusal(VMFactory(owner=alice)).code == "vm_state"
    backup = taken(vm)
    assert refusal(VMFactory(running=True), key=backup.uuid).code == "backup_key"
    alice.quota_images = 1
    alice.save()
    vm.owner.refresh_from_db()
    assert refusal(vm).code == "quota_images"


def test_there_are_at_most_fifty(alice):
    vm = VMFactory(owner=alice, running=True)
    for _ in range(backups.MOST_BACKUPS):
        Backup.objects.create(uuid=uuid4(), owner=alice, vm=vm, name="old")
    assert refusal(vm).code == "too_many_backups"


def ready(owner, *, disks=1):
    """A backup whose copies are there, of a machine that is gone."""
    vm = VMFactory(owner=owner, state=VmState.DONE, name="web")
    root = VolumeFactory(owner=owner, type=DiskType.MACHINE_IMAGE_ORIGIN, tag="before web")
    backup = Backup.objects.create(uuid=uuid4(), owner=owner, vm=vm, name="before", root=root)
    for _ in range(disks):
        disk = VolumeFactory(owner=owner)
        one = Snapshot.objects.create(
            volume=disk, name="before", size_bytes=disk.size_bytes, state=SnapshotState.READY
        )
        backup.snapshots.add(one)
    return backup


def test_a_machine_is_launched_from_copies_and_the_backup_stays(client, alice, worker):
    backup = ready(alice)
    assert "Launch a machine from it" in client.get(backup.get_absolute_url()).content.decode()
    key = uuid4()
    answer = client.post(f"{backup.get_absolute_url()}launch/", {"key": key})
    again = client.post(f"{backup.get_absolute_url()}launch/", {"key": key})
    assert answer.url == again.url
    copies = Volume.objects.filter(state=VolumeState.COPYING)
    assert {copy.type for copy in copies} == {
        DiskType.MACHINE_IMAGE_LIVE, DiskType.DATA_IMAGE_RAW_READ_WRITE,
    }  # fmt: skip
    assert "When all are available" in client.get(answer.url).content.decode()
    Volume.objects.filter(pk__in=[copy.pk for copy in copies]).update(state=VolumeState.AVAILABLE)
    page = client.get(answer.url).content.decode()
    root = Volume.objects.get(type=DiskType.MACHINE_IMAGE_LIVE)
    assert f"/vms/launch/?disk={root.uuid}&amp;disks=" in page
    order = Order(root_disk=root, name="web", type_name="m1", vcpus=1, memory_mib=512)
    assert actions.launch(owner=alice, order=order).root_disk == root


def test_the_copy_of_the_root_disk_becomes_a_draft(client, alice):
    backup = ready(alice)
    answer = client.post(f"{backup.get_absolute_url()}image/", {"key": uuid4()})
    assert "/marketplace/drafts/" in answer.url


def test_a_backup_is_deleted_with_what_it_holds(client, alice):
    backup = ready(alice)
    client.post(f"{backup.get_absolute_url()}delete/")
    assert not Backup.objects.exists()
    assert Volume.objects.get(tag="before web").state == VolumeState.BINNED
    assert Snapshot.objects.get().state == SnapshotState.DELETING


def test_backups_of_others_are_not_there(client, alice):
    backup = ready(UserFactory())
    assert client.get(backup.get_absolute_url()).status_code == 404
    for verb in ("delete", "launch", "image"):
        assert client.post(f"{backup.get_absolute_url()}{verb}/").status_code == 404
    assert client.get(f"/vms/{backup.vm.uuid}/backup/").status_code == 404
    with pytest.raises(Refused):
        actions.copy_backup(backup, by=alice, key=uuid4())
    with pytest.raises(Refused):
        actions.delete_backup(backup, by=alice)


def test_a_backup_without_its_root_disk_makes_no_machine(alice):
    backup = ready(alice)
    Volume.objects.filter(pk=backup.root.pk).update(state=VolumeState.BINNED)
    backup.root.refresh_from_db()
    with pytest.raises(Refused) as refused:
        actions.copy_backup(backup, by=alice, key=uuid4())
    assert refused.value.code == "backup_gone"


def test_the_page_takes_a_backup_and_says_what_it_is_worth(client, alice):
    vm = VMFactory(owner=alice, running=True)
    disk = plugged(vm, tag="data")
    page = client.get(f"/vms/{vm.uuid}/backup/").content.decode()
    assert "what a power cut would leave" in page
    answer = client.post(
        f"/vms/{vm.uuid}/backup/", {"key": uuid4(), "name": "nightly", "disks": [disk.uuid]}
    )
    backup = Backup.objects.get()
    assert answer.url == backup.get_absolute_url()
    assert backup.snapshots.count() == 1


def test_a_refused_backup_says_why_in_place(client, alice):
    vm = VMFactory(owner=alice, running=True)
    answer = client.post(f"/vms/{vm.uuid}/backup/", {"key": uuid4(), "name": "x" * 41})
    assert answer.status_code == 422


def test_the_guide_makes_a_machine_of_a_file(client, alice):
    data = VolumeFactory(owner=alice, origin="uploaded", tag="old-server")
    original = VolumeFactory(owner=alice, origin="uploaded", type=DiskType.MACHINE_IMAGE_ORIGIN)
    page = client.get("/vms/restore/").content.decode()
    assert "old-server" in page
    client.post("/vms/restore/", {"disk": data.uuid, "key": uuid4()})
    data.refresh_from_db()
    assert data.type == DiskType.MACHINE_IMAGE_LIVE
    answer = client.post("/vms/restore/", {"disk": original.uuid, "key": uuid4()})
    assert Volume.objects.get(source=original).type == DiskType.MACHINE_IMAGE_LIVE
    assert str(Volume.objects.get(source=original).uuid) in answer.url


def test_two_files_of_the_guide_become_two_copies(client, alice):
    for _ in range(2):
        VolumeFactory(owner=alice, origin="uploaded", type=DiskType.MACHINE_IMAGE_ORIGIN)
    page = client.get("/vms/restore/").content.decode()
    forms = re.findall(
        r'name="disk" value="([^"]+)"><input type="hidden" name="key" value="([^"]+)"', page
    )
    for disk, key in forms:
        client.post("/vms/restore/", {"disk": disk, "key": key})
    assert Volume.objects.filter(source__isnull=False).count() == len(forms) == 2


def test_the_guide_leads_to_nobody_elses_disk(client, alice):
    other = VolumeFactory(origin="uploaded")
    answer = client.post("/vms/restore/", {"disk": other.uuid}, follow=True)
    assert "There is no such disk, or it is not yours." in answer.content.decode()
    assert client.get(f"/vms/restore/?disk={other.uuid}").status_code == 302


def test_lists_of_backups_ask_as_often_whatever_their_number(client, alice):
    counts = []
    for number in (1, 4):
        for _ in range(number):
            ready(alice, disks=2)
        for url in ("/vms/backups/", "/vms/restore/", Backup.objects.first().get_absolute_url()):
            with CaptureQueriesContext(connection) as queries:
                assert client.get(url).status_code == 200
            counts.append(len(queries))
    assert counts[:3] == counts[3:]

"""Batches, lists of machines, sizes and backups, as a program asks for them."""

from uuid import uuid4

import pytest
import yaml

from marketplace.tests.factories import EntryFactory
from portal.tests.test_api import Program
from registration.tests.factories import UserFactory
from vms.models import VM, Backup, Batch, InstanceType
from vms.states import VmState
from vms.tests.factories import VMFactory
from volumes.models import DiskType, Volume
from volumes.tests.factories import VolumeFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def alice():
    return UserFactory(username="alice", quota_machines=10, quota_vcpus=20, quota_images=5)


@pytest.fixture
def program(alice):
    return Program(alice)


@pytest.fixture
def entry():
    return EntryFactory(title="Demo")


def test_a_program_launches_many_of_one(program, alice, entry):
    said = {
        "machines": [{"name": "web", "image": entry.identifier}],
        "count": 3,
        "key": str(uuid4()),
    }
    first = program.post("/batches", said)
    assert first.status_code == 201
    assert [vm["name"] for vm in first.json()["machines"]] == ["web-1", "web-2", "web-3"]
    assert program.post("/batches", said).json()["uuid"] == first.json()["uuid"]
    assert VM.objects.count() == 3


def test_a_program_launches_what_can_be(program, entry):
    said = {
        "machines": [{"name": "a", "image": entry.identifier}, {"name": "b", "image": "nothing"}]
    }
    refused = program.post("/batches", said)
    assert (refused.status_code, refused.json()["code"]) == (409, "batch_rows")
    made = program.post("/batches", {**said, "all_or_nothing": False}).json()
    assert [(one["row"], one["name"]) for one in made["refused"]] == [(2, "b")]
    assert program.get("/batches").json()["total"] == 1
    assert program.get(f"/batches/{made['uuid']}").json()["asked"] == 2


def test_the_refusal_of_a_batch_says_how_many_fit(program, entry):
    said = {"machines": [{"name": "web", "image": entry.identifier}], "count": 20}
    answer = program.post("/batches", said)
    assert (answer.status_code, answer.json()["code"]) == (409, "quota_machines")
    assert "Only the first 10 fit." in answer.json()["detail"]


def test_a_batch_is_killed_at_once_and_never_somebody_elses(program, alice):
    batch = Batch.objects.create(owner=alice, uuid=uuid4(), name="web", asked=1)
    VMFactory(owner=alice, running=True, batch=batch)
    assert program.post(f"/batches/{batch.uuid}/kill", {}).json()["asked"] == 1
    assert VM.objects.get().state == VmState.EPILOG
    other = Batch.objects.create(owner=UserFactory(), uuid=uuid4(), name="web", asked=1)
    assert program.post(f"/batches/{other.uuid}/kill", {}).status_code == 404
    assert program.get(f"/batches/{other.uuid}").status_code == 404


def test_lists_leave_in_every_format(program, alice):
    vm = VMFactory(owner=alice, running=True, name="web")
    VMFactory(running=True)
    lines = program.get("/exports/vms?format=text").content.decode()
    assert lines == f"{vm.pk}, 127.0.0.1:20022, web\n"
    assert len(program.get("/exports/vms").json()) == 1
    inventory = yaml.safe_load(program.get("/exports/vms?format=ansible-yaml").content)
    assert list(inventory["all"]["hosts"]) == ["web"]
    for form in ("csv", "ansible", "ssh"):
        assert "web" in program.get(f"/exports/vms?format={form}").content.decode()
    assert program.get("/exports/vms?format=exe").status_code == 422


def test_sizes_of_ones_own(program, alice):
    InstanceType.objects.all().delete()
    InstanceType.objects.create(name="m1.small", vcpus=1, memory_mib=512)
    size = {"name": "tiny", "vcpus": 1, "memory_mib": 128}
    assert program.post("/sizes", size).json()["is_own"]
    assert program.post("/sizes", {**size, "memory_mib": 256}).json()["memory_mib"] == 256
    assert [one["name"] for one in program.get("/sizes").json()] == ["tiny", "m1.small"]
    assert program.post("/sizes", {**size, "name": "a b"}).json()["code"] == "size_invalid"
    assert program.post("/sizes", {**size, "vcpus": 64}).json()["code"] == "size_over_quota"
    assert program.ask("DELETE", "/sizes/tiny").status_code == 204
    assert program.ask("DELETE", "/sizes/m1.small").status_code == 404


def test_backups_are_taken_copied_and_deleted(program, alice):
    vm = VMFactory(owner=alice, running=True)
    made = program.post(f"/vms/{vm.uuid}/backups", {"name": "nightly"}).json()
    assert (made["machine"]["name"], made["was_running"]) == (vm.name, True)
    assert made["root_disk"]["state"] == "saving"
    refused = program.post(f"/backups/{made['uuid']}/copy", {})
    assert refused.json()["code"] == "backup_gone"
    Volume.objects.update(state="available", type=DiskType.MACHINE_IMAGE_ORIGIN)
    copied = program.post(f"/backups/{made['uuid']}/copy", {}).json()
    assert Volume.objects.get(uuid=copied["boot_disk"]).type == DiskType.MACHINE_IMAGE_LIVE
    assert len(program.get("/backups").json()) == 1


def test_backups_of_others_are_not_there(program):
    owner = UserFactory()
    vm = VMFactory(owner=owner, running=True)
    other = Backup.objects.create(
        uuid=uuid4(), owner=owner, vm=vm, name="x", root=VolumeFactory(owner=owner)
    )
    for answer in (
        program.get(f"/backups/{other.uuid}"),
        program.post(f"/backups/{other.uuid}/copy", {}),
        program.ask("DELETE", f"/backups/{other.uuid}"),
        program.post(f"/vms/{vm.uuid}/backups", {"name": "x"}),
    ):
        assert answer.status_code == 404

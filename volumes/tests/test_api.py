"""Disks, as a program meets them."""

from uuid import uuid4

import pytest

from core.models import Event
from portal.tests.test_api import Program
from registration.models import Scope
from registration.tests.factories import UserFactory
from volumes.models import DiskType, Volume
from volumes.states import VolumeState
from volumes.tests.factories import AttachmentFactory, ShareFactory, VolumeFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def alice():
    return UserFactory(username="alice", quota_disk_bytes=100 << 30)


@pytest.fixture
def program(alice):
    return Program(alice)


def test_a_disk_is_made_changed_deleted_and_taken_back(program, worker):
    made = program.post("/disks", {"size_gib": 2, "tag": "results"})
    assert made.status_code == 201
    disk = made.json()
    assert (disk["state"], disk["size_bytes"], disk["size_gib"], disk["owner"]) == (
        "creating", 2 << 30, 2.0, "alice",
    )  # fmt: skip
    worker.run()
    path = f"/disks/{disk['uuid']}"
    assert program.get(path).json()["state"] == "available"
    changed = program.ask("PATCH", path, {"tag": "better", "visibility": "public"}).json()
    assert (changed["tag"], changed["visibility"], changed["type"]) == (
        "better", "public", "DATA_IMAGE_RAW_READ_WRITE",
    )  # fmt: skip
    gone = program.ask("DELETE", path).json()
    assert (gone["state"], gone["may"]) == ("binned", ["purge", "recover"])
    assert gone["purge_at"]
    assert program.get("/disks").json()["total"] == 0
    assert [each["tag"] for each in program.get("/disks?tab=bin").json()["items"]] == ["better"]
    assert program.post(f"{path}/recover").json()["state"] == "available"


def test_the_same_key_twice_is_one_disk(program):
    body = {"size_gib": 1, "create_key": str(uuid4())}
    first, second = (program.post("/disks", body).json() for _ in range(2))
    assert first["uuid"] == second["uuid"]
    assert program.get("/disks").json()["total"] == 1


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({}, 422, "invalid"),
        ({"size_gib": 0}, 422, "invalid"),
        ({"size_gib": 1025}, 422, "invalid"),
        ({"size_gib": 1.5}, 422, "invalid"),
        ({"size_gib": 1, "visibility": "everybody"}, 422, "invalid"),
        ({"size_gib": 1, "tag": "x" * 41}, 409, "disk_tag"),
        ({"size_gib": 101}, 409, "quota_disk"),
    ],
)
def test_what_cannot_be_made_says_why(program, body, status, code):
    answer = program.post("/disks", body)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert not Volume.objects.exists()


def test_a_disk_in_use_is_not_deleted_and_names_its_machines(program, alice):
    attachment = AttachmentFactory(volume__owner=alice, vm__name="web")
    path = f"/disks/{attachment.volume.uuid}"
    shown = program.get(path).json()
    assert (shown["users"], shown["machines"]) == (1, [str(attachment.vm.uuid)])
    answer = program.ask("DELETE", path)
    assert (answer.status_code, answer.json()["code"]) == (409, "disk_in_use")
    assert "web" in answer.json()["detail"]


def test_others_machines_are_counted_and_not_told(program):
    attachment = AttachmentFactory(volume__public=True, read_only=True)
    shown = program.get(f"/disks/{attachment.volume.uuid}").json()
    assert (shown["users"], shown["machines"], shown["access"]) == (1, [], "read")


@pytest.mark.parametrize(
    ("method", "tail", "body"),
    [("GET", "", None), ("PATCH", "", {"tag": "x"}), ("DELETE", "", None),
     ("POST", "/recover", None), ("POST", "/cancel", None)],
)  # fmt: skip
def test_a_strangers_disk_does_not_exist_and_the_audit_hears_of_it(program, method, tail, body):
    volume = VolumeFactory()
    answer = program.ask(method, f"/disks/{volume.uuid}{tail}", body)
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert Event.objects.of(volume.uuid).get().outcome == "denied"
    assert program.ask(method, f"/disks/{uuid4()}{tail}", body).status_code == 404


@pytest.mark.parametrize("method", ["PATCH", "DELETE"])
def test_whom_a_disk_is_shared_with_does_not_change_it(program, alice, method):
    volume = VolumeFactory(public=True)
    ShareFactory(volume=volume, user=alice, access="write")
    answer = program.ask(method, f"/disks/{volume.uuid}", {"tag": "mine now"})
    assert (answer.status_code, answer.json()["code"]) == (409, "not_yours")
    assert Volume.objects.get().tag == volume.tag


def test_a_token_that_reads_makes_nothing(alice):
    reader = Program(alice, scope=Scope.READ)
    assert reader.get("/disks").status_code == 200
    assert reader.post("/disks", {"size_gib": 1}).json()["code"] == "scope"


def test_the_list_searches_filters_sorts_and_pages(program, alice):
    for number in range(3):
        VolumeFactory(owner=alice, tag=f"disk {number}", size_gib=number + 1)
    VolumeFactory(owner=alice, tag="seen by all", public=True, size_gib=9)
    told = program.get("/disks?sort=-size&page_size=2").json()
    assert [disk["size_gib"] for disk in told["items"]] == [9, 3]
    assert (told["page"], told["pages"], told["total"]) == (1, 2, 4)
    assert program.get("/disks?visibility=public").json()["total"] == 1
    assert program.get("/disks?q=2+GiB").json()["items"][0]["tag"] == "disk 1"
    assert program.get("/disks?page=9").status_code == 404
    assert program.get("/disks?sort=colour").status_code == 422
    assert program.get("/disks?state=lost").status_code == 422
    assert program.get("/disks?q=%00x").status_code == 400
    assert program.get("/disks?tab=all").status_code == 404


def test_checksums_are_told_and_the_identifier_only_while_it_is_true(program, alice):
    volume = VolumeFactory(
        owner=alice, uploaded=True, content=b"hello", identifier="B" * 27,
        type=DiskType.DATA_IMAGE_RAW_READONLY,
    )  # fmt: skip
    shown = program.get(f"/disks/{volume.uuid}").json()
    assert (shown["sha256"], shown["identifier"]) == (volume.sha256, "B" * 27)
    Volume.objects.update(written_at=volume.created_at)
    shown = program.get(f"/disks/{volume.uuid}").json()
    assert shown["identifier"] == ""
    assert shown["written_at"]


def test_an_arriving_disk_is_cancelled(program, alice):
    volume = VolumeFactory(owner=alice, state=VolumeState.UPLOADING)
    assert program.post(f"/disks/{volume.uuid}/cancel").json()["state"] == "clearing"
    assert program.post(f"/disks/{volume.uuid}/cancel").json()["code"] == "disk_state"

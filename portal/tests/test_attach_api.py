"""Disks of machines, as a program meets them."""

import pytest

from core.models import Event
from portal.tests.test_api import Program, says
from registration.tests.factories import UserFactory
from vms.models import CloudStatus
from vms.tests.factories import VMFactory
from volumes.models import Attachment
from volumes.states import AttachmentState
from volumes.tests.factories import AttachmentFactory, VolumeFactory

pytestmark = pytest.mark.django_db

A = AttachmentState


@pytest.fixture
def alice():
    return UserFactory(username="alice")


@pytest.fixture
def vm(alice):
    return VMFactory(owner=alice, name="box", running=True)


@pytest.fixture
def volume(alice):
    return VolumeFactory(owner=alice, tag="My results!")


def test_programs_attach_follow_and_detach(alice, vm, volume):
    program = Program(alice)
    answer = program.post(f"/vms/{vm.uuid}/disks", {"disk": volume.token, "read_only": True})
    assert answer.status_code == 202
    row = answer.json()
    assert (row["state"], row["read_only"]) == ("attaching", True)
    assert (row["disk"]["tag"], row["machine"]["name"]) == ("My results!", "box")
    assert [one["uuid"] for one in program.get(f"/vms/{vm.uuid}/disks").json()] == [row["uuid"]]
    assert program.get(f"/attachments/{row['uuid']}").json()["state"] == "attaching"
    Attachment.objects.update(state=A.ATTACHED)
    answer = program.post(f"/attachments/{row['uuid']}/detach")
    assert (answer.status_code, answer.json()["state"]) == (202, "detaching")
    program.post(f"/attachments/{row['uuid']}/detach", {"force": True})
    assert Attachment.objects.get().is_forced


def test_programs_are_refused_as_people_are(alice, vm, volume):
    program = Program(alice)
    CloudStatus.objects.create(cloud="local", lacks={"attach_volume": "It cannot."})
    says(program.post(f"/vms/{vm.uuid}/disks", {"disk": volume.token}), 409, "no_hot_plug")
    says(program.post(f"/vms/{vm.uuid}/disks", {"disk": VolumeFactory().token}), 404, "not_found")
    says(program.post(f"/attachments/{AttachmentFactory().uuid}/detach"), 404, "not_found")


def test_a_machine_of_somebody_else_is_not_named_to_programs(alice):
    row = AttachmentFactory(volume__owner=alice, vm=VMFactory(name="secret", running=True))
    answer = Program(alice).get(f"/attachments/{row.uuid}")
    assert answer.json()["machine"] is None
    assert "secret" not in answer.content.decode()


def test_several_are_detached_at_once_and_each_that_stays_says_why(alice, vm):
    first, second, root = AttachmentFactory.create_batch(3, volume__owner=alice, vm=vm)
    Attachment.objects.filter(pk=root.pk).update(is_root=True)
    others = AttachmentFactory()
    keys = [str(row.uuid) for row in (first, second, root, others, first)]
    answer = Program(alice).post("/attachments/detach", {"attachments": keys})
    assert answer.status_code == 202
    told = answer.json()
    assert [(row["uuid"], row["state"]) for row in told["detaching"]] == [
        (str(row.uuid), "detaching") for row in (first, second)
    ]
    assert [row["attachment"] for row in told["refused"]] == [str(root.uuid), str(others.uuid)]
    assert told["refused"][1]["code"] == "not_found"
    assert all(row["detail"].endswith(".") for row in told["refused"])
    assert Event.objects.of(others.uuid).get().outcome == "denied"


def test_none_and_far_too_many_are_no_list(alice):
    program = Program(alice)
    for keys in ([], ["6f1f6f3e-3d39-4f0b-9a55-0b9e0b5f2c11"] * 101, ["nonsense"]):
        says(program.post("/attachments/detach", {"attachments": keys}), 422, "invalid")

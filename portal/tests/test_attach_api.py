"""Disks of machines, as a program meets them."""

import pytest

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

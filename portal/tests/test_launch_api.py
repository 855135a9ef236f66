"""Launching machines, as a program does it."""

from uuid import uuid4

import pytest

from core.models import Event
from marketplace.models import Entry, PolicyLine
from marketplace.tests.factories import EntryFactory
from portal.tests.test_api import Program, says
from registration.tests.factories import SshKeyFactory, UserFactory
from vms.models import VM
from volumes.tests.factories import VolumeFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def alice():
    return UserFactory(username="alice")


@pytest.fixture
def program(alice):
    return Program(alice)


@pytest.fixture
def entry():
    return EntryFactory(title="Demo")


def test_an_image_is_enough(program, alice, entry):
    key = SshKeyFactory(owner=alice, is_default=True)
    answer = program.post("/vms", {"name": "web", "image": entry.identifier})
    assert answer.status_code == 201
    row = answer.json()
    assert (row["state"], row["image"]["identifier"]) == ("pending", entry.identifier)
    vm = VM.objects.get(uuid=row["uuid"])
    assert (vm.owner, vm.entry, vm.type_name) == (alice, entry, "m1.small")
    assert vm.ssh_keys == key.public_key
    assert Event.objects.of(vm.uuid).first().door == "api"


def test_everything_can_be_said(program, alice, entry):
    disk = VolumeFactory(owner=alice)
    said = {
        "name": "web", "image": entry.permalink, "type": "t1.micro", "vcpus": 2,
        "memory_mib": 256, "swap_mib": 0, "cpu_share": 0.5, "volatile_gib": [1, 2],
        "disks": [{"disk": disk.token, "read_only": True}], "disk_bus": "virtio",
        "ssh_keys": [], "user_data": "#!/bin/sh\ntrue\n",
    }  # fmt: skip
    assert program.post("/vms", said).status_code == 201
    vm = VM.objects.get()
    assert (vm.vcpus, vm.memory_mib, vm.swap_mib, vm.cpu_share) == (2, 256, 0, 0.5)
    assert (vm.type_name, vm.volatile_gib, vm.ssh_keys) == ("t1.micro", [1, 2], "")
    assert vm.user_data == "#!/bin/sh\ntrue\n"
    assert vm.attachments.get().read_only


def test_the_same_launch_twice_is_one_machine(program, entry):
    said = {"name": "web", "image": entry.identifier, "launch_key": str(uuid4())}
    first, again = program.post("/vms", said), program.post("/vms", said)
    assert first.json()["uuid"] == again.json()["uuid"]
    assert VM.objects.count() == 1


def test_one_entry_of_several_is_launched_if_it_is_named(program, entry):
    other = EntryFactory(identifier=entry.identifier, endorser_email="bob@example.org")
    program.post("/vms", {"name": "a", "image": entry.identifier})
    program.post("/vms", {"name": "b", "image": entry.identifier, "entry": str(entry.uuid)})
    assert {vm.name: vm.entry for vm in VM.objects.all()} == {"a": other, "b": entry}


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"image": "nonsense"}, "image_unknown"),
        ({}, "image_unknown"),
        ({"image": "MMZu9WvwKIro-rtBQfDk4PsKO7_", "boot_disk": str(uuid4())}, "image_unknown"),
        ({"image": "https://example.net/metadata/x"}, "image_elsewhere"),
        ({"type": "m9.huge"}, "size_unknown"),
        ({"name": "two\nlines"}, "name_invalid"),
        ({"user_data": "hello"}, "user_data_invalid"),
        ({"disk_bus": "ide"}, "disk_bus_unknown"),
        ({"ssh_keys": ["not a key"]}, "key_broken"),
        ({"volatile_gib": [0]}, "volatile_size"),
        ({"memory_mib": 1 << 19}, "quota_memory"),
    ],
)
def test_each_refusal_has_its_code(program, entry, fields, code):
    image = {} if code == "image_unknown" else {"image": entry.identifier}
    says(program.post("/vms", {"name": "web", **image, **fields}), 409, code)
    assert not VM.objects.exists()


def test_what_the_page_refuses_is_refused_here_with_the_same_words(program, entry):
    PolicyLine.objects.create(subject="image", colour="black", value=entry.identifier)
    body = says(
        program.post("/vms", {"name": "web", "image": entry.identifier}), 409, "image_policy"
    )
    assert body["detail"] == (
        f"Not allowed here: the image {entry.identifier} is on this site's black list of images."
    )
    Entry.objects.filter(pk=entry.pk).update(deprecated="It has a hole")
    says(program.post("/vms", {"name": "web", "image": entry.identifier}), 409, "image_deprecated")


@pytest.mark.parametrize(
    ("fields", "where"),
    [({"name": ""}, "name"), ({"vcpus": 0}, "vcpus"), ({"entry": "x"}, "entry"),
     ({"default_user": "Root!"}, "default_user")],
)  # fmt: skip
def test_values_of_the_wrong_form_are_named(program, entry, fields, where):
    answer = program.post("/vms", {"name": "web", "image": entry.identifier, **fields})
    assert list(says(answer, 422, "invalid")["fields"]) == [where]


def test_what_is_others_does_not_exist(program, entry):
    private = EntryFactory(visibility="private", owner=UserFactory())
    disk = VolumeFactory()
    for said in (
        {"image": private.identifier},
        {"image": private.identifier, "entry": str(private.uuid)},
        {"boot_disk": disk.token},
        {"image": entry.identifier, "disks": [{"disk": disk.token}]},
    ):
        says(program.post("/vms", {"name": "web", **said}), 404, "not_found")
    assert Event.objects.filter(outcome="denied").count() >= 3

"""Programs that make images of machines."""

import pytest

from marketplace.tests.factories import EntryFactory
from portal.tests.test_api import Program, says
from registration.tests.factories import UserFactory
from vms.tests.factories import VMFactory

pytestmark = pytest.mark.django_db
SAID = {"title": "Debian with R", "comment": "Has R.", "author": "Ada", "email": "a@example.org",
        "version": "2.0"}  # fmt: skip


@pytest.fixture
def ada():
    return UserFactory(username="ada", email="ada@example.org")


@pytest.fixture
def vm(ada):
    return VMFactory(owner=ada, entry=EntryFactory(), running=True)


def test_a_program_plans_saves_and_sees(vm, ada):
    program = Program(ada)
    planned = program.ask("PUT", f"/vms/{vm.uuid}/saving", SAID)
    assert planned.status_code == 200, planned.content
    assert planned.json()["saving"]["state"] == "planned"
    assert "save" in planned.json()["may"]
    assert program.ask("DELETE", f"/vms/{vm.uuid}/saving").json()["saving"]["state"] == "dropped"
    says(program.post(f"/vms/{vm.uuid}/save"), 409, "saving_none")
    saved = program.post(f"/vms/{vm.uuid}/save", {"image": SAID, "power_off": True})
    assert saved.status_code == 202, saved.content
    assert saved.json()["state"] == "shutdown"
    assert saved.json()["saving"]["title"] == "Debian with R"
    (listed,) = program.get("/vms").json()["items"]
    assert listed["saving"]["version"] == "2.0"


def test_a_program_launches_what_becomes_an_image(ada):
    entry = EntryFactory()
    wanted = {"name": "m", "image": entry.identifier, "save_as": SAID, "ssh_keys": []}
    program = Program(ada)
    answer = program.post("/vms", wanted)
    assert answer.status_code == 201, answer.content
    assert answer.json()["saving"]["state"] == "planned"
    lacking = {**wanted, "save_as": {**SAID, "comment": " "}}
    says(program.post("/vms", lacking), 409, "image_comment")

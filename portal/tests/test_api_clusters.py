"""Programs that make networks and clusters."""

import uuid

import pytest

from marketplace.tests.factories import EntryFactory, ImageFileFactory
from portal.tests.test_api import Program, says
from registration.tests.factories import UserFactory
from vms.models import InstanceType, Network
from vms.states import NetworkState
from vms.tests.factories import VMFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def ada(cloud):
    InstanceType.objects.get_or_create(
        name="m1.small", defaults={"vcpus": 1, "memory_mib": 512, "is_default": True}
    )
    return UserFactory(username="ada", quota_machines=9, quota_vcpus=9, quota_memory_mib=9999)


@pytest.fixture
def entry(cloud):
    entry = EntryFactory()
    cloud.put_image(entry.identifier)
    ImageFileFactory(entry=entry, ready=True)
    return entry


def test_a_program_makes_a_network_and_puts_machines_on_it(ada, entry):
    program = Program(ada)
    made = program.post("/networks", {"name": "lab"})
    assert made.status_code == 201, made.content
    network = made.json()
    assert (network["state"], network["cards"]) == ("creating", [])
    launched = program.post(
        "/vms", {"name": "web", "image": entry.identifier, "networks": [network["uuid"]]}
    )
    assert launched.status_code == 201, launched.content
    (card,) = program.get(f"/networks/{network['uuid']}").json()["cards"]
    assert (card["state"], card["machine"]["name"]) == ("planned", "web")
    says(program.ask("DELETE", f"/networks/{network['uuid']}"), 409, "network_busy")
    assert [one["name"] for one in program.get("/networks").json()] == ["lab"]
    stranger = Program(UserFactory())
    assert stranger.get(f"/networks/{network['uuid']}").status_code == 404
    assert stranger.ask("DELETE", f"/networks/{network['uuid']}").status_code == 404


def test_a_program_gives_a_running_machine_a_card_and_takes_it(ada):
    program = Program(ada)
    network = program.post("/networks", {"name": "lab"}).json()
    Network.objects.update(state=NetworkState.READY)
    vm = VMFactory(owner=ada, running=True)
    card = program.post(f"/vms/{vm.uuid}/nics", {"network": network["uuid"]})
    assert card.status_code == 202, card.content
    assert card.json()["state"] == "attaching"
    again = program.post(f"/vms/{vm.uuid}/nics", {"network": network["uuid"]})
    says(again, 409, "nic_twice")
    path = f"/nics/{card.json()['uuid']}"
    assert Program(UserFactory()).ask("DELETE", path).status_code == 404
    gone = program.ask("DELETE", path)
    assert (gone.status_code, gone.json()["state"]) == (202, "detaching")


def test_a_program_launches_and_kills_a_cluster(ada, entry):
    program = Program(ada)
    wanted = {
        "name": "lab", "image": entry.identifier, "workers": 2, "user": "mpi", "tolerate": True,
        "packages": ["gcc"], "create_key": str(uuid.uuid4()),
    }  # fmt: skip
    made = program.post("/clusters", wanted)
    assert made.status_code == 201, made.content
    assert program.post("/clusters", wanted).json()["uuid"] == made.json()["uuid"]
    path = f"/clusters/{made.json()['uuid']}"
    seen = program.get(path).json()
    assert [node["name"] for node in seen["nodes"]] == ["node1", "node2", "node3"]
    assert seen["nodes"][0]["address"].endswith(".2")
    assert "PRIVATE" not in str(seen)
    assert program.get("/clusters").json()["total"] == 1
    assert program.get(f"{path}/master.sh").status_code == 404
    bad = program.post("/clusters", {**wanted, "create_key": None, "user": "root"})
    says(bad, 409, "cluster_wish")
    assert Program(UserFactory()).ask("DELETE", path).status_code == 404
    killed = program.ask("DELETE", path)
    assert (killed.status_code, killed.json()["state"]) == (202, "ending")

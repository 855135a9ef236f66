"""Images in the making, as a program meets them."""

import pytest

from cloud.fake import FakeCloud
from marketplace.tests.factories import EntryFactory, ImageFileFactory
from portal.tests.test_api import Program
from registration.tests.factories import UserFactory
from vms.models import VM, Build, InstanceType
from vms.states import VmState

pytestmark = pytest.mark.django_db


@pytest.fixture
def program(cloud: FakeCloud):
    InstanceType.objects.get_or_create(
        name="t1.micro", defaults={"vcpus": 1, "memory_mib": 512, "is_default": True}
    )
    return Program(UserFactory(username="ada"))


@pytest.fixture
def image(cloud: FakeCloud):
    entry = EntryFactory(os="Debian", os_version="12", version="1.0")
    cloud.put_image(entry.identifier)
    ImageFileFactory(entry=entry, ready=True)
    return entry.identifier


def wanted(image, **more):
    return {"image": image, "title": "Web", "comment": "With a server.", "type": "t1.micro", **more}


def test_a_build_is_asked_for_looked_at_and_called_off(program, image):
    made = program.post("/builds", wanted(
        image, packages=["nginx"],
        scripts=[{"name": "check", "text": "true\n", "arguments": ["a b"]}],
    ))  # fmt: skip
    assert made.status_code == 201, made.content
    build = made.json()
    assert (build["state"], build["title"], build["version"], build["image"], build["made"]) == (
        "starting", "Web", "1.1", image, "",
    )  # fmt: skip
    assert [step["name"] for step in build["steps"]] == [
        "Package index", "Packages", "Script check", "Clean up",
    ]  # fmt: skip
    path = f"/builds/{build['uuid']}"
    assert program.get(path).json() == build
    assert program.get("/builds").json()["items"] == [build]
    assert program.get("/builds?state=done").json()["total"] == 0
    log = program.get(f"{path}/log")
    assert (log.status_code, log["Content-Type"]) == (200, "text/plain; charset=utf-8")
    assert program.post(f"{path}/save", {}).json()["code"] == "build_state"
    assert program.post(f"{path}/cancel", {}).json()["state"] == "cancelled"
    assert VM.objects.get().state == VmState.EPILOG


def test_the_same_key_twice_is_one_build(program, image):
    key = "6f9619ff-8b86-4d01-b42d-00cf4fc964ff"
    for _ in range(2):
        assert program.post("/builds", wanted(image, create_key=key)).status_code == 201
    assert Build.objects.count() == 1


def test_what_is_wrong_is_told_with_its_field(program, image):
    answer = program.post("/builds", wanted(image, packages=["$(id)"])).json()
    assert (answer["code"], list(answer["fields"])) == ("recipe_invalid", ["packages"])
    answer = program.post("/builds", wanted(image, excludes=["/etc"])).json()
    assert (answer["code"], list(answer["fields"])) == ("recipe_invalid", ["excludes"])
    assert not Build.objects.exists()


def test_builds_of_others_are_not_there(program, image):
    build = program.post("/builds", wanted(image)).json()["uuid"]
    stranger = Program(UserFactory())
    for path in (f"/builds/{build}", f"/builds/{build}/log"):
        assert stranger.get(path).status_code == 404
    for path in (f"/builds/{build}/cancel", f"/builds/{build}/save"):
        assert stranger.post(path, {}).status_code == 404
    assert stranger.get("/builds").json()["total"] == 0

"""Programs open a machine image to everybody by the rules of the pages."""

import pytest

from marketplace.tests.test_open_disks import LIVE, PUBLIC, SECRET, reported
from portal.tests.test_api import Program
from registration.tests.factories import UserFactory
from volumes.tests.factories import VolumeFactory

pytestmark = pytest.mark.django_db


def test_a_program_says_that_it_knows():
    disk = VolumeFactory(type=LIVE)
    program = Program(disk.owner)
    path = f"/disks/{disk.uuid}"
    refused = program.ask("PATCH", path, PUBLIC)
    assert (refused.status_code, refused.json()["code"]) == (409, "hygiene_unread")
    reported(disk, findings=SECRET)
    refused = program.ask("PATCH", path, PUBLIC).json()
    assert refused["code"] == "hygiene_found"
    assert "knows" in refused["fields"]
    opened = program.ask("PATCH", path, PUBLIC | {"knows": True})
    assert opened.json()["visibility"] == "public"


def test_none_has_one_fetched_for_everybody():
    body = {"url": "https://example.org/a.img", "type": LIVE} | PUBLIC
    refused = Program(UserFactory()).post("/disks/fetch", body)
    assert refused.json()["code"] == "public_image"

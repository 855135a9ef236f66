"""What is found in disks, and wishes to publish, as a program meets them."""

import pytest

from marketplace import actions
from marketplace.models import Inspection, Publication
from marketplace.states import InspectionState, PublicationState, Visibility
from marketplace.tests.factories import EntryFactory
from portal.tests.test_api import Program
from registration.tests.factories import UserFactory
from volumes.models import Access
from volumes.tests.factories import ShareFactory, VolumeFactory

pytestmark = pytest.mark.django_db

FOUND = {"kind": "private_key", "part": 1, "path": "/root/.ssh/id_rsa", "size_bytes": 411,
         "is_removable": True}  # fmt: skip


@pytest.fixture
def alice():
    return UserFactory(username="alice")


@pytest.fixture
def program(alice):
    return Program(alice)


def report_of(disk):
    report = {"parts": [], "findings": [FOUND], "is_read": True, "is_cut": False,
              "unread": [{"part": 2, "why": "It is xfs."}]}  # fmt: skip
    return Inspection.objects.create(volume=disk, state=InspectionState.READY, report=report)


def test_a_report_says_what_was_found(program, alice):
    disk = VolumeFactory(owner=alice)
    path = f"/disks/{disk.uuid}/report"
    assert program.get(path).status_code == 404
    found = report_of(disk)
    said = program.get(path).json()
    assert (said["uuid"], said["disk"], said["state"]) == (
        str(found.uuid), str(disk.uuid), "ready",
    )  # fmt: skip
    assert said["findings"] == [{**FOUND, "weight": "secret"}]
    assert said["unread"] == [{"part": 2, "why": "It is xfs."}]
    assert (said["is_whole"], said["is_old"]) == (True, False)
    assert said["url"].endswith(found.get_absolute_url())


def test_a_program_has_a_disk_looked_into(program, alice):
    disk = VolumeFactory(owner=alice)
    path = f"/disks/{disk.uuid}/report"
    first = program.post(path, {})
    assert (first.status_code, first.json()["state"]) == (202, "wanted")
    assert program.post(path).json()["uuid"] == first.json()["uuid"]
    Inspection.objects.update(state=InspectionState.READY, next_tick_at=None)
    assert program.post(path, {}).json()["state"] == "ready"
    assert program.post(path, {"again": True}).json()["state"] == "wanted"
    assert Inspection.objects.count() == 1


def test_a_report_is_the_owners_alone(alice):
    disk = VolumeFactory(owner=alice)
    report_of(disk)
    bob = UserFactory()
    path, program = f"/disks/{disk.uuid}/report", Program(bob)
    assert program.get(path).status_code == program.post(path, {}).status_code == 404
    ShareFactory(volume=disk, user=bob, access=Access.READ)
    assert program.get(path).status_code == 404
    refused = program.post(path, {})
    assert (refused.status_code, refused.json()["code"]) == (409, "not_yours")
    assert Program(UserFactory(admin=True)).get(path).status_code == 200


@pytest.fixture
def entry(alice, settings):
    settings.PORTAL_PUBLISH_APPROVAL = True
    return EntryFactory(owner=alice, visibility=Visibility.PRIVATE)


def test_a_program_asks_that_everybody_may_read_an_entry(program, entry):
    asked = program.post("/publications", {"entry": str(entry.uuid), "message": "For the course."})
    assert (asked.status_code, asked.json()["state"]) == (201, "asked")
    again = program.post("/publications", {"entry": str(entry.uuid)})
    assert again.json()["uuid"] == asked.json()["uuid"]
    wish = Publication.objects.get()
    actions.reject_publication(wish, by=UserFactory(admin=True), reason="Its keys are in it.")
    (said,) = program.get("/publications").json()
    assert (said["entry"], said["identifier"]) == (str(entry.uuid), entry.identifier)
    assert (said["state"], said["reason"], said["message"]) == (
        "rejected", "Its keys are in it.", "For the course.",
    )  # fmt: skip


def test_where_nobody_is_asked_a_program_is_told_so(program, entry, settings):
    settings.PORTAL_PUBLISH_APPROVAL = False
    refused = program.post("/publications", {"entry": str(entry.uuid)})
    assert (refused.status_code, refused.json()["code"]) == (409, "not_asked")


def test_nobody_asks_for_the_entry_of_another_or_sees_their_wishes(entry, alice):
    other = Program(UserFactory(admin=True))
    assert other.post("/publications", {"entry": str(entry.uuid)}).status_code == 404
    Publication.objects.create(entry=entry, owner=alice, state=PublicationState.ASKED)
    assert other.get("/publications").json() == []

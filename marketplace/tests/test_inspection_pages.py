"""The report of a disk on its page, beside the disk, and the cleaned copy that comes of it."""

import html
import re
from uuid import uuid4

import pytest
from django.test import Client
from django.urls import reverse

from marketplace import actions
from marketplace.models import Inspection
from marketplace.states import InspectionState
from registration.tests.factories import UserFactory
from volumes.models import DiskType, Volume
from volumes.states import VolumeState
from volumes.tests.factories import AttachmentFactory, VolumeFactory

pytestmark = pytest.mark.django_db
FETCH = {"HTTP_X_REQUESTED_WITH": "fetch"}


def browser_of(user) -> Client:
    client = Client()
    client.force_login(user)
    return client


def finding(path: str, kind: str = "private_key", **more) -> dict:
    return {"kind": kind, "part": 1, "path": path, "size_bytes": 40, "is_removable": True} | more


@pytest.fixture
def disk(cloud) -> Volume:
    return VolumeFactory(type=DiskType.MACHINE_IMAGE_ORIGIN)


@pytest.fixture
def report(disk) -> Inspection:
    """As if it had been looked into."""
    found = actions.inspect(disk, by=disk.owner)
    Inspection.objects.update(
        state=InspectionState.READY, next_tick_at=None,
        report={
            "parts": [{"number": 1, "kind": "ext4", "size_bytes": 1 << 25}],
            "findings": [finding("/root/.ssh/id_rsa"), finding("/etc/machine-id", "machine_id")],
            "unread": [], "is_cut": False, "is_read": True,
        },
    )  # fmt: skip
    return Inspection.objects.get(pk=found.pk)


def text(answer) -> str:
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", answer.content.decode())).split())


def test_a_report_is_its_owners_and_the_administrators(report, disk, client):
    url = report.get_absolute_url()
    assert client.get(url).status_code == 302
    assert browser_of(UserFactory()).get(url).status_code == 404
    assert browser_of(disk.owner).get(url).status_code == 200
    shown = browser_of(UserFactory(admin=True)).get(url)
    assert shown.status_code == 200
    assert b'name="found"' not in shown.content  # they read it, and remove nothing


def test_it_names_what_was_found_with_its_weight_in_words(report, disk):
    said = text(browser_of(disk.owner).get(report.get_absolute_url()))
    assert "2 traces of its maker" in said
    assert "Private key Secret" in said
    assert "Machine id Identity" in said
    assert "Partition 1: ext4" in said


def test_everything_that_can_be_removed_is_ticked(report, disk):
    page = browser_of(disk.owner).get(report.get_absolute_url()).content.decode()
    boxes = re.findall(r'<input[^>]*name="found"[^>]*>', page)
    assert len(boxes) == 2
    assert all(" checked" in box for box in boxes)


def test_what_cannot_be_removed_has_a_command_for_the_inside(report, disk):
    odd = """/home/ann/.ssh/id it's "mine" """.strip()
    Inspection.objects.update(report={"findings": [finding(odd, is_removable=False)]})
    answer = browser_of(disk.owner).get(report.get_absolute_url())
    assert answer.context["command"] == """sudo rm -rf -- '/home/ann/.ssh/id it'"'"'s "mine"'"""
    assert b'name="found"' not in answer.content


def test_what_is_on_a_boot_partition_is_said_to_be_there(report, disk):
    parts = [{"number": 2, "kind": "FAT", "size_bytes": 1 << 23}]
    seed = finding("/user-data", kind="cloud_state", part=2, is_removable=False)
    Inspection.objects.update(report={"findings": [seed], "parts": parts})
    answer = browser_of(disk.owner).get(report.get_absolute_url())
    assert answer.context["command"] == ""
    assert "1 is on a FAT partition" in text(answer)
    assert "remove there /user-data" in text(answer)


def test_while_a_machine_writes_to_it_the_page_says_why_not(report, disk):
    Volume.objects.update(state=VolumeState.IN_USE)
    AttachmentFactory(volume=disk, vm__owner=disk.owner, vm__name="worker")
    answer = browser_of(disk.owner).get(report.get_absolute_url())
    assert "worker may write to it meanwhile: detach it first" in text(answer)
    acts = re.findall(r'<button class="btn[^>]*>', answer.content.decode())
    assert sum(" disabled" in act for act in acts) == 2  # look again, and remove


def test_a_look_goes_on_with_a_bar(report, disk):
    Inspection.objects.update(
        state=InspectionState.READING, bytes_done=1 << 20, bytes_total=1 << 22
    )
    page = browser_of(disk.owner).get(report.get_absolute_url(), **FETCH).content.decode()
    assert "<html" not in page
    assert 'role="progressbar"' in page
    assert 'data-live-every="3"' in page


def test_the_page_of_a_disk_offers_the_look_and_then_its_report(disk):
    browser = browser_of(disk.owner)
    url = reverse("marketplace:inspect", args=[disk.uuid])
    assert url in browser.get(disk.get_absolute_url()).content.decode()
    answer = browser.post(url)
    found = Inspection.objects.get(volume=disk)
    assert answer.headers["Location"] == found.get_absolute_url()
    assert found.get_absolute_url() in browser.get(disk.get_absolute_url()).content.decode()
    short = browser.get(found.get_absolute_url() + "?in=disk", **FETCH).content.decode()
    assert 'id="report"' in short


def test_only_by_post_with_a_token_and_only_its_owner(disk, report):
    look = reverse("marketplace:inspect", args=[disk.uuid])
    clean = reverse("marketplace:clean", args=[report.uuid])
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(disk.owner)
    stranger = browser_of(UserFactory())
    for url in (look, clean):
        assert browser_of(disk.owner).get(url).status_code == 405
        assert strict.post(url).status_code == 403
        assert stranger.post(url).status_code == 404


def test_an_administrator_makes_no_copy_of_what_is_not_theirs(report):
    browser_of(UserFactory(admin=True)).post(
        reverse("marketplace:clean", args=[report.uuid]),
        {"create_key": uuid4(), "found": "1:/root/.ssh/id_rsa"},
    )
    assert Volume.objects.count() == 1


def test_cleaning_leads_to_the_report_of_the_copy(report, disk):
    browser = browser_of(disk.owner)
    answer = browser.post(
        reverse("marketplace:clean", args=[report.uuid]),
        {"create_key": uuid4(), "found": ["1:/root/.ssh/id_rsa"]},
    )
    made = Volume.objects.exclude(pk=disk.pk).get()
    assert made.clean_paths == [[1, "/root/.ssh/id_rsa"]]
    assert str(made) == f"{disk}, cleaned"
    assert answer.headers["Location"] == made.inspection.get_absolute_url()
    page = browser.get(answer.headers["Location"]).content.decode()
    assert "Making the disk" in page


def test_a_disk_without_traces_leads_to_an_image(report, disk):
    path = reverse("marketplace:build") + f"?disk={disk.uuid}"
    browser = browser_of(disk.owner)
    assert path not in browser.get(report.get_absolute_url()).content.decode()
    Inspection.objects.update(report=report.report | {"findings": []})
    assert path in browser.get(report.get_absolute_url()).content.decode()


@pytest.mark.parametrize(
    ("sent", "words"),
    [
        ({}, "Tick what is to be removed."),
        ({"found": ["1:/etc/passwd"]}, "/etc/passwd is not among what can be removed."),
        ({"found": ["x"]}, "This page is out of date: load it again."),
        ({"found": ["1:/etc/machine-id"], "create_key": "x"}, "This page is out of date"),
    ],
)
def test_what_is_refused_is_said_and_nothing_is_made(report, disk, sent, words):
    url = reverse("marketplace:clean", args=[report.uuid])
    answer = browser_of(disk.owner).post(url, {"create_key": uuid4()} | sent, follow=True)
    assert words in text(answer)
    assert Volume.objects.count() == 1


@pytest.mark.parametrize("page", ["/marketplace/build/", "/volumes/upload/"])
def test_pages_where_images_begin_have_the_rules_for_them(page, cloud):
    said = text(browser_of(UserFactory()).get(page))
    assert "Rules for an image built from scratch" in said
    assert "nothing of mine. The portal checks it." in said

"""The files that entries name are looked at, now and then."""

from datetime import timedelta

import pytest
import time_machine
from django.utils import timezone

from core.tests.webserver import CONTENT, Server, says
from marketplace.lifecycle import checks
from marketplace.models import LocationCheck
from marketplace.tasks import check_locations
from marketplace.tests.factories import EntryFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def server(settings):
    settings.PORTAL_FETCH_NETWORKS = ["127.0.0.0/8"]
    one = Server()
    settings.PORTAL_FETCH_PORTS = [one.http.server_port]
    one.answers["/there"] = says(200, CONTENT)
    one.answers["/gone"] = says(404)
    yield one
    one.close()


def test_what_is_there_is_known_with_its_size(server):
    EntryFactory(locations=[server.url("/there")])
    check_locations()
    found = LocationCheck.objects.get()
    assert (found.is_there, found.size_bytes, found.said) == (True, len(CONTENT), "")


def test_what_is_gone_says_why(server):
    EntryFactory(locations=[server.url("/gone")])
    checks.check_some()
    found = LocationCheck.objects.get()
    assert not found.is_there
    assert "404 (there is no such file)" in found.said


def test_what_is_inside_is_not_looked_at(settings):
    settings.PORTAL_FETCH_NETWORKS = []
    EntryFactory(locations=["http://127.0.0.1/disk", "http://169.254.169.254/latest/meta-data"])
    checks.check_some()
    assert {found.is_there for found in LocationCheck.objects.all()} == {False}
    assert all("private network" in found.said for found in LocationCheck.objects.all())


def test_only_web_addresses_of_valid_entries_are_looked_at(server, settings):
    EntryFactory(locations=["pdisk:example.org:1", "ftp://example.org/disk"])
    EntryFactory(locations=[server.url("/there")], expired=True)
    EntryFactory(locations=[server.url("/there")], deprecated="Old.")
    EntryFactory(locations=[server.url("/" + "x" * 500)])
    EntryFactory(locations=[f"{settings.PORTAL_URL}/marketplace/files/x.qcow2"])
    assert checks.check_some() == 0


def test_each_address_is_looked_at_once_in_a_while(server):
    for _ in range(3):
        EntryFactory(locations=[server.url("/there")])
    assert checks.check_some() == 1
    assert checks.check_some() == 0
    with time_machine.travel(timezone.now() + checks.AGAIN_AFTER + timedelta(minutes=1)):
        server.answers["/there"] = says(404)
        assert checks.check_some() == 1
    assert not LocationCheck.objects.get().is_there


def test_a_run_is_bounded_and_takes_the_longest_waiting_first(server):
    paths = [f"/{n}" for n in range(4)]
    for path in paths:
        server.answers[path] = says(200, b"x")
    EntryFactory(locations=[server.url(path) for path in paths])
    long_ago = timezone.now() - timedelta(days=3)
    for number, path in enumerate(paths[:3]):
        LocationCheck.objects.create(
            url=server.url(path), checked_at=long_ago - timedelta(days=number), is_there=True
        )
    assert checks.check_some(most=2) == 2
    assert [asked["path"] for asked in server.asked] == ["/3", "/2"]


def test_what_nobody_names_any_more_is_forgotten(server):
    old = timezone.now() - checks.KEEP - timedelta(days=1)
    LocationCheck.objects.create(url="http://gone.example.org/", checked_at=old, is_there=True)
    checks.check_some()
    assert not LocationCheck.objects.exists()


def test_what_was_just_published_is_looked_at_at_once_and_once(server):
    EntryFactory(locations=[server.url("/there"), server.url("/gone")])
    assert checks.check_new() == 2
    assert checks.check_new() == 0
    assert LocationCheck.objects.filter(is_there=True).count() == 1

"""Pages that belong to no app, or to all."""

import json
import logging

import pytest
from django.http import HttpResponse
from django.test import RequestFactory

from core.http import RequestIdMiddleware
from core.logs import JsonFormatter
from core.models import Event
from marketplace.tests.factories import EntryFactory
from registration.models import GIB
from registration.tests.factories import UserFactory
from vms.models import CloudStatus
from vms.states import VmState
from vms.tests.factories import VMFactory
from volumes.states import VolumeState
from volumes.tests.factories import VolumeFactory

pytestmark = pytest.mark.django_db

LINE = logging.makeLogRecord({"msg": "page.asked", "levelname": "INFO"})


@pytest.fixture
def alice(client):
    alice = UserFactory()
    client.force_login(alice)
    return alice


def page(client, path="/", **query):
    return client.get(path, query).content.decode()


def test_a_visitor_sees_what_this_is_and_what_can_be_launched(client):
    entry = EntryFactory(title="Demo Linux")
    text = page(client)
    assert "Demo Linux" in text
    assert f"/vms/launch/?image={entry.identifier}" in text


def test_a_person_sees_machines_quota_and_disks(client, alice):
    VMFactory(owner=alice, name="my simulation", running=True)
    VMFactory(name="somebody else's")
    VolumeFactory(owner=alice, state=VolumeState.IN_USE)
    VolumeFactory(owner=alice, size_bytes=GIB // 2)
    VolumeFactory(owner=alice, binned=True)
    VolumeFactory(public=True)
    text = page(client)
    assert "my simulation" in text
    assert "somebody else" not in text
    assert "2 disks, 1 of them in use." in text
    assert "<strong>2.5</strong> of 100 GiB" in text


def test_what_failed_or_halted_needs_attention(client, alice):
    VMFactory(owner=alice, name="broken", state=VmState.FAILED, reason="Its image is damaged.")
    assert "broken is Failed. Its image is damaged." in page(client)


def test_administrators_are_told_of_waiting_people_and_silent_clouds(client):
    client.force_login(UserFactory(admin=True))
    UserFactory(confirmed=True)
    CloudStatus.objects.create(cloud="local", trouble="The cloud does not answer.")
    text = page(client)
    assert "1 registration waits for an administrator." in text
    assert "Cloud local: The cloud does not answer." in text


@pytest.mark.parametrize("machines", [1, 8])
def test_the_home_page_costs_the_same_for_one_machine_and_for_many(
    client, alice, machines, django_assert_num_queries
):
    VMFactory.create_batch(machines, owner=alice, running=True)
    EntryFactory.create_batch(machines)
    # session, user, images, policy (2), copies, machines, quota (4), offers, attention, keys,
    # cloud, disks, architectures, the bell
    with django_assert_num_queries(18):
        page(client)


@pytest.mark.parametrize("path", ["/doctor/", "/audit/"])
def test_administrators_pages_do_not_exist_for_others(client, path):
    assert client.get(path).status_code == 302
    client.force_login(UserFactory())
    assert client.get(path).status_code == 404
    client.force_login(UserFactory(admin=True))
    assert client.get(path).status_code == 200


def test_help_explains_every_state_of_machines_and_of_disks(client):
    text = page(client, "/help/")
    assert all(state.label in text for state in (*VmState, *VolumeState))


def test_health_is_for_machines(client, redis_server):
    assert client.get("/healthz").json() == {"ok": True, "broken": []}


def test_every_answer_carries_a_reference_and_a_strict_policy(client):
    response = client.get("/")
    assert response["X-Request-ID"]
    policy = response["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy


@pytest.mark.parametrize(("given", "logged"), [("given-by-proxy", "given-by-proxy"), ("a\nb", "")])
def test_a_reference_is_ours_and_the_one_that_came_is_in_the_log(client, given, logged):
    answer = client.post(
        "/login/", {"login": "nobody", "password": "x"}, headers={"X-Request-ID": given}
    )
    ours = Event.objects.last().reference
    assert ours == answer["X-Request-ID"] != given
    middleware = RequestIdMiddleware(lambda request: HttpResponse(JsonFormatter().format(LINE)))
    line = json.loads(
        middleware(RequestFactory().get("/", headers={"X-Request-ID": given})).content
    )
    assert line.get("given", "") == logged
    assert line["reference"] != given


def test_a_page_that_does_not_exist_says_so(client):
    response = client.get("/nowhere/")
    assert response.status_code == 404
    assert "html" in response.content.decode()


@pytest.mark.parametrize("path", ["/vms/?q=%00", "/marketplace/?q=a%00b", "/vms/types/%00/"])
def test_nul_is_refused_at_the_door(client, alice, path):
    assert client.get(path).status_code == 400


def test_a_page_that_breaks_shows_its_reference(client, monkeypatch):
    client.raise_request_exception = False
    monkeypatch.setattr("portal.views.site.VM_MEANINGS", {})
    response = client.get("/help/")
    assert response.status_code == 500
    assert response["X-Request-ID"] in response.content.decode()

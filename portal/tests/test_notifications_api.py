"""Notifications, webhooks and leases as a program meets them."""

import json
from datetime import timedelta

import pytest
from django.db import transaction
from django.utils import timezone

from portal.tests.test_api import Program
from registration import actions
from registration.models import Webhook
from registration.tests.factories import UserFactory
from vms.tests.factories import VMFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def alice(db):
    return UserFactory(username="alice")


@pytest.fixture
def program(alice):
    return Program(alice)


def tell(user, kind="machine_ready"):
    with transaction.atomic():
        return actions.notify(user, kind, sentence="web-1 is ready.", about=user)


def test_notifications_are_listed_and_read(alice, program):
    one, two = tell(alice), tell(alice, "disk_imported")
    tell(UserFactory())
    found = program.get("/notifications").json()
    assert [item["uuid"] for item in found["items"]] == [str(two.uuid), str(one.uuid)]
    assert found["items"][0]["about"]["kind"] == "account"
    assert program.get("/notifications?kind=machine_ready").json()["total"] == 1
    assert program.post(f"/notifications/{one.uuid}/read").json()["read_at"]
    assert program.get("/notifications?unread=true").json()["total"] == 1
    assert program.post("/notifications/read").json() == {"read": 1}
    assert program.get("/notifications?page=9").status_code == 404


def test_webhooks_are_made_changed_tested_and_removed(alice, program):
    wanted = {"url": "https://hooks.example.org/a", "kinds": ["machine_ready"]}
    made = program.post("/webhooks", wanted)
    assert made.status_code == 201
    assert made.json()["secret"].startswith("whsec_")
    key = made.json()["uuid"]
    assert "secret" not in program.get(f"/webhooks/{key}").json()
    assert len(program.get("/webhooks").json()) == 1
    tell(alice)
    tested = program.post(f"/webhooks/{key}/test")
    assert tested.status_code == 202
    assert tested.json()["body"]["kind"] == "test"
    log = program.get(f"/webhooks/{key}/deliveries").json()
    assert [item["kind"] for item in log["items"]] == ["test", "machine_ready"]
    assert log["items"][1]["state"] == "waiting"
    refused = program.post(f"/deliveries/{log['items'][1]['uuid']}/again")
    assert (refused.status_code, refused.json()["code"]) == (409, "delivery_state")
    changed = program.ask("PUT", f"/webhooks/{key}", wanted | {"is_on": False})
    assert changed.json()["is_on"] is False
    bad = program.ask("PUT", f"/webhooks/{key}", wanted | {"url": "gopher://x"})
    assert bad.json()["code"] == "webhook_address"
    assert program.ask("DELETE", f"/webhooks/{key}").status_code == 204
    assert not Webhook.objects.exists()


def test_webhooks_of_others_are_not_there(program):
    hook, _ = actions.add_webhook(
        owner=UserFactory(), url="https://hooks.example.org/", kinds=["machine_ready"]
    )
    for path in (f"/webhooks/{hook.uuid}", f"/webhooks/{hook.uuid}/deliveries"):
        assert program.get(path).status_code == 404
    assert program.post(f"/webhooks/{hook.uuid}/test").status_code == 404


def test_leases_are_shown_set_and_extended(alice, program):
    vm = VMFactory(owner=alice, running=True)
    assert program.get(f"/vms/{vm.uuid}").json()["expires_at"] is None
    at = timezone.now().replace(microsecond=0) + timedelta(days=3)
    answer = program.ask("PUT", f"/vms/{vm.uuid}/lease", {"expires_at": at.isoformat()})
    assert answer.json()["expires_at"] == at.isoformat().replace("+00:00", "Z")
    assert "extend" in answer.json()["may"]
    assert program.post(f"/vms/{vm.uuid}/extend").status_code == 202
    past = {"expires_at": "2020-01-01T00:00:00"}
    assert program.ask("PUT", f"/vms/{vm.uuid}/lease", past).json()["code"] == "lease_past"
    answer = program.ask("PUT", f"/vms/{vm.uuid}/lease", {"expires_at": None})
    assert json.loads(answer.text)["expires_at"] is None
    refused = program.post(f"/vms/{vm.uuid}/extend")
    assert (refused.status_code, refused.json()["code"]) == (409, "lease_none")

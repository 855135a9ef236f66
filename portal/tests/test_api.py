"""The HTTP API as a program meets it."""

import json
import re
from datetime import timedelta

import pytest
import time_machine
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from core.models import Event
from portal.api import operations
from registration import actions, token_text
from registration.actions.tokens import MOST_BAD_TOKENS
from registration.models import Policy, Scope, SshKey
from registration.states import AccountState
from registration.tests.factories import MembershipFactory, SshKeyFactory, UserFactory
from registration.tests.test_keys import GOOD, private_pem
from vms.models import VM
from vms.states import VmState
from vms.tests.factories import VMFactory

pytestmark = pytest.mark.django_db

V1 = "/api/v1"


@pytest.fixture
def alice(db):
    return UserFactory(username="alice", given_name="Alice", family_name="Liddell")


class Program:
    """Somebody's program, with a token and without cookies."""

    def __init__(self, owner, scope=Scope.WRITE, **options):
        self.token, self.text = actions.create_token(
            owner=owner, name="program", scope=scope, expires_at=timezone.now() + timedelta(days=9)
        )
        self.client = Client(enforce_csrf_checks=True, **options)

    def ask(self, method, path, body=None, **headers):
        headers = {"Authorization": f"Bearer {self.text}"} | headers
        return self.client.generic(
            method,
            V1 + path,
            "" if body is None else json.dumps(body),
            content_type="application/json",
            headers=headers,
        )

    def get(self, path, **headers):
        return self.ask("GET", path, **headers)

    def post(self, path, body=None):
        return self.ask("POST", path, body)


@pytest.fixture
def program(alice):
    return Program(alice)


def says(answer, status, code):
    """A refusal in the API's one form."""
    assert answer.status_code == status, answer.content
    body = answer.json()
    assert body["code"] == code
    assert body["detail"].endswith(".")
    assert body["reference"] == answer.headers["X-Request-ID"]
    return body


# Who asks ------------------------------------------------------------------------------


def test_a_token_says_who_asks_and_what_they_may_hold(program, alice):
    VMFactory(owner=alice, running=True)
    me = program.get("/me").json()
    assert (me["username"], me["token"]["scope"]) == ("alice", "write")
    machines = next(line for line in me["quota"] if line["name"] == "machines")
    assert (machines["used"], machines["limit"]) == (1, 4)


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        ({}, "token_missing"),
        ({"Authorization": "Basic YWxpY2U6aHVudGVyMg=="}, "token_missing"),
        ({"Authorization": "Bearer"}, "token_unknown"),
        ({"Authorization": "Bearer hunter2"}, "token_unknown"),
        ({"Authorization": f"Bearer {token_text.new_token()}"}, "token_unknown"),
    ],
)
def test_without_a_good_token_nothing_opens(client, sent, code):
    answer = client.get(f"{V1}/me", headers=sent)
    says(answer, 401, code)
    assert answer.headers["WWW-Authenticate"].startswith("Bearer realm=")


def test_a_session_opens_nothing_here_not_even_beside_a_token(alice, program):
    bob = UserFactory(username="bob")
    visitor = Client()
    visitor.force_login(bob)
    says(visitor.get(f"{V1}/me"), 401, "token_missing")
    program.client.force_login(bob)
    assert program.get("/me").json()["username"] == "alice"


def test_a_session_that_acts_for_somebody_leaves_no_trace_on_a_tokens_acts(program, alice):
    admin = UserFactory(admin=True)
    program.client.force_login(admin)
    session = program.client.session
    session["acting_as"] = [str(alice.uuid), (timezone.now() + timedelta(hours=1)).isoformat()]
    session.save()
    assert program.post("/keys", {"public_key": GOOD[0]}).status_code == 201
    event = Event.objects.get(verb="key_added")
    assert (event.by, event.on_behalf_of, event.door) == (alice, None, "api")


def test_expired_and_revoked_tokens_say_so(program, alice):
    with time_machine.travel(timezone.now() + timedelta(days=10)):
        says(program.get("/me"), 401, "token_expired")
    actions.revoke_token(program.token, by=alice)
    answer = program.get("/me")
    says(answer, 401, "token_revoked")
    assert 'error="invalid_token"' in answer.headers["WWW-Authenticate"]


def test_a_suspended_persons_programs_stop_at_once(program, alice):
    alice.move(AccountState.SUSPENDED)
    says(program.get("/me"), 401, "not_let_in")
    alice.move(AccountState.ACTIVE)
    assert program.get("/me").status_code == 200


def test_a_token_to_read_changes_nothing(alice):
    key = SshKeyFactory(owner=alice)
    vm = VMFactory(owner=alice, running=True)
    reader = Program(alice, Scope.READ)
    assert reader.get("/keys").status_code == 200
    for method, path in [
        ("POST", "/keys"), ("DELETE", f"/keys/{key.uuid}"), ("POST", f"/vms/{vm.uuid}/kill"),
    ]:  # fmt: skip
        answer = reader.ask(method, path, {"public_key": GOOD[0]})
        says(answer, 403, "scope")
        assert 'error="insufficient_scope"' in answer.headers["WWW-Authenticate"]
    assert SshKey.objects.get() == key
    assert VM.objects.get().state == VmState.RUNNING
    assert Event.objects.get(outcome="denied").owner == alice


def test_who_has_not_agreed_to_new_policies_is_told_so_and_not_led_elsewhere(program):
    Policy.objects.create(version=2, text="New.")
    says(program.get("/me"), 403, "policies_not_agreed")
    says(program.post("/keys", {"public_key": GOOD[0]}), 403, "policies_not_agreed")


def test_administrators_need_their_second_factor_here_too(settings):
    settings.PORTAL_ADMIN_SECOND_FACTOR = True
    says(Program(UserFactory(admin=True)).get("/me"), 403, "second_factor_missing")


def test_bad_tokens_are_braked_by_address(client, program):
    for _ in range(MOST_BAD_TOKENS):
        client.get(f"{V1}/me", headers={"Authorization": "Bearer slp_guess"})
    answer = client.get(f"{V1}/me", headers={"Authorization": "Bearer slp_guess"})
    says(answer, 429, "too_many_attempts")
    assert int(answer.headers["Retry-After"]) > 0
    assert program.get("/me").status_code == 200


def test_the_audit_says_that_it_was_the_api_and_from_where(program, alice):
    program.post("/keys", {"public_key": GOOD[0]})
    event = Event.objects.get(verb="key_added")
    assert (event.by, event.owner, event.door, event.address) == (alice, alice, "api", "127.0.0.1")
    program.token.refresh_from_db()
    assert program.token.last_used_from == "127.0.0.1"


# What is asked -------------------------------------------------------------------------


def test_keys_are_listed_added_and_removed(program, alice):
    assert program.get("/keys").json() == []
    added = program.post("/keys", {"public_key": GOOD[0], "name": "laptop"})
    assert added.status_code == 201
    key = added.json()
    assert (key["name"], key["kind"], key["is_default"]) == ("laptop", "Ed25519", True)
    assert program.get("/keys").json() == [key]
    assert program.ask("DELETE", f"/keys/{key['uuid']}").status_code == 204
    assert not SshKey.objects.exists()


def test_a_key_that_is_refused_says_why_as_a_page_does(program):
    private = says(program.post("/keys", {"public_key": private_pem()}), 409, "key_private")
    assert list(private["fields"]) == ["public_key"]
    program.post("/keys", {"public_key": GOOD[0]})
    says(program.post("/keys", {"public_key": GOOD[0]}), 409, "key_known")


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({}, ["public_key"]),
        ({"public_key": 7, "name": "x" * 81}, ["public_key", "name"]),
        ({"public_key": GOOD[0], "is_default": "perhaps"}, ["is_default"]),
    ],
)
def test_values_of_the_wrong_form_are_named(program, body, fields):
    refusal = says(program.post("/keys", body), 422, "invalid")
    assert list(refusal["fields"]) == fields
    assert not SshKey.objects.exists()


def test_a_body_that_is_no_json_is_refused(program):
    answer = program.client.generic(
        "POST", f"{V1}/keys", "{", content_type="application/json",
        headers={"Authorization": f"Bearer {program.text}"},
    )  # fmt: skip
    assert answer.status_code == 400
    assert answer.json()["code"] == "unreadable"


def test_half_a_character_is_no_text(program):
    answer = program.client.generic(
        "POST", f"{V1}/keys", r'{"public_key": "\ud800"}', content_type="application/json",
        headers={"Authorization": f"Bearer {program.text}"},
    )  # fmt: skip
    assert answer.status_code == 400
    assert "surrogates not allowed" in answer.json()["detail"]


def test_groups_are_ones_own(program, alice):
    mine = MembershipFactory(user=alice, role="owner").group
    MembershipFactory()
    assert program.get("/groups").json() == [
        {"uuid": str(mine.uuid), "name": mine.name, "description": "", "role": "owner", "size": 1}
    ]


def test_machines_come_in_pages_the_newest_first(program, alice):
    made = [VMFactory(owner=alice, running=True) for _ in range(5)]
    VMFactory(running=True)
    first = program.get("/vms?page_size=3").json()
    assert (first["page"], first["pages"], first["total"]) == (1, 2, 5)
    assert [vm["uuid"] for vm in first["items"]] == [str(vm.uuid) for vm in made[:1:-1]]
    assert len(program.get("/vms?page_size=3&page=2").json()["items"]) == 2
    says(program.get("/vms?page=9"), 404, "not_found")


@pytest.mark.parametrize(
    ("query", "field"), [("page=0", "page"), ("page_size=101", "page_size"), ("state=x", "state")]
)
def test_pages_that_cannot_be(program, query, field):
    assert list(says(program.get(f"/vms?{query}"), 422, "invalid")["fields"]) == [field]


def test_an_administrators_list_is_their_own_machines(alice):
    VMFactory(owner=alice, running=True)
    admin = Program(UserFactory(admin=True))
    assert admin.get("/vms").json()["total"] == 0
    assert admin.get(f"/vms/{VM.objects.get().uuid}").json()["owner"] == "alice"


def test_a_machine_is_told_with_what_it_may_be_asked(program, alice):
    vm = VMFactory(owner=alice, running=True)
    told = program.get(f"/vms/{vm.uuid}").json()
    assert (told["name"], told["state"], told["image"]["title"]) == (
        vm.name, "running", vm.entry.title,
    )  # fmt: skip
    assert told["may"] == ["kill", "reboot", "save", "shut_down"]


def test_a_strangers_machine_does_not_exist_and_the_try_is_recorded(program, alice):
    vm = VMFactory(running=True)
    says(program.get(f"/vms/{vm.uuid}"), 404, "not_found")
    for verb in ("shut_down", "reboot", "start", "kill"):
        says(program.post(f"/vms/{vm.uuid}/{verb}"), 404, "not_found")
    denials = Event.objects.of(vm.uuid).filter(outcome="denied", by=alice, door="api")
    assert [event.verb for event in denials] == ["opened", "shut_down", "reboot", "start", "kill"]
    vm.refresh_from_db()
    assert vm.state == VmState.RUNNING


def test_a_machine_is_rebooted_and_killed_and_told_as_it_is_now(program, alice, cloud):
    vm = VMFactory(owner=alice, running=True)
    rebooted = program.post(f"/vms/{vm.uuid}/reboot")
    assert (rebooted.status_code, rebooted.json()["state"]) == (202, "boot")
    killed = program.post(f"/vms/{vm.uuid}/kill")
    assert (killed.status_code, killed.json()["state"]) == (202, "epilog")
    says(program.post(f"/vms/{vm.uuid}/reboot"), 409, "vm_state")


def test_the_list_costs_the_same_for_few_and_for_many(program, alice):
    counts = []
    for number in (2, 28):
        VMFactory.create_batch(number, owner=alice, running=True)
        with CaptureQueriesContext(connection) as queries:
            assert program.get("/vms?page_size=100").status_code == 200
        counts.append(len([q for q in queries if not q["sql"].startswith("UPDATE")]))
    assert counts[0] == counts[1]


# How it answers ------------------------------------------------------------------------


def test_an_address_that_leads_nowhere_says_so_in_json(program):
    says(program.get("/nothing"), 404, "not_found")
    says(program.get("/vms/not-a-uuid"), 404, "not_found")


def test_a_method_that_is_not_taken_names_those_that_are(program):
    answer = program.ask("PUT", "/keys")
    says(answer, 405, "method")
    assert answer.headers["Allow"] == "GET, HEAD, POST"


def test_a_look_without_the_body_works(program):
    answer = program.ask("HEAD", "/me")
    assert (answer.status_code, answer.content) == (200, b"")


def test_nothing_is_kept_by_caches_and_no_cookie_is_set(program):
    answer = program.get("/me")
    assert "no-store" in answer.headers["Cache-Control"]
    assert not answer.cookies


def test_a_fault_of_the_portal_is_told_in_json(program, alice, monkeypatch):
    def fall_over(user):
        raise RuntimeError("a secret of the portal")

    monkeypatch.setattr("vms.actions.quota_use", fall_over)
    program.client.raise_request_exception = False
    answer = program.get("/me")
    says(answer, 500, "internal")
    assert "secret" not in answer.text


def test_the_description_names_every_operation_and_the_guide_shows_them(client):
    schema = client.get(f"{V1}/openapi.json").json()
    assert schema["components"]["securitySchemes"]["Bearer"]["scheme"] == "bearer"
    assert schema["paths"]["/api/v1/vms"]["get"]["operationId"] == "list_machines"
    guide = client.get("/help/api/")
    assert guide.status_code == 200
    assert len(operations()) > 20
    for one in operations():
        assert one["path"] in schema["paths"]
        assert f"{one['method']} {one['path']}" in guide.text
    assert client.get(f"{V1}/").json()["openapi"].endswith("/api/v1/openapi.json")


def test_the_guide_says_what_to_send_and_what_it_means(client):
    taken = {(one["method"], one["path"]): one for one in operations()}
    sent = {field["name"]: field for field in taken["POST", "/api/v1/disks"]["body"]}
    assert sent["size_gib"] | {"text": ""} == {
        "name": "size_gib", "kind": "a whole number, 1 to 1024", "need": "needed", "default": "",
        "text": "",
    }  # fmt: skip
    assert (sent["visibility"]["kind"], sent["visibility"]["default"]) == (
        "one of private, public", "private",
    )  # fmt: skip
    attach = taken["POST", "/api/v1/vms/{vm}/disks"]["body"]
    assert [(field["name"], field["kind"], field["default"]) for field in attach] == [
        ("disk", "a UUID", ""), ("read_only", "true or false", "false"),
    ]  # fmt: skip
    for one in taken.values():
        for field in (*one["query"], *one["body"]):
            assert field["kind"], (one["path"], field)
            assert field["text"], (one["path"], field)
    page = client.get("/help/api/").text
    assert "Send, as JSON" in page
    assert "<code>size_gib</code>" in page
    assert "`" not in page[page.index("Operations</h2>") :]


def test_every_operation_wants_a_token_but_reading_the_marketplace():
    public = ("/api/v1/entries", "/api/v1/images/")
    for one in operations():
        if one["path"].startswith(public):
            assert one["method"] == "GET"
            continue
        path = one["path"].replace("{share}", "1")
        path = re.sub(r"\{\w+\}", "00000000-0000-4000-8000-000000000000", path)
        says(Client().generic(one["method"], path), 401, "token_missing")

"""The permission matrix: every line of the table of doors, tried as everybody."""

from functools import cache

import pytest
from asgiref.sync import async_to_sync
from asgiref.testing import ApplicationCommunicator
from django.conf import settings as site
from django.test import Client
from django.urls import reverse

from registration.models import Scope
from registration.tests import providers
from tests.doors import Door, doors
from tests.laws import matrix
from tests.laws.roles import World
from vms import console

pytestmark = [
    pytest.mark.django_db,
    # Of the OpenID provider's own library, in its thread.
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]

#: Answers to a method that is asked for everywhere, and changes nothing.
ALIKE = {"HEAD", "OPTIONS"}
#: Of routes that no path can be made of.
PATHS = {"admin:app_list": "/admin/vms/"}


@cache
def every_door() -> list[Door]:
    return [door for door in doors() if not door.name.startswith(matrix.ADMIN)]


@pytest.fixture(scope="session")
def provider():
    patch = pytest.MonkeyPatch()
    patch.setenv("AUTHLIB_INSECURE_TRANSPORT", "1")
    with providers.running() as running:
        yield running
    patch.undo()


@pytest.fixture
def portal(settings, redis_server, provider):
    """As a site that has everything: a provider of identities, and mails in files."""
    settings.SOCIALACCOUNT_PROVIDERS = {"openid_connect": {"APPS": [provider.as_app()]}}
    settings.EMAIL_BACKEND = "registration.filebased.EmailBackend"


def methods_of(door: Door, client: Client) -> frozenset[str]:
    return door.methods(lambda word, path: client.generic(word, path).headers.get("Allow", ""))


@pytest.mark.slow
def test_every_door_stands_in_the_table_with_its_methods(portal):
    client = World().clients()["administrator"].client
    there = {
        (door.name, method) for door in every_door() for method in methods_of(door, client) - ALIKE
    }
    listed = {line for line in matrix.every_line() if line[0] != matrix.CONSOLE}
    assert there - listed == set(), "Put these into a line of tests/laws/matrix.py."
    assert listed - there == set(), "These lines of tests/laws/matrix.py have no door any more."


@pytest.mark.slow
@pytest.mark.parametrize("role", matrix.ROLES)
def test_everybody_gets_what_the_table_says(role, portal):
    world = World()
    somebody = world.clients()[role]
    table = matrix.every_line()
    wrong = []
    for door in every_door():
        path, data = world.path(door), world.data(door)
        for method in ("GET", "POST", "DELETE", "PUT", "PATCH"):
            if audience := table.get((door.name, method)):
                got = somebody.gets(door, method, path, data)
                if got != audience.answers[role]:
                    wrong.append(f"{method} {door.name}: {got}, not {audience.answers[role]}")
    assert not wrong, f"As {role}:\n" + "\n".join(wrong)


@pytest.mark.slow
@pytest.mark.parametrize("role", ["visitor", "other", "administrator"])
def test_tables_are_read_by_administrators_and_written_by_nobody(role, portal):
    somebody = World().clients()[role]
    expected = matrix.ADMIN_ANSWERS[role]
    asked = 0
    for door in doors():
        if not door.name.startswith(matrix.ADMIN):
            continue
        path = PATHS.get(door.name) or door.path()
        got = somebody.gets(door, "GET", path, {})
        allowed = {"open", "nothing", "refused"} if role == "administrator" else {expected}
        assert got in allowed, (door.name, got)
        if role == "administrator":
            assert somebody.client.post(path).status_code in (403, 405), door.name
        asked += 1
    assert asked > 10


def test_a_token_that_may_read_writes_nothing(portal):
    world = World()
    _, text = world._token(world.alice, Scope.READ)
    reader = world.clients()["owner"]
    reader.token = text
    for door in every_door():
        for method in ("GET", "POST", "DELETE"):
            if audience := matrix.every_line().get((door.name, method)):
                if not audience.title.startswith("Programs") or "browsers" in audience.title:
                    continue  # tried with a session
                got = reader.gets(door, method, world.path(door), {})
                read = audience.answers["owner"]
                assert got == (read if method == "GET" else "refused"), (door.name, method)


#: Pages that ask again for a proof after a while; each with the method that does.
PROVED = {
    ("marketplace:new_key", "POST"), ("marketplace:end_key", "POST"),
    ("marketplace:end_site", "POST"),
    ("mfa_activate_totp", "GET"), ("mfa_activate_totp", "POST"), ("mfa_add_webauthn", "GET"),
    ("mfa_add_webauthn", "POST"), ("mfa_deactivate_totp", "POST"),
    ("mfa_download_recovery_codes", "GET"), ("mfa_generate_recovery_codes", "POST"),
    ("mfa_remove_webauthn", "POST"), ("mfa_view_recovery_codes", "GET"),
    ("registration:new_email", "GET"), ("registration:new_email", "POST"),
    ("registration:token_create", "POST"), ("registration:token_revoke", "POST"),
    ("socialaccount_connect", "POST"), ("socialaccount_disconnect", "POST"),
    ("vms:act_as", "POST"), ("vms:ask_person", "POST"),
}  # fmt: skip


@pytest.mark.slow
def test_what_proves_who_one_is_changes_only_after_a_fresh_proof(portal):
    world = World(has_just_proved=False)
    people = world.clients()
    asked = set()
    for door in every_door():
        for method in ("GET", "POST"):
            audience = matrix.every_line().get((door.name, method))
            if audience is None:
                continue
            role = "administrator" if audience.title == "Administrators" else "owner"
            if people[role].gets(door, method, world.path(door), world.data(door)) == "prove":
                asked.add((door.name, method))
    assert asked == PROVED


def opened(client: Client, grant: str) -> str:
    """What the gateway says to this browser with this grant."""
    morsel = client.cookies.get(site.SESSION_COOKIE_NAME)
    headers = {
        "host": "localhost:8000",
        "origin": "http://localhost:8000",
        "cookie": f"{site.SESSION_COOKIE_NAME}={morsel.value if morsel else ''}",
    }
    scope = {
        "type": "websocket",
        "path": console.PATH,
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        "subprotocols": [console.PROTOCOL, f"grant.{grant}"],
    }

    async def ask() -> str:
        link = ApplicationCommunicator(console.application, scope)
        await link.send_input({"type": "websocket.connect"})
        answer = await link.receive_output(5)
        await link.send_input({"type": "websocket.disconnect", "code": 1000})
        await link.wait(5)
        return answer["type"]

    return "open" if async_to_sync(ask)() == "websocket.accept" else "refused"


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_a_console_opens_for_who_may_see_the_machine(portal, cloud):
    world = World()
    people = world.clients()
    expected = matrix.every_line()[matrix.CONSOLE, "WebSocket"].answers
    path = reverse("vms:console_grant", args=[world.vm.uuid])
    for role, somebody in people.items():
        given = somebody.client.post(path, {"kind": "screen"})
        # Who gets no grant comes with one that was given to the owner.
        answer = given if given.status_code == 200 else people["owner"].client.post(path)
        assert opened(somebody.client, answer.json()["grant"]) == expected[role], role


def test_the_page_for_administrators_says_what_the_table_says():
    text = matrix.as_page(matrix.routes_of(doors()))
    assert matrix.PAGE.read_text() == text, "Run .venv/bin/python -m tests.laws.matrix"

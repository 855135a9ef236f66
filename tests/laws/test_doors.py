"""Laws of every URL: what it takes, what a look may change, and what each answer carries.

Who gets in is the permission matrix: ``test_permissions``.
"""

import re
from functools import cache

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from registration.tests.proving import proved
from tests.doors import Door, doors
from tests.laws.matrix import ADMIN
from tests.laws.roles import World

pytestmark = pytest.mark.django_db

#: An event stream is not a page: it never ends.
STREAM = "live"
SAFE = {"GET", "HEAD"}
WRITES = re.compile(r"\s*(INSERT|UPDATE|DELETE|REPLACE)\b", re.IGNORECASE)
#: Signing in and messages live in the session; who is denied something is in the audit.
KEPT = ("django_session", "core_event")
#: How a page denies: it leads back to where the reason stands, or says it itself.
DENYING = (302, 403, 404)


@cache
def every_door() -> list[Door]:
    return [door for door in doors() if not door.name.startswith(ADMIN)]


def methods(world: World, door: Door) -> frozenset[str]:
    """What it takes; the code says so, whatever the test."""
    if door.name not in _methods:
        client = of(world.admin)
        _methods[door.name] = door.methods(
            lambda method, path: client.generic(method, path).headers.get("Allow", "")
        )
    return _methods[door.name]


def is_api(door: Door) -> bool:
    """For programs: a token opens it and a cookie does not, so no page elsewhere can use it."""
    return door.name.startswith("api:")


#: What programs may send besides.
PROGRAMS_TOO = {"api": {"DELETE", "PATCH", "PUT"}, "tus": {"DELETE", "PATCH", "OPTIONS"}}


def kind_of(door: Door) -> str:
    """Of a door for programs, which."""
    return "api" if is_api(door) else "tus" if door.name.startswith("volumes:tus") else ""


def everybody(world: World) -> list[Client]:
    """Visitor, owner and administrator."""
    return [of(), of(world.alice), of(world.admin)]


_methods: dict[str, frozenset[str]] = {}


def of(user=None, **options) -> Client:
    client = Client(**options)
    if user is not None:
        client.force_login(user)
        proved(client, user)
    return client


@pytest.fixture
def world() -> World:
    return World()


def send(client: Client, method: str, path: str):
    return client.generic(method, path)


@pytest.mark.slow
def test_every_url_names_its_methods(world):
    for door in every_door():
        takes = methods(world, door)
        assert takes, f"{door.name} takes any method"
        assert takes <= SAFE | {"POST"} | PROGRAMS_TOO.get(kind_of(door), set()), door.name
        assert "GET" not in takes or "HEAD" in takes, f"{door.name} takes GET and not HEAD"


def test_nothing_is_done_without_a_csrf_token(world):
    asked = 0
    client = of(world.admin, enforce_csrf_checks=True)
    for door in every_door():
        if "POST" in methods(world, door) and not is_api(door):
            assert send(client, "POST", world.path(door)).status_code == 403, door.name
            asked += 1
    assert asked > 15


@pytest.mark.slow
def test_looking_changes_nothing(world):
    looked = 0
    clients = everybody(world)
    for door in every_door():
        if door.name == STREAM or "GET" not in methods(world, door):
            continue
        for client in clients:
            with CaptureQueriesContext(connection) as queries:
                response = send(client, "GET", world.path(door))
            written = [q["sql"] for q in queries if WRITES.match(q["sql"])]
            kept = KEPT if response.status_code in DENYING else KEPT[:1]
            assert not [sql for sql in written if not any(name in sql for name in kept)], door.name
            looked += 1
    assert looked > 60


@pytest.mark.slow
def test_every_answer_carries_the_policy_and_a_reference(world):
    clients = everybody(world)
    for door in every_door():
        for client in clients:
            response = send(client, "GET", world.path(door))
            policy = response.headers["Content-Security-Policy"]
            assert "default-src 'none'" in policy, door.name
            assert "unsafe" not in policy, door.name
            assert response.headers["X-Request-ID"], door.name
            assert response.headers["X-Content-Type-Options"] == "nosniff", door.name
            assert response.headers["X-Frame-Options"] == "DENY", door.name

"""The console gateway: who gets in, how often, and what is passed on."""

import asyncio
import json
import os
import tempfile
from pathlib import Path

import pytest
from asgiref.sync import sync_to_async
from asgiref.testing import ApplicationCommunicator
from django.conf import settings
from django.test import Client
from django.urls import reverse

from cloud.types import ConsoleKind, VmPhase
from core.models import Event
from registration.tests.factories import UserFactory
from vms import console
from vms.models import VM
from vms.tests.factories import VMFactory

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("redis_server"),
    pytest.mark.slow,
]


@pytest.fixture
def place():
    """A short path for sockets."""
    with tempfile.TemporaryDirectory(prefix="con") as folder:
        yield Path(folder) / "s"


@pytest.fixture
def vm(cloud, place):
    vm = VMFactory(running=True)
    ref = cloud.create_vm(vm.spec(), token=vm.token).ref
    cloud.set_phase(ref, VmPhase.RUNNING)
    for kind in ConsoleKind:
        cloud.serve_console(ref, kind, place)
    VM.objects.filter(pk=vm.pk).update(cloud_ref=ref)
    return VM.objects.select_related("owner").get(pk=vm.pk)


def signed_in(user):
    client = Client()
    client.force_login(user)
    return client


def ask(client, vm, kind="screen"):
    return client.post(reverse("vms:console_grant", args=[vm.uuid]), {"kind": kind})


def websocket(browser, token, **changes):
    cookie = browser.cookies[settings.SESSION_COOKIE_NAME].value if browser else ""
    headers = {
        "host": "localhost:8000",
        "origin": "http://localhost:8000",
        "cookie": f"{settings.SESSION_COOKIE_NAME}={cookie}",
    } | changes.pop("headers", {})
    scope = {
        "type": "websocket",
        "path": console.PATH,
        "headers": [(key.encode(), value.encode()) for key, value in headers.items()],
        "subprotocols": [console.PROTOCOL, f"grant.{token}"],
    } | changes
    return ApplicationCommunicator(console.application, scope)


async def opened(link):
    await link.send_input({"type": "websocket.connect"})
    return await link.receive_output(5)


async def engine(place):
    """The engine's end of a console: echoes in capitals."""

    async def serve(reader, writer):
        while data := await reader.read(100):
            writer.write(data.upper())
            await writer.drain()
        writer.close()

    return await asyncio.start_unix_server(serve, str(place))


async def granted(vm, kind="screen", user=None):
    client = await sync_to_async(signed_in)(user or vm.owner)
    response = await sync_to_async(ask)(client, vm, kind)
    return client, json.loads(response.content)["grant"]


@pytest.mark.parametrize("kind", ["screen", "serial"])
async def test_bytes_are_passed_both_ways(vm, place, kind):
    server = await engine(place)
    client, grant = await granted(vm, kind)
    link = websocket(client, grant)
    assert await opened(link) == {"type": "websocket.accept", "subprotocol": "portal.console"}
    await link.send_input({"type": "websocket.receive", "bytes": b"hello"})
    assert (await link.receive_output(5))["bytes"] == b"HELLO"
    await link.send_input({"type": "websocket.disconnect", "code": 1000})
    await link.wait(5)
    server.close()
    assert await Event.objects.filter(subject=vm.uuid, verb="console").aexists()


@pytest.mark.parametrize("kind", ["screen", "serial"])
async def test_a_console_of_another_user_than_the_machines_is_refused(cloud, vm, place, kind):
    heard = []

    async def somebody_else(reader, writer):
        heard.append(await reader.read(100))
        writer.close()

    server = await asyncio.start_unix_server(somebody_else, str(place))
    cloud.serve_console(vm.cloud_ref, ConsoleKind(kind), place, uid=os.geteuid() + 1)
    client, grant = await granted(vm, kind)
    link = websocket(client, grant)
    await opened(link)
    await link.send_input({"type": "websocket.receive", "bytes": b"my password"})
    assert (await link.receive_output(5))["code"] == console.GONE_CLOSE
    await link.wait(5)
    server.close()
    await server.wait_closed()
    assert b"".join(heard) == b""


@pytest.mark.parametrize("kind", ["screen", "serial"])
async def test_a_console_of_the_machines_own_user_opens(cloud, vm, place, kind):
    cloud.serve_console(vm.cloud_ref, ConsoleKind(kind), place, uid=os.geteuid())
    await test_bytes_are_passed_both_ways(vm, place, kind)


async def test_a_grant_works_once(vm, place):
    server = await engine(place)
    client, grant = await granted(vm)
    first = websocket(client, grant)
    await opened(first)
    assert (await opened(websocket(client, grant)))["type"] == "websocket.close"
    await first.send_input({"type": "websocket.disconnect", "code": 1000})
    await first.wait(5)
    server.close()


async def test_a_grant_is_worth_nothing_in_another_session(vm):
    _, grant = await granted(vm)
    other = await sync_to_async(signed_in)(vm.owner)
    assert (await opened(websocket(other, grant)))["type"] == "websocket.close"


@pytest.mark.parametrize(
    "changes",
    [
        {"headers": {"origin": "http://evil.example"}},
        {"headers": {"origin": ""}},
        {"headers": {"cookie": ""}},
        {"headers": {"host": "evil.example", "origin": "http://evil.example"}},
        {"subprotocols": ["portal.console"]},
        {"subprotocols": []},
        {"path": "/console/ws/../ws/"},
    ],
)
async def test_anything_amiss_is_refused_before_the_connection(vm, changes):
    client, grant = await granted(vm)
    assert (await opened(websocket(client, grant, **changes)))["type"] == "websocket.close"


async def test_the_policy_is_asked_again_at_the_connection(vm):
    client, grant = await granted(vm)
    await VM.objects.filter(pk=vm.pk).aupdate(owner=await sync_to_async(UserFactory)())
    assert (await opened(websocket(client, grant)))["type"] == "websocket.close"


def test_a_stranger_gets_no_grant_and_an_administrator_does(vm):
    assert ask(signed_in(UserFactory()), vm).status_code == 404
    assert ask(signed_in(UserFactory(admin=True)), vm).status_code == 200


def test_a_machine_that_is_off_has_no_console_and_says_so(vm):
    VM.objects.filter(pk=vm.pk).update(state="done")
    response = ask(signed_in(vm.owner), vm)
    assert response.status_code == 422
    assert "it has no console now" in response.json()["detail"]


async def test_two_windows_share_one_serial_line(vm, place):
    server = await engine(place)
    client, one = await granted(vm, "serial")
    _, two = client, json.loads((await sync_to_async(ask)(client, vm, "serial")).content)["grant"]
    first, second = websocket(client, one), websocket(client, two)
    await opened(first)
    await opened(second)
    await first.send_input({"type": "websocket.receive", "bytes": b"one"})
    assert (await first.receive_output(5))["bytes"] == b"ONE"
    await second.send_input({"type": "websocket.receive", "bytes": b"two"})
    heard = b""  # it may have heard the first one too, or have come too late for that
    while not heard.endswith(b"TWO"):
        heard += (await second.receive_output(5))["bytes"]
    assert (await first.receive_output(5))["bytes"] == b"TWO"
    for link in (first, second):
        await link.send_input({"type": "websocket.disconnect", "code": 1000})
        await link.wait(5)
    server.close()


async def test_an_engine_that_is_gone_is_said_in_words(vm):
    client, grant = await granted(vm)  # nothing listens on the socket
    link = websocket(client, grant)
    await opened(link)
    closing = await link.receive_output(5)
    assert closing["type"] == "websocket.close"
    assert closing["reason"] == "The machine is no longer running."


async def test_a_change_of_password_ends_what_the_session_may_see(vm):
    client, grant = await granted(vm)
    user = vm.owner
    user.set_password("another battery staple")
    await user.asave()
    assert (await opened(websocket(client, grant)))["type"] == "websocket.close"


async def test_a_right_that_is_gone_when_its_grant_is_used_is_in_the_audit(vm):
    client, grant = await granted(vm)
    was = vm.owner
    await VM.objects.filter(pk=vm.pk).aupdate(owner=await sync_to_async(UserFactory)())
    assert (await opened(websocket(client, grant)))["type"] == "websocket.close"
    denied = await Event.objects.aget(subject=vm.uuid, outcome="denied")
    assert (denied.by_id, denied.verb, denied.door) == (was.pk, "console", "console")

"""What stays open ends with what it was opened by: streams and consoles, within moments."""

import asyncio
import gc
import time
from datetime import timedelta

import pytest
from asgiref.sync import sync_to_async
from django.conf import settings
from django.test import AsyncClient, Client
from django.utils import timezone

from core import live
from core.models import Event
from registration import acting, actions
from registration.tests.factories import PASSWORD, UserFactory
from vms import console
from vms.tests import test_console as consoles
from vms.tests.factories import VMFactory

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("redis_server"),
    pytest.mark.slow,
]
SOON_S = 5.0
place, console_vm = consoles.place, consoles.vm


@pytest.fixture(autouse=True)
def _empty_stream(redis_server):
    live._redis().delete(live.STREAM)
    yield
    gc.collect()


@pytest.fixture
def people():
    return UserFactory(admin=True), UserFactory(username="alice")


def in_place_of(administrator, person, client=None):
    """A session of ``administrator`` who acts as ``person``."""
    client = client or Client()
    client.force_login(administrator)
    act(client, person)
    return client


def act(client, person, *, left=acting.LIMIT):
    session = client.session
    session[acting.KEY] = [str(person.uuid), (timezone.now() + left).isoformat()]
    session.save()


async def stream_of(client):
    answer = await client.get("/live/", {"since": f"{int(time.time() * 1000)}-0"})
    assert answer.status_code == 200
    stream = aiter(answer.streaming_content)
    assert "retry" in (await anext(stream)).decode()
    return stream


async def ends(stream):
    async with asyncio.timeout(SOON_S):
        async for _ in stream:
            pass


async def test_the_stream_of_somebody_who_is_shut_out_ends(people):
    admin, alice = people
    client = AsyncClient()
    await client.aforce_login(alice)
    stream = await stream_of(client)
    waiting = asyncio.create_task(ends(stream))
    await sync_to_async(actions.suspend)(alice, by=admin, reason="Spam.")
    await waiting
    assert (await client.get("/live/")).status_code == 403


async def test_the_stream_of_who_acts_is_the_persons_and_ends_with_the_acting(people):
    admin, alice = people
    client = await sync_to_async(in_place_of)(admin, alice, AsyncClient())
    stream = await stream_of(client)
    theirs, others = await sync_to_async(lambda: (VMFactory(owner=alice), VMFactory()))()
    await sync_to_async(lambda: (others.announce(), theirs.announce()))()
    async with asyncio.timeout(SOON_S):
        assert str(theirs.uuid) in (await anext(stream)).decode()
    waiting = asyncio.create_task(ends(stream))
    await client.post("/acting/stop/")
    await waiting


async def test_the_streams_of_an_administrator_end_when_the_acting_begins(people):
    admin, alice = people
    client = AsyncClient()
    await client.post("/login/", {"login": admin.username, "password": PASSWORD})
    waiting = asyncio.create_task(ends(await stream_of(client)))
    answer = await client.post(f"/users/{alice.uuid}/act/", {"act-reason": "To help."})
    assert answer.status_code == 302
    await waiting


async def test_the_stream_of_who_is_no_administrator_any_more_ends(people):
    admin, alice = people
    await sync_to_async(actions.make_administrator)(alice, by=admin)
    client = AsyncClient()
    await client.aforce_login(admin)
    waiting = asyncio.create_task(ends(await stream_of(client)))
    await sync_to_async(actions.revoke_administrator)(admin, by=alice)
    await waiting


async def open_console(client, vm, place):
    server = await consoles.engine(place)
    answer = await sync_to_async(consoles.ask)(client, vm)
    link = consoles.websocket(client, answer.json()["grant"], client=("192.0.2.7", 4711))
    assert (await consoles.opened(link))["type"] == "websocket.accept"
    await link.send_input({"type": "websocket.receive", "bytes": b"hello"})
    assert (await link.receive_output(SOON_S))["bytes"] == b"HELLO"
    return server, link


async def is_closed(server, link):
    closing = await link.receive_output(SOON_S)
    assert (closing["type"], closing["code"]) == ("websocket.close", console.GONE_CLOSE)
    await link.wait(SOON_S)
    server.close()


async def test_a_console_in_somebodys_place_names_both_and_ends_with_it(
    console_vm, place, monkeypatch
):
    monkeypatch.setattr(console, "RECHECK_S", 0.05)
    admin = await sync_to_async(UserFactory)(admin=True)
    client = await sync_to_async(in_place_of)(admin, console_vm.owner)
    opened = await open_console(client, console_vm, place)
    event = await Event.objects.select_related("by", "on_behalf_of").aget(verb="console")
    assert (event.by, event.on_behalf_of) == (admin, console_vm.owner)
    assert (event.door, event.address) == ("console", "192.0.2.7")
    await sync_to_async(client.post)("/acting/stop/")
    await is_closed(*opened)


async def test_the_console_of_somebody_who_is_shut_out_ends(console_vm, place, monkeypatch):
    monkeypatch.setattr(console, "RECHECK_S", 0.05)
    admin = await sync_to_async(UserFactory)(admin=True)
    client = await sync_to_async(consoles.signed_in)(console_vm.owner)
    opened = await open_console(client, console_vm, place)
    await sync_to_async(actions.suspend)(console_vm.owner, by=admin, reason="Spam.")
    await is_closed(*opened)


async def test_a_grant_from_before_the_acting_opens_nothing_in_it(console_vm):
    admin = await sync_to_async(UserFactory)(admin=True)
    client = await sync_to_async(consoles.signed_in)(admin)
    grant = (await sync_to_async(consoles.ask)(client, console_vm)).json()["grant"]
    await sync_to_async(act)(client, console_vm.owner)
    assert (await consoles.opened(consoles.websocket(client, grant)))["type"] == "websocket.close"


async def test_a_console_ends_when_the_time_of_acting_is_up(console_vm, place, monkeypatch):
    monkeypatch.setattr(console, "RECHECK_S", 0.05)
    admin = await sync_to_async(UserFactory)(admin=True)
    client = await sync_to_async(in_place_of)(admin, console_vm.owner)
    opened = await open_console(client, console_vm, place)
    await sync_to_async(act)(client, console_vm.owner, left=timedelta(seconds=-1))
    await is_closed(*opened)


def test_a_console_is_looked_at_every_few_seconds():
    assert console.RECHECK_S <= SOON_S
    assert settings.SESSION_ENGINE.endswith(".db")  # a session that is deleted is gone at once

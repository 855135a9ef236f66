"""The stream of changes: who hears what, and that nothing is lost."""

import asyncio
import contextlib
import gc
import time
import uuid

import pytest
from asgiref.sync import sync_to_async
from django.db import connection
from django.test import AsyncClient

from conftest import start_redis
from core import live
from registration.tests.factories import UserFactory
from vms.states import VmState
from vms.tests.factories import VMFactory

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("redis_server"),
    pytest.mark.slow,
]


@pytest.fixture(autouse=True)
def _empty_stream(redis_server):
    live._redis().delete(live.STREAM)
    yield
    gc.collect()  # streams that were left open end here, not in the middle of something else


async def listen(user, **query):
    client = AsyncClient()
    await sync_to_async(client.force_login)(user)
    response = await client.get("/live/", query)
    return aiter(response.streaming_content)


async def heard(stream, within_s=5.0):
    """The next event that is no comment."""
    async with asyncio.timeout(within_s):
        while True:
            text = (await anext(stream)).decode()
            if text.startswith("id:"):
                return text


def now_id():
    return f"{int(time.time() * 1000)}-0"


async def test_the_owner_hears_of_a_change_and_a_stranger_does_not():
    vm = await sync_to_async(VMFactory)()
    mine = await listen(vm.owner, since=now_id())
    theirs = await listen(await sync_to_async(UserFactory)(), since=now_id())
    await sync_to_async(vm.move)(VmState.EPILOG)
    assert f'"uuid": "{vm.uuid}"' in await heard(mine)
    with pytest.raises(TimeoutError):
        await heard(theirs, within_s=0.5)


async def test_an_administrator_hears_of_everything():
    vm = await sync_to_async(VMFactory)()
    stream = await listen(await sync_to_async(UserFactory)(admin=True), since=now_id())
    await sync_to_async(vm.move)(VmState.EPILOG)
    assert '"kind": "vm"' in await heard(stream)


async def test_what_happened_between_page_and_stream_is_not_lost():
    vm = await sync_to_async(VMFactory)()
    rendered = now_id()
    await sync_to_async(vm.move)(VmState.EPILOG)
    assert str(vm.uuid) in await heard(await listen(vm.owner, since=rendered))


async def test_a_page_that_comes_back_hears_what_it_missed_once_and_in_order():
    vm = await sync_to_async(VMFactory)()
    stream = await listen(vm.owner, since=now_id())
    for state in (VmState.PROLOG, VmState.BOOT, VmState.RUNNING):
        await sync_to_async(vm.move)(state)
    seen = [await heard(stream) for _ in range(3)]
    last = seen[0].split("\n")[0].removeprefix("id: ")
    again = await listen(vm.owner, since=last)
    assert [await heard(again), await heard(again)] == seen[1:]


async def test_the_policy_is_asked_when_the_event_is_sent():
    vm = await sync_to_async(VMFactory)()
    stream = await listen(vm.owner, since=now_id())
    stranger = await sync_to_async(UserFactory)()
    await type(vm).objects.filter(pk=vm.pk).aupdate(owner=stranger)
    await sync_to_async(live.publish)("vm", str(vm.uuid), (vm.owner_id,))
    with pytest.raises(TimeoutError):
        await heard(stream, within_s=0.5)


async def test_tabs_of_one_person_share_a_question():
    asked = []
    live.register("counted", lambda user, subject: not asked.append(subject))
    user = await sync_to_async(UserFactory)()
    tabs = [await listen(user, since=now_id()) for _ in range(6)]
    waiting = [asyncio.create_task(heard(tab)) for tab in tabs]
    subject = str(uuid.uuid4())
    await sync_to_async(live.publish)("counted", subject, (user.pk,))
    assert all(subject in text for text in await asyncio.gather(*waiting))
    assert len(asked) <= 2  # an answer is shared for a second, and another may begin


async def test_an_open_stream_holds_no_connection_to_the_database():
    stream = await listen(await sync_to_async(UserFactory)(), since=now_id())
    waiting = asyncio.create_task(heard(stream))
    async with asyncio.timeout(5):
        while await sync_to_async(lambda: connection.connection)() is not None:
            await asyncio.sleep(0.01)
    waiting.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await waiting


async def test_pages_from_before_a_restart_of_redis_are_told_to_look_anew(redis_server):
    user = await sync_to_async(UserFactory)()
    stream = await listen(user, since=f"{int((time.time() - 86400 * 365) * 1000)}-0")
    assert "event: reset" in await heard(stream)


async def test_a_redis_that_dies_resets_open_pages_when_it_is_back(tmp_path_factory, settings):
    path = tmp_path_factory.mktemp("r") / "r.sock"
    settings.REDIS_URL = f"unix://{path}"
    first = await sync_to_async(start_redis)(path)
    hub = live.Hub()
    changes = hub.changes("")
    waiting = asyncio.create_task(anext(changes))
    await asyncio.sleep(0.1)
    first.kill()
    first.wait()
    second = await sync_to_async(start_redis)(path)
    async with asyncio.timeout(10):
        assert (await waiting).kind == ""
    await changes.aclose()
    second.terminate()
    second.wait()


async def test_a_slow_page_is_told_to_look_anew_instead_of_growing():
    hub = live.Hub()
    page = asyncio.Queue(live.BACKLOG)
    hub._pages.add(page)
    for number in range(live.BACKLOG + 10):
        hub._tell(live.Change(f"{number}-0", "vm", str(uuid.uuid4())))
    assert page.qsize() <= live.BACKLOG
    assert page.get_nowait().kind == ""


async def test_a_page_that_was_away_for_long_looks_at_everything_once():
    vm = await sync_to_async(VMFactory)()
    since = now_id()
    for _ in range(live.BACKLOG + 5):  # the first may be of the page's own millisecond
        await sync_to_async(live.publish)("vm", str(vm.uuid), (vm.owner_id,))
    assert "event: reset" in await heard(await listen(vm.owner, since=since))


async def test_without_signing_in_there_is_no_stream():
    assert (await AsyncClient().get("/live/")).status_code == 403


@pytest.mark.parametrize("since", ["x", "1-x", "-"])
async def test_a_garbled_position_is_refused(since):
    client = AsyncClient()
    await sync_to_async(client.force_login)(await sync_to_async(UserFactory)())
    assert (await client.get("/live/", {"since": since})).status_code == 400

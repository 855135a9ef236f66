"""A Redis that is away or quiet costs nobody anything but the bells."""

import asyncio
import os
import subprocess
import sys
import time
from contextlib import suppress

import pytest
from asgiref.sync import sync_to_async
from django.test import AsyncClient

from core.live import READ_BLOCK_MS
from registration.tests.factories import UserFactory

pytestmark = pytest.mark.faults


RING = """
import time, django
django.setup()
from core.bells import ring
from vms.tasks import tick_vm
began = time.monotonic()
ring(tick_vm, 1, queue="cloud.local")
print(time.monotonic() - began)
"""


def test_ringing_without_a_redis_fails_at_once(tmp_path):
    env = {
        **os.environ,
        "PORTAL_HOME": str(tmp_path),
        "PORTAL_LOG_LEVEL": "WARNING",
        "DJANGO_SETTINGS_MODULE": "portal.settings",
    }
    argv = [sys.executable, "-c", RING]
    done = subprocess.run(argv, env=env, capture_output=True, text=True, check=True)
    assert "bell.lost" in done.stderr
    assert float(done.stdout) < 1


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("redis_server")
async def test_a_quiet_page_is_not_told_to_look_anew():
    client = AsyncClient()
    await sync_to_async(client.force_login)(await sync_to_async(UserFactory)())
    response = await client.get("/live/", {"since": f"{int(time.time() * 1000)}-0"})
    stream = aiter(response.streaming_content)
    heard = []
    with suppress(TimeoutError):
        async with asyncio.timeout(READ_BLOCK_MS / 1000 + 2):
            async for text in stream:
                heard.append(text.decode())  # noqa: PERF401  (read until time is up)
    assert heard
    assert [text for text in heard if "reset" in text] == []

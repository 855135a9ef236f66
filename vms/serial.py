"""A serial line has one client at the engine; here it is shared by every open window."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Protocol

import redis.asyncio
from django.conf import settings

from cloud import peer
from cloud.types import ConsoleEndpoint

CHUNK_BYTES = 64 * 1024
#: What one slow window may have waiting, in chunks, before it is dropped.
BACKLOG_CHUNKS = 256
#: Another process holds the line for this long after it died.
HOLD_S = 20


class Busy(Exception):
    """Another process of the portal holds this line."""


async def connect(endpoint: ConsoleEndpoint) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection to the machine's console, and to nobody else's.

    Raises:
        OSError: nobody listens there, or another user than the machine's does.
    """
    reader, writer = await asyncio.open_unix_connection(str(endpoint.unix_path))
    try:
        if endpoint.peer_uid is not None:
            peer.must_be(endpoint.peer_uid, writer.get_extra_info("socket"))
    except OSError:
        writer.close()
        raise
    return reader, writer


class Line(Protocol):
    async def read(self) -> bytes:
        """The next bytes from the guest; b"" when the line has ended."""

    async def write(self, data: bytes) -> None: ...


class Direct:
    """A connection of one's own."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    async def read(self) -> bytes:
        return await self._reader.read(CHUNK_BYTES)

    async def write(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()


class _Window:
    """One viewer of a shared line."""

    def __init__(self, shared: "_Shared") -> None:
        self._shared = shared
        self.queue: asyncio.Queue[bytes] = asyncio.Queue(BACKLOG_CHUNKS)

    async def read(self) -> bytes:
        return await self.queue.get()

    async def write(self, data: bytes) -> None:
        await self._shared.direct.write(data)


class _Shared:
    """The one connection to a guest's line, and the windows that look at it."""

    def __init__(self, key: str, direct: Direct, writer: asyncio.StreamWriter) -> None:
        self.key, self.direct, self._writer = key, direct, writer
        self.windows: set[_Window] = set()
        self._tasks = [asyncio.create_task(self._pump()), asyncio.create_task(self._hold())]

    async def _pump(self) -> None:
        with suppress(OSError):
            while data := await self.direct.read():
                self._tell(data)
        self._tell(b"")

    def _tell(self, data: bytes) -> None:
        for window in self.windows:
            if window.queue.full():
                window.queue.get_nowait()  # it is far behind: its oldest chunk goes
            window.queue.put_nowait(data)

    async def _hold(self) -> None:
        """Keep other processes away from the line while we have it."""
        while True:
            await asyncio.sleep(HOLD_S / 3)
            with suppress(redis.RedisError):
                await _prolong(self.key)

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._writer.close()
        with suppress(OSError):
            await self._writer.wait_closed()
        with suppress(redis.RedisError):
            await _release(self.key)


_lines: dict[tuple[asyncio.AbstractEventLoop, str], asyncio.Task[_Shared]] = {}


async def _claim(key: str) -> bool:
    async with redis.asyncio.Redis.from_url(settings.REDIS_URL) as store:
        return bool(await store.set(key, "held", nx=True, ex=HOLD_S))


async def _prolong(key: str) -> None:
    async with redis.asyncio.Redis.from_url(settings.REDIS_URL) as store:
        await store.expire(key, HOLD_S)


async def _release(key: str) -> None:
    async with redis.asyncio.Redis.from_url(settings.REDIS_URL) as store:
        await store.delete(key)


async def _connect(key: str, endpoint: ConsoleEndpoint) -> _Shared:
    if not await _claim(key):
        raise Busy("This serial console is open through another server of the portal.")
    try:
        reader, writer = await connect(endpoint)
    except OSError:
        await _release(key)
        raise
    return _Shared(key, Direct(reader, writer), writer)


@asynccontextmanager
async def shared(vm: str, endpoint: ConsoleEndpoint) -> AsyncIterator[Line]:
    """A window onto a machine's serial line, with what it printed before.

    Raises:
        Busy: another process holds the line. OSError: the machine is not running.
    """
    place = (asyncio.get_running_loop(), vm)
    if place not in _lines:
        _lines[place] = asyncio.create_task(_connect(f"console-line:{vm}", endpoint))
    try:
        line = await _lines[place]
    except BaseException:
        _lines.pop(place, None)
        raise
    window = _Window(line)
    if endpoint.backlog:
        window.queue.put_nowait(endpoint.backlog)
    line.windows.add(window)
    try:
        yield window
    finally:
        line.windows.discard(window)
        if not line.windows:
            _lines.pop(place, None)
            await line.close()

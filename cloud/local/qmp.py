"""Questions to a running QEMU, each with a time limit that works.

A monitor serves one client at a time, so every question holds ``qmp.lock`` of its
machine. Sockets are reached through the directory's descriptor: AF_UNIX paths end at
107 bytes and a site's home may be longer.
"""

import asyncio
import fcntl
import logging
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from qemu.qmp import ConnectError, QMPClient, QMPError

from cloud import peer

#: Talking to more QEMUs than this at once gains nothing and costs descriptors.
AT_ONCE = 32

#: A monitor begins with what it could not tell its last client; how often it is asked again.
GREETINGS = 3

#: qemu.qmp reports each lost connection by itself; our callers say what it means.
logging.getLogger("qemu.qmp").setLevel(logging.CRITICAL + 1)

T = TypeVar("T")
Answer = Any


class NoAnswer(Exception):
    """QEMU did not answer in time, hung up, or refused the command."""


class Belated(QMPError):
    """What came first was no greeting, but an event for a client that had just left."""


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run to completion, in a loop of our own. Not to be called from inside a loop."""
    loop = asyncio.new_event_loop()
    try:
        return loop.run_until_complete(work)
    finally:
        loop.close()


def ask(folder: Path, command: str, /, *, timeout_s: float, **arguments: Any) -> Answer:
    """Ask the QEMU whose sockets are in ``folder`` one thing.

    Raises:
        NoAnswer: see there.
    """
    return run(_within(timeout_s, _ask(folder, command, arguments)))


def ask_all(folders: Iterable[Path], command: str, *, timeout_s: float) -> Mapping[Path, Answer]:
    """Ask many QEMUs the same thing at once. Those that do not answer are absent."""
    return run(_ask_all(list(folders), command, timeout_s))


def talk(folder: Path, work: Callable[[QMPClient], Awaitable[T]], *, timeout_s: float) -> T:
    """Have a conversation with one QEMU: all of ``work`` on one line, within the time.

    Raises:
        NoAnswer: see there; what ``work`` raises of ours comes as it is.
    """
    return run(_within(timeout_s, _talk(folder, work)))


async def _talk(folder: Path, work: Callable[[QMPClient], Awaitable[T]]) -> T:
    async with _turn(folder):
        client = await connect(folder, "qmp")
        try:
            return await work(client)
        finally:
            await hang_up(client)


async def _ask_all(folders: list[Path], command: str, timeout_s: float) -> dict[Path, Answer]:
    slots = asyncio.Semaphore(AT_ONCE)
    answers: dict[Path, Answer] = {}

    async def one(folder: Path) -> None:
        async with slots:
            with suppress(NoAnswer):
                answers[folder] = await _within(timeout_s, _ask(folder, command, {}))

    await asyncio.gather(*map(one, folders))
    return answers


async def _within(timeout_s: float, work: Coroutine[Any, Any, T]) -> T:
    try:
        return await asyncio.wait_for(work, timeout_s)
    except (TimeoutError, QMPError, OSError, EOFError) as error:
        raise NoAnswer(str(error) or "no answer in time") from error


async def _ask(folder: Path, command: str, arguments: Mapping[str, Any]) -> Answer:
    return await _talk(folder, lambda client: client.execute(command, dict(arguments) or None))


async def connect(folder: Path, name: str) -> QMPClient:
    """A client of socket ``name`` in ``folder``, ready for commands or events."""
    for _ in range(GREETINGS):
        with suppress(Belated):
            return await _connected(folder, name)
    return await _connected(folder, name)


async def _connected(folder: Path, name: str) -> QMPClient:
    """Raises: Belated: see there."""
    client = QMPClient(folder.name)
    sock = await open_socket(folder, name)
    try:
        await client.connect(sock)
    except AssertionError as error:  # how qemu.qmp says that the other end left as it greeted
        await hang_up(client)
        raise EOFError("QEMU hung up while it was greeted") from error
    except ConnectError as error:
        sock.close()
        if isinstance(error.exc, OSError | EOFError):
            raise
        raise Belated(str(error)) from error
    except BaseException:
        sock.close()
        raise
    return client


async def hang_up(client: QMPClient) -> None:
    """Disconnect, whatever state the other end is in."""
    with suppress(TimeoutError, QMPError, OSError, EOFError):
        await asyncio.wait_for(client.disconnect(), 1)


async def open_socket(folder: Path, name: str) -> socket.socket:
    """A connected socket to ``folder/name``, however long that path is.

    Raises:
        PermissionError: another user than the folder's listens there. Its user may have
            put a link to another machine's socket into it.
    """
    where = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        while True:
            sock = socket.socket(socket.AF_UNIX)
            sock.setblocking(False)
            try:
                sock.connect(f"/proc/self/fd/{where}/{name}")
                peer.must_be(os.fstat(where).st_uid, sock)
            except BlockingIOError:  # its backlog is full; somebody is just leaving
                sock.close()
                await asyncio.sleep(0.01)
            except OSError:
                sock.close()
                raise
            else:
                return sock
    finally:
        os.close(where)


@asynccontextmanager
async def _turn(folder: Path) -> AsyncIterator[None]:
    fd = os.open(folder.parent / "qmp.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        while True:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                await asyncio.sleep(0.005)
            else:
                break
        yield
    finally:
        os.close(fd)

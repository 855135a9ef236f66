"""The body of an upload, from the connection to the end of its file, as it comes."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

from asgiref.sync import sync_to_async
from django.db import close_old_connections

from volumes import landing
from volumes.actions import uploads
from volumes.appending import Busy, Writer
from volumes.models import Volume
from volumes.protocol import CHECKSUM_MISMATCH, LOCKED, NO_ROOM, Ticket
from volumes.states import GONE, VolumeState

logger = logging.getLogger(__name__)

#: How often the row is told how far its file is.
TELL_S = 0.5
#: An upload outlives neither its person's rights nor the room for it by more than this.
RECHECK_S = 5.0
#: A connection that brings nothing for so long is given up: its other end may be gone, and
#: would find its own upload taken when it comes back.
PATIENCE_S = 20.0
#: What may wait in memory while the disk is busy, for each upload.
MOST_WAITING = 4 << 20

TIMEOUT, CONFLICT, GONE_STATUS, TOO_LARGE, FORBIDDEN = 408, 409, 410, 413, 403

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]

_writers = ThreadPoolExecutor(4, thread_name_prefix="upload")


class Cut(Exception):
    """The connection ended before the body did; nobody is there to be answered."""


class Stop(Exception):
    """The upload does not go on now."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


async def land(ticket: Ticket, receive: Receive) -> int:
    """Append what comes; how far the upload is then, in bytes. Raises: Cut; Stop."""
    writer = await _in_thread(_open, ticket)
    try:
        await _append(ticket, writer, receive)
    finally:
        await asyncio.shield(_in_thread(writer.close))  # it waits for a write under way
        if writer.offset == ticket.length:
            await _in_thread(uploads.note_complete, ticket.volume)
    return int(writer.offset)


def _open(ticket: Ticket) -> Writer:
    """The file, locked and at the right place. Raises: Stop."""
    volume = Volume.objects.get(pk=ticket.volume)
    try:
        writer = Writer(volume)
    except Busy:
        sentence = "Another connection brings this file now. Wait a moment, or end that one."
        raise Stop(LOCKED, sentence) from None
    except OSError as exc:
        raise _no_room(exc) from exc
    volume.refresh_from_db(fields=["state"])
    try:
        if volume.state != VolumeState.UPLOADING:  # it ended while this request was on its way
            if volume.state in GONE:
                landing.remove(volume)
            raise Stop(GONE_STATUS, "This upload is over.")
        if writer.offset != ticket.offset:
            raise Stop(CONFLICT, f"{writer.offset} bytes are here, not {ticket.offset}.")
        writer.expect(ticket.checksum)
    except BaseException:
        writer.close()
        raise
    return writer


def _no_room(exc: OSError) -> Stop:
    logger.warning("upload.no_room", extra={"error": str(exc)})
    return Stop(NO_ROOM, "The site's disk is full. Ask an administrator, then go on from here.")


async def _append(ticket: Ticket, writer: Writer, receive: Receive) -> None:
    """Raises: Stop; Cut."""
    pump = _Pump(writer)
    news = _News(ticket, writer)
    try:
        await _receive_all(ticket, pump, news, receive)
        await pump.drained()
    except (Cut, Stop):
        with suppress(OSError):
            await pump.drained()
        await _in_thread(writer.stop)
        await news.last()
        raise
    except OSError as exc:
        await _in_thread(writer.stop)
        raise _no_room(exc) from exc
    is_right = await _in_thread(writer.settle)
    await news.last()
    if not is_right:
        raise Stop(CHECKSUM_MISMATCH, "These bytes are not those of Upload-Checksum: send anew.")


async def _receive_all(ticket: Ticket, pump: "_Pump", news: "_News", receive: Receive) -> None:
    loop = asyncio.get_running_loop()
    left = ticket.length - ticket.offset
    try:
        async with asyncio.timeout(PATIENCE_S) as patience:
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise Cut
                piece = message.get("body", b"")
                left -= len(piece)
                if left < 0:
                    sentence = f"{ticket.length} bytes were announced; these are more."
                    raise Stop(TOO_LARGE, sentence)
                if piece:
                    patience.reschedule(None)
                    await pump.put(piece)
                    news.tell()
                    patience.reschedule(loop.time() + PATIENCE_S)
                if not message.get("more_body", False):
                    return
    except TimeoutError as exc:
        raise Stop(TIMEOUT, "Nothing came for a while. Go on from here.") from exc


class _Pump:
    """Writes in a thread what has come, while more comes: one write at a time, all that waits."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._pieces: list[bytes] = []
        self._waiting = 0
        self._write: asyncio.Future[None] | None = None

    async def put(self, piece: bytes) -> None:
        """Raises: OSError: an earlier write failed."""
        self._pieces.append(piece)
        self._waiting += len(piece)
        self._go()
        while self._write is not None and self._waiting > MOST_WAITING:
            await self._one()

    async def drained(self) -> None:
        """Until all is written. Raises: OSError."""
        while self._write is not None:
            await self._one()

    async def _one(self) -> None:
        write = self._write
        if write is not None:
            await asyncio.wait([write])
            write.result()

    def _go(self) -> None:
        if self._write is not None:
            if self._write.done():
                self._write.result()  # it failed: nothing more is written
            return
        if self._pieces:
            pieces, self._pieces, self._waiting = self._pieces, [], 0
            loop = asyncio.get_running_loop()
            self._write = loop.run_in_executor(_writers, self._writer.write, pieces)
            self._write.add_done_callback(self._written)

    def _written(self, write: "asyncio.Future[None]") -> None:
        if not write.cancelled() and write.exception() is None:
            self._write = None
            self._go()


class _News:
    """Tells the row now and then how far its file is; and learns whether it is still wanted."""

    def __init__(self, ticket: Ticket, writer: Writer) -> None:
        self._ticket = ticket
        self._writer = writer
        self._loop = asyncio.get_running_loop()
        self._task: asyncio.Task[Stop | None] | None = None
        self._told = self._checked = self._loop.time()

    def tell(self) -> None:
        """Raises: Stop: nobody wants it any more."""
        if self._task is not None and self._task.done():
            task, self._task = self._task, None
            if stop := task.result():
                raise stop
        now = self._loop.time()
        if self._task is None and now - self._told >= TELL_S:
            self._told = now
            self._task = asyncio.create_task(self._say(self._is_time_to_check(now)))

    def _is_time_to_check(self, now: float) -> bool:
        if now - self._checked < RECHECK_S:
            return False
        self._checked = now
        return True

    async def _say(self, is_checking: bool) -> Stop | None:
        offset = self._writer.offset
        stop: Stop | None = await _in_thread(_note, self._ticket, offset, is_checking)
        return stop

    async def last(self) -> None:
        if self._task is not None:
            await self._task
        await self._say(is_checking=False)


def _note(ticket: Ticket, offset: int, is_checking: bool) -> Stop | None:
    if not uploads.note_bytes(ticket.volume, offset):
        return Stop(GONE_STATUS, "This upload is over.")
    if landing.room_bytes() == 0:
        return Stop(NO_ROOM, "The site's disk is full. Ask an administrator, then go on from here.")
    if is_checking and not ticket.may_go_on():
        return Stop(FORBIDDEN, "You may no longer upload this: sign in again, or make a new token.")
    return None


async def _in_thread(act: Callable[..., Any], *args: Any) -> Any:
    """Away from the event loop, with a connection to the database that is fresh."""

    def alone() -> Any:
        close_old_connections()
        try:
            return act(*args)
        finally:
            close_old_connections()

    return await sync_to_async(alone, thread_sensitive=False)()

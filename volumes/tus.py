"""Uploads by the tus protocol, in front of Django: bytes go to the disk as they come.

Django would keep a body aside until it is complete, and lose that of a cut connection. So
each request is first put to Django without its body: there it passes the same middleware
and the same door as every other, which refuses it or leaves a ticket in its scope. With a
ticket, the body is appended to the landed file, whose size is the offset: what has come is
there, whatever happens to the connection or to this process.
"""

import asyncio
from collections.abc import Callable, Coroutine, MutableMapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from core.logs import request_id
from volumes import inflow
from volumes.inflow import Message, Receive
from volumes.protocol import INCOMING, TICKET, VERSION, Incoming, Ticket

PATH = "/volumes/uploads/"
Scope = MutableMapping[str, Any]
Send = Callable[[Message], Coroutine[Any, Any, None]]
Headers = list[tuple[bytes, bytes]]
App = Callable[[Scope, Receive, Send], Coroutine[Any, Any, None]]


@dataclass(slots=True)
class Answer:
    status: int = 500
    headers: Headers = field(default_factory=list)
    body: bytes = b""

    async def take(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status, self.headers = message["status"], list(message["headers"])
        else:
            self.body += message.get("body", b"")

    def header(self, name: bytes) -> str:
        return next((value for key, value in self.headers if key.lower() == name), b"").decode()

    def put(self, name: bytes, value: str) -> None:
        self.headers = [(key, old) for key, old in self.headers if key.lower() != name]
        self.headers.append((name, value.encode()))

    def refuse(self, status: int, sentence: str) -> None:
        self.status, self.body = status, f"{sentence}\n".encode()
        self.put(b"content-type", "text/plain; charset=utf-8")

    async def send(self, send: Send) -> None:
        self.put(b"tus-resumable", VERSION)
        if self.status != 204:
            self.put(b"content-length", str(len(self.body)))
        start = {"type": "http.response.start", "status": self.status, "headers": self.headers}
        with suppress(OSError, RuntimeError):  # whoever asked has left already
            await send(start)
            await send({"type": "http.response.body", "body": self.body})


def application(django: Any) -> App:
    """The ASGI application that takes what is below ``PATH``; ``django`` answers questions."""

    async def uploads_application(scope: Scope, receive: Receive, send: Send) -> None:
        scope = _as_asked(scope)
        answer = await _ask(django, scope)
        ticket = scope.get(TICKET)
        if isinstance(ticket, Ticket):
            request_id.set(answer.header(b"x-request-id"))
            try:
                answer.put(b"upload-offset", str(await inflow.land(ticket, receive)))
            except inflow.Stop as stop:
                answer.refuse(stop.status, str(stop))
            except inflow.Cut:
                return
        await answer.send(send)

    return uploads_application


def _as_asked(scope: Scope) -> Scope:
    """The request without its body, by the method that is meant: some proxies pass POST alone."""
    headers = dict(scope["headers"])
    length = headers.get(b"content-length", b"")
    meant = headers.get(b"x-http-method-override", b"").decode("latin-1").upper()
    return {
        **scope,
        "method": meant or scope["method"],
        "headers": [
            (name, value)
            for name, value in scope["headers"]
            if name not in (b"content-length", b"transfer-encoding", b"x-http-method-override")
        ],
        INCOMING: Incoming(int(length) if length.isdigit() else None),
    }


async def _ask(django: Any, scope: Scope) -> Answer:
    answer = Answer()
    bodies = iter([{"type": "http.request", "body": b"", "more_body": False}])

    async def receive() -> Message:
        for message in bodies:
            return message
        await asyncio.Event().wait()  # whether they leave meanwhile changes nothing
        raise AssertionError

    await django(scope, receive, answer.take)
    return answer

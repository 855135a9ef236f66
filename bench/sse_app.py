"""The smallest ASGI application with the portal's habits: live streams and WebSockets."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

KEEPALIVE_S = 15.0
pages: set[asyncio.Queue[bytes]] = set()


async def app(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":
        await echo(receive, send)
    elif scope["type"] == "http" and scope["path"] == "/live/":
        await live(receive, send)
    elif scope["type"] == "http":
        await command(scope["path"], receive, send)


async def live(receive: Receive, send: Send) -> None:
    """One stream, as Django serves one: it ends when the browser goes."""
    headers = [(b"content-type", b"text/event-stream"), (b"cache-control", b"no-store")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    sender = asyncio.create_task(_events(send))
    while (await receive())["type"] != "http.disconnect":
        pass
    sender.cancel()


async def _events(send: Send) -> None:
    page: asyncio.Queue[bytes] = asyncio.Queue()
    pages.add(page)
    line = b"retry: 1000\n\n"
    try:
        while True:
            await send({"type": "http.response.body", "body": line, "more_body": True})
            try:
                line = await asyncio.wait_for(page.get(), KEEPALIVE_S)
            except TimeoutError:
                line = b": quiet\n\n"
    finally:
        pages.discard(page)


async def command(path: str, receive: Receive, send: Send) -> None:
    """``/tell/N`` sends event N to every stream; anything else says how many there are."""
    await receive()
    if path.startswith("/tell/"):
        for page in pages:
            page.put_nowait(b"event: changed\ndata: %s\n\n" % path[6:].encode())
    body = str(len(pages)).encode()
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def echo(receive: Receive, send: Send) -> None:
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "bytes": message.get("bytes")})

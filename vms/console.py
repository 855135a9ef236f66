"""The console gateway: WebSocket to Unix socket, and the one door from web to cloud.

A browser brings a single-use grant in ``Sec-WebSocket-Protocol`` and its session cookie;
both must name the same session, and the policy is asked again: before the connection
and every few seconds of it. Bytes are passed on and never looked at.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from contextlib import asynccontextmanager, suppress
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import urlsplit

from asgiref.sync import sync_to_async
from django.conf import settings
from django.contrib.auth import get_user_model
from django.db import close_old_connections
from django.http.request import validate_host

from cloud.errors import CloudError
from cloud.types import ConsoleEndpoint, ConsoleKind
from core.caller import Caller, called
from core.clouds import clouds
from registration import acting
from vms import grants, serial
from vms.models import VM

logger = logging.getLogger(__name__)

PROTOCOL = "portal.console"
PATH = "/console/ws/"
#: A console outlives neither its session nor its person's rights by more than this.
RECHECK_S = 5.0
IDLE_S = 30 * 60.0
TAIL_BYTES = 64 * 1024

POLICY_CLOSE = 4403
ENGINE_CLOSE = 4503
GONE_CLOSE = 4410

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


def tail(vm: VM) -> bytes:
    """The end of what the machine's serial line has printed, as it came.

    Raises:
        CloudError: the engine keeps no log, or does not answer.
    """
    return clouds[vm.cloud].console_log(vm.cloud_ref, max_bytes=TAIL_BYTES)


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    """ASGI: one WebSocket."""
    await receive()  # websocket.connect
    admitted = await _admitted(scope)
    if admitted is None:
        await send({"type": "websocket.close", "code": POLICY_CLOSE})  # an HTTP 403
        return
    grant, session = admitted
    await send({"type": "websocket.accept", "subprotocol": PROTOCOL})
    try:
        endpoint = await sync_to_async(_open)(grant, (scope.get("client") or [""])[0])
        await _serve(grant, session, endpoint, receive, send)
    except serial.Busy as busy:
        await _close(send, ENGINE_CLOSE, str(busy))
    except CloudError as exc:
        logger.info("console.refused", extra={"vm": grant.vm, "detail": exc.detail})
        await _close(send, ENGINE_CLOSE, str(exc))
    except OSError as exc:
        logger.info("console.lost", extra={"vm": grant.vm, "error": str(exc)})
        await _close(send, GONE_CLOSE, "The machine is no longer running.")


async def _close(send: Send, code: int, reason: str) -> None:
    with suppress(OSError, RuntimeError):  # the browser has left already
        # RFC 6455 leaves 123 bytes for the reason.
        reason = reason.encode()[:120].decode(errors="ignore")
        await send({"type": "websocket.close", "code": code, "reason": reason})


async def _admitted(scope: Scope) -> tuple[grants.Grant, str] | None:
    """The grant that this connection redeems and its session, if everything is right."""
    headers = {key.decode("latin-1"): value.decode("latin-1") for key, value in scope["headers"]}
    if scope["path"] != PATH or not _same_origin(headers):
        return None
    offered = scope.get("subprotocols") or []
    token = next((word[6:] for word in offered if word.startswith("grant.")), "")
    session = _session_key(headers.get("cookie", ""))
    if PROTOCOL not in offered or not token or not session:
        return None
    grant = await sync_to_async(grants.redeem)(token, session=session)
    if grant is None:
        return None
    if not await sync_to_async(_may)(grant, session):
        await sync_to_async(_deny)(grant, (scope.get("client") or [""])[0])
        return None
    return grant, session


def _same_origin(headers: MutableMapping[str, str]) -> bool:
    host = headers.get("host", "")
    origin = urlsplit(headers.get("origin", ""))
    name = urlsplit(f"//{host}").hostname or ""
    allowed = validate_host(f"[{name}]" if ":" in name else name, settings.ALLOWED_HOSTS)
    return bool(host) and allowed and origin.netloc == host


def _session_key(cookie: str) -> str:
    jar: SimpleCookie = SimpleCookie()
    with suppress(CookieError):
        jar.load(cookie)
    morsel = jar.get(settings.SESSION_COOKIE_NAME)
    return morsel.value if morsel else ""


def _may(grant: grants.Grant, session_key: str) -> bool:
    """The policy, asked anew: session, person, machine and its state."""
    close_old_connections()
    try:
        somebody = acting.behind(session_key)
        if somebody is None or somebody.user.pk != grant.user:
            return False
        acts = somebody.administrator
        if (acts.pk if acts else None) != grant.administrator:
            return False
        vm = VM.objects.visible_to(somebody.user).filter(uuid=grant.vm).first()
        return vm is not None and "console" in vm.verbs
    finally:
        close_old_connections()


def _deny(grant: grants.Grant, address: str) -> None:
    """Tell the audit that a right was gone when its grant was used."""
    close_old_connections()
    known = Caller("console", address, administrator=grant.administrator, acts_as=grant.user)
    try:
        vm = VM.objects.filter(uuid=grant.vm).first()
        if vm is not None:
            user = get_user_model()._default_manager.get(pk=grant.user)
            with called(known):
                vm.record_denial("console", by=user)
    finally:
        close_old_connections()


def _open(grant: grants.Grant, address: str) -> ConsoleEndpoint:
    close_old_connections()
    known = Caller("console", address, administrator=grant.administrator, acts_as=grant.user)
    try:
        vm = VM.objects.get(uuid=grant.vm)
        endpoint = clouds[vm.cloud].console(vm.cloud_ref, ConsoleKind(grant.kind))
        user = get_user_model()._default_manager.get(pk=grant.user)
        with called(known):
            vm.record_event("console", by=user, kind_of_console=grant.kind)
        return endpoint
    finally:
        close_old_connections()


async def _serve(
    grant: grants.Grant, session: str, endpoint: ConsoleEndpoint, receive: Receive, send: Send
) -> None:
    """Pass bytes both ways until either side ends, it falls idle, or the policy says no."""
    last_input = time.monotonic()
    async with _line(grant, endpoint) as line:

        async def from_guest() -> str:
            while data := await line.read():
                await send({"type": "websocket.send", "bytes": data})
            return "The machine closed the console."

        async def from_browser() -> str:
            nonlocal last_input
            while (message := await receive())["type"] != "websocket.disconnect":
                last_input = time.monotonic()
                await line.write(message.get("bytes") or (message.get("text") or "").encode())
            return ""

        async def watch_over() -> str:
            while True:
                await asyncio.sleep(RECHECK_S)
                if time.monotonic() - last_input > IDLE_S:
                    return "Closed after half an hour without a key."
                if not await sync_to_async(_may)(grant, session):
                    return "You may no longer use this console."

        tasks = [asyncio.create_task(part()) for part in (from_guest, from_browser, watch_over)]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        reason = next(iter(done)).result()
        if reason:
            await _close(send, GONE_CLOSE, reason)


@asynccontextmanager
async def _line(grant: grants.Grant, endpoint: ConsoleEndpoint) -> AsyncIterator[serial.Line]:
    if endpoint.kind is ConsoleKind.SERIAL:
        async with serial.shared(grant.vm, endpoint) as line:
            yield line
        return
    reader, writer = await serial.connect(endpoint)
    try:
        yield serial.Direct(reader, writer)
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()

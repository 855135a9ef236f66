"""Live pages: what changed goes to Redis, and from there to every open page that may know.

The event names a row and nothing more; the page fetches that row's fragment, which asks
the same policy as every other door. A page says from when on it wants to know (the time
it was rendered), so nothing falls between its rendering and its stream.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from functools import cache
from typing import Any, NamedTuple

import redis
import redis.asyncio
from asgiref.sync import sync_to_async
from django.conf import settings
from django.db import connections
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.views.decorators.http import require_safe

logger = logging.getLogger(__name__)

STREAM = "portal:live"
#: Events kept for pages that come back; older pages are told to fetch everything anew.
KEPT_EVENTS = 10_000
KEEPALIVE_S = 15.0
#: A stream outlives neither its session nor its user by more than this.
RECHECK_S = 60.0
#: What a slow page may have waiting before it is told to fetch everything anew.
BACKLOG = 256
#: Answers of policies that tabs may share, each for a second.
KEPT_ANSWERS = 1024
EVERYBODY = "*"
#: How long Redis holds a question that has no answer yet, and when it counts as gone. The
#: second is longer, or every quiet moment looks like a lost Redis.
READ_BLOCK_MS = 5000
READ_TIMEOUT_S = 10.0

#: kind -> may this user see the row of that uuid now?
Policy = Callable[[Any, str], bool]
_policies: dict[str, Policy] = {}


def register(kind: str, policy: Policy) -> None:
    """Name the policy for a kind of row. Called once, from the app's ``ready``."""
    _policies[kind] = policy


def is_seen_by(user: Any, kind: str, subject: str) -> bool:
    """Whether ``user`` may see that row now; of kinds without a policy, nothing speaks against."""
    policy = _policies.get(kind)
    return policy is None or policy(user, subject)


#: session key -> whose session this is at this moment; None: nobody's any more
Recognise = Callable[[str], Any]
_recognise: list[Recognise] = []


def recognise_by(recognise: Recognise) -> None:
    """Name who knows people by their session. Called once, from the app's ``ready``."""
    _recognise[:] = [recognise]


class Change(NamedTuple):
    """``id`` orders events; an empty ``kind`` means: fetch everything anew."""

    id: str
    kind: str = ""
    subject: str = ""
    audience: frozenset[int] | None = frozenset()  # None: everybody who is signed in

    def as_text(self) -> str:
        if not self.kind:
            return f"id: {self.id}\nevent: reset\ndata: {{}}\n\n"
        return (
            f"id: {self.id}\nevent: changed\n"
            f'data: {{"kind": "{self.kind}", "uuid": "{self.subject}"}}\n\n'
        )


@cache
def _redis() -> Any:
    return redis.Redis.from_url(
        settings.REDIS_URL, decode_responses=True, socket_timeout=1, socket_connect_timeout=1
    )


def publish(kind: str, subject: str, audience: tuple[int, ...] | None) -> None:
    """Say that a row has changed. Never fails its caller: pages also poll."""
    users = EVERYBODY if audience is None else ",".join(map(str, audience))
    fields = {"kind": kind, "subject": subject, "audience": users}
    try:
        _redis().xadd(STREAM, fields, maxlen=KEPT_EVENTS, approximate=True)
    except redis.RedisError as exc:
        logger.warning("live.lost", extra={"kind": kind, "subject": subject, "error": str(exc)})


def _change(event: tuple[str, dict[str, str]]) -> Change:
    key, fields = event
    users = fields["audience"]
    audience = frozenset(int(user) for user in users.split(",") if user.isdigit())
    return Change(key, fields["kind"], fields["subject"], None if users == EVERYBODY else audience)


class Hub:
    """One reader of the stream per event loop, however many pages are open."""

    def __init__(self) -> None:
        self._pages: set[asyncio.Queue[Change]] = set()
        self._reader: asyncio.Task[None] | None = None
        self._answers: dict[tuple[int, str, int], asyncio.Future[bool]] = {}
        # Its own types are those of every version of the protocol at once.
        self._redis: Any = redis.asyncio.Redis.from_url(
            settings.REDIS_URL, decode_responses=True, socket_timeout=READ_TIMEOUT_S
        )

    async def changes(self, since: str) -> AsyncIterator[Change | None]:
        """Every change after ``since`` (an event's id, or ""); None when it is quiet."""
        page: asyncio.Queue[Change] = asyncio.Queue(BACKLOG)
        self._pages.add(page)
        if self._reader is None or self._reader.done():
            self._reader = asyncio.create_task(self._read())
        try:
            last = since
            for change in await self._missed(since):
                last = change.id
                yield change
            while True:
                try:
                    change = await asyncio.wait_for(page.get(), KEEPALIVE_S)
                except TimeoutError:
                    yield None
                    continue
                if not change.kind or _after(change.id, last):
                    last = change.id
                    yield change
        finally:
            self._pages.discard(page)

    async def answer(self, policy: Policy, user: Any, change: Change) -> bool:
        """What ``policy`` says, asked once for all tabs of a person that ask in one second.

        Tabs hear of a change together; a query for each would make the last wait.
        """
        key = (user.pk, change.id, int(time.monotonic()))
        if key not in self._answers:
            while len(self._answers) >= KEPT_ANSWERS:
                del self._answers[next(iter(self._answers))]
            self._answers[key] = asyncio.create_task(_aside(policy, user, change.subject))
        return await asyncio.shield(self._answers[key])

    async def _missed(self, since: str) -> list[Change]:
        """What happened after ``since``; one reset if that cannot be told any more."""
        if not since:
            return []
        try:
            if await self._has_forgotten(since):
                return [Change(_now_id())]
            events = await self._redis.xrange(STREAM, min=f"({since}", count=BACKLOG + 1)
        except redis.RedisError:
            return []  # the reader finds it too, and says so to every page when it is back
        if len(events) > BACKLOG:  # to look at everything once costs less than at each of these
            return [Change(_now_id())]
        return [_change(event) for event in events]

    async def _has_forgotten(self, since: str) -> bool:
        """Whether events after ``since`` may be gone: trimmed, or lost with a Redis.

        A page's own clock never starts before the Redis that it first spoke to, unless
        that Redis was restarted since.
        """
        started = int(time.time()) - int((await self._redis.info("server"))["uptime_in_seconds"])
        if int(since.partition("-")[0]) < (started - 1) * 1000:
            return True
        if await self._redis.xlen(STREAM) < KEPT_EVENTS:
            return False
        oldest = await self._redis.xrange(STREAM, count=1)
        return bool(oldest) and _after(oldest[0][0], since)

    async def _read(self) -> None:
        """Hand each change to every page, until no page is left."""
        task = asyncio.current_task()
        last = _now_id()
        lost = False
        # redis-py can swallow that we are cancelled, and the loop would never close.
        while self._pages and not (task and task.cancelling()):
            try:
                if lost:
                    await self._redis.ping()
                    lost = False
                    self._tell(Change(_now_id()))
                answer = await self._redis.xread({STREAM: last}, block=READ_BLOCK_MS, count=500)
            except redis.RedisError:
                lost = True
                await asyncio.sleep(0.5)
                continue
            for _, events in answer:
                for event in events:
                    last = event[0]
                    self._tell(_change(event))

    def _tell(self, change: Change) -> None:
        for page in self._pages:
            if page.full():
                while not page.empty():
                    page.get_nowait()
                change = Change(change.id)
            page.put_nowait(change)


def _now_id() -> str:
    return f"{int(time.time() * 1000)}-0"


def _after(one: str, other: str) -> bool:
    if not other:
        return True
    return _order(one) > _order(other)


def _order(key: str) -> tuple[int, int]:
    milliseconds, _, sequence = key.partition("-")
    return int(milliseconds), int(sequence or 0)


_hubs: dict[asyncio.AbstractEventLoop, Hub] = {}


def _hub() -> Hub:
    loop = asyncio.get_running_loop()
    for other in [known for known in _hubs if known.is_closed()]:
        del _hubs[other]
    if loop not in _hubs:
        _hubs[loop] = Hub()
    return _hubs[loop]


async def _aside(ask: Callable[..., bool], *about: Any) -> bool:
    """Ask the database from a thread that all streams share, and hang up.

    A stream lasts for hours: a connection to the database for each would use up what the
    database, or the process's file descriptors, can bear.
    """

    def ask_and_hang_up() -> bool:
        try:
            return ask(*about)
        finally:
            connections.close_all()

    return await sync_to_async(ask_and_hang_up, thread_sensitive=False)()


def _still_welcome(request: HttpRequest, user: Any) -> bool:
    """Whether the session is still there, and is that of the same person in the same role."""
    key = request.session.session_key
    now = _recognise[0](key) if key else None
    return now is not None and now.pk == user.pk and now.is_staff == user.is_staff


async def _stream(request: HttpRequest, user: Any, since: str) -> AsyncIterator[str]:
    yield "retry: 1000\n\n"
    await sync_to_async(connections.close_all)()  # the one that found the user
    checked = time.monotonic()
    async for change in _hub().changes(since):
        # What happens to the account itself may end the stream.
        is_about_user = change is not None and change.subject == str(user.uuid)
        if is_about_user or time.monotonic() - checked > RECHECK_S:
            checked = time.monotonic()
            if not await _aside(_still_welcome, request, user):
                return
        if change is None:
            yield ": quiet\n\n"
        elif not change.kind or await _may_see(user, change):
            yield change.as_text()


async def _may_see(user: Any, change: Change) -> bool:
    """The audience spares most pages the question; the policy answers it."""
    is_meant = change.audience is None or user.pk in change.audience
    if not user.is_staff and not is_meant:
        return False
    policy = _policies.get(change.kind)
    return policy is not None and await _hub().answer(policy, user, change)


@require_safe
async def stream(request: HttpRequest) -> HttpResponse | StreamingHttpResponse:
    """GET /live/: the server-sent events of one tab."""
    user = await request.auser()
    if not user.is_authenticated:
        return HttpResponse(status=403)
    since = request.headers.get("Last-Event-ID") or request.GET.get("since", "")
    with suppress(ValueError):
        _order(since or "0")
        response = StreamingHttpResponse(
            _stream(request, user, since), content_type="text/event-stream"
        )
        response["Cache-Control"] = "no-store"
        response["X-Accel-Buffering"] = "no"
        return response
    return HttpResponse("since is the id of an event", status=400)

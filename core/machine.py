"""State machines whose state is a row.

Four laws, each tested in ``core/tests/test_machine.py``:

1. A state changes by one UPDATE guarded by the state it was read in, with its line of
   history in the same transaction. Whoever comes second changes nothing.
2. A worker takes a lease and books the next look in one UPDATE before it does anything.
   Killed at any point, it costs one lease of waiting and forgets nothing.
3. A moving state has a deadline, and the table says where it ends.
4. A person's change during a step wins; the worker's answer is thrown away.
"""

import logging
import threading
import uuid
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any, ClassVar, TypeVar

from django.db import DatabaseError, connection, models, transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.functional import cached_property
from django.utils.module_loading import import_string

from cloud.driver import CloudDriver
from cloud.errors import CloudError
from core import live
from core.bells import NOW
from core.clouds import clouds
from core.logs import request_id
from core.models import deny, record

logger = logging.getLogger(__name__)

Moves = Mapping[str, frozenset[str]]

LEASE = timedelta(seconds=10)
#: Two renew at a time at the most; the others are spare.
_LEASES_KNOWN = 8
SHORTEST_WAIT = timedelta(seconds=0.25)
#: A step that still crashes so long after its state began is told of to whoever waits.
_TOLD_AFTER = timedelta(seconds=5)
_BROKEN = "Something went wrong inside the portal"
#: How often a long step may write its progress.
PROGRESS_EVERY = timedelta(seconds=0.5)


class IllegalMove(Exception):
    """The table has no such arrow: a bug."""


class StaleState(Exception):
    """Somebody was faster: the row is no longer in the state it was read in."""


@dataclass(frozen=True, slots=True)
class Deadline:
    """How long a moving state may last, and where it ends if it does not succeed.

    ``look_every`` caps the pause between two looks; a state that waits for something
    that only a look can see wants it short.
    """

    after: timedelta
    then: str
    look_every: timedelta = timedelta(seconds=60)
    reason: str = "It took longer than {limit}."


Deadlines = Mapping[str, Deadline]


@dataclass(frozen=True, slots=True)
class Go:
    """A step's answer: the state to move to, and what changes with it.

    ``fields`` are written by the same UPDATE, ``alongside`` runs in the same transaction.
    """

    to: str
    reason: str = ""
    fields: Mapping[str, Any] = field(default_factory=dict)
    alongside: Callable[[], None] | None = None


@dataclass(frozen=True, slots=True)
class Move:
    """What a listener hears of: the row itself still says what it was."""

    was: str
    to: str
    reason: str
    by: Any


#: kind -> who hears, by path, of every move of such a row.
_listeners: dict[str, tuple[str, ...]] = {}


def listen(kind: str, path: str) -> None:
    """Have ``path``, a function of a row and its ``Move``, called in the transaction of each.

    For what people are told of. Called once, from the app's ``ready``.
    """
    _listeners[kind] = (*_listeners.get(kind, ()), path)


class Stateful(models.Model):
    """A row with a life. Subclasses name ``KIND``, ``MOVES`` and ``DEADLINES``."""

    KIND: ClassVar[str]
    MOVES: ClassVar[Moves]
    DEADLINES: ClassVar[Deadlines]

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    state: "models.CharField[str, str]"  # each life brings its own column, choices and check
    state_since = models.DateTimeField(default=timezone.now, editable=False)
    reason = models.CharField(max_length=500, blank=True, editable=False)
    next_tick_at = models.DateTimeField(null=True, blank=True, editable=False)
    lease_until = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        abstract = True

    @property
    def token(self) -> str:
        """What this row is called on the other side of a driver."""
        return str(self.uuid)

    @property
    def is_moving(self) -> bool:
        return str(self.state) in self.DEADLINES

    @property
    def cloud_name(self) -> str | None:
        """The cloud whose driver this row's steps get; None for a life without one."""
        return getattr(self, "cloud", None)

    @property
    def owner_pk(self) -> int | None:
        """Whose row it is, for the audit; None: nobody's."""
        return getattr(self, "owner_id", None)

    def record_event(self, verb: str, *, by: Any = None, **more: Any) -> None:
        """Append an event about this row to the history; ``more`` as ``core.models.record``."""
        record(self.KIND, self.uuid, verb, by=by, owner=self.owner_pk, label=str(self), **more)

    def record_denial(self, verb: str, *, by: Any = None, reason: str = "", **more: Any) -> None:
        """Append that ``verb`` was refused, unless the same has just been written."""
        deny(
            self.KIND, self.uuid, verb, by=by, reason=reason, owner=self.owner_pk,
            label=str(self), **more,
        )  # fmt: skip

    def audience(self) -> tuple[int, ...] | None:
        """Ids of the users, besides administrators, whom a change of this row may reach.

        None: everybody who is signed in.
        """
        return ()

    def move(
        self,
        to: str,
        *,
        reason: str = "",
        by: Any = None,
        alongside: Callable[[], None] | None = None,
        detail: Mapping[str, Any] = MappingProxyType({}),
        verb: str = "moved",
        **fields: Any,
    ) -> None:
        """Go to another state, if nobody was faster. ``detail`` is kept with the history.

        ``verb`` is what the history calls it: what a person asked for, if one did.

        A lease is left alone: a worker that is busy with this row for the state it was in
        finishes first, so two are never at it together.

        Raises:
            IllegalMove: ``MOVES`` has no arrow from here to ``to``.
            StaleState: the row is no longer in the state we loaded.
        """
        was = str(self.state)
        if to not in self.MOVES.get(was, frozenset()):
            raise IllegalMove(f"{self._meta.label} {self.pk}: {was} -> {to}")
        now = timezone.now()
        changes = {
            **fields,
            "state": str(to),
            "state_since": now,
            "reason": reason[:500],
            "next_tick_at": now if to in self.DEADLINES else None,
        }
        with transaction.atomic():
            if not self._row().filter(state=was).update(**changes):
                raise StaleState(f"{self._meta.label} {self.pk} left {was}")
            self.record_event(verb, was=was, now=str(to), reason=reason, by=by, **detail)
            if alongside:
                alongside()
            for path in _listeners.get(self.KIND, ()):
                import_string(path)(self, Move(was, str(to), changes["reason"], by))
            self.announce()
        for name, value in changes.items():
            setattr(self, name, value)
        logger.info(
            "state.moved",
            extra={"kind": self.KIND, "subject": self.token, "was": was, "now": str(to),
                   "reason": reason},
        )  # fmt: skip

    def announce(self) -> None:
        """Tell open pages that this row has changed, once this transaction commits."""
        kind, subject, audience = self.KIND, self.token, self.audience()
        transaction.on_commit(lambda: live.publish(kind, subject, audience), robust=True)

    def keep(self, **fields: Any) -> None:
        """From inside a step: write progress and renew the lease.

        Raises:
            StaleState: the row has left this state, or another worker has it by now; the
                step should stop.
        """
        if not self.renew(**fields):
            raise StaleState(f"{self._meta.label} {self.pk} left {self.state}")
        for name, value in fields.items():
            setattr(self, name, value)
        self.announce()

    def renew(self, **fields: Any) -> bool:
        """Have the lease for longer, and write ``fields`` with it; False: it is lost.

        It is lost to whoever moved the row, and to the worker who took it when it had lapsed.
        Two threads of one worker may renew at the same time, one of them in a transaction that
        is rolled back: so none waits for the other, and each lease that was theirs will do.
        """
        until = timezone.now() + LEASE
        self._leases.append(until)
        ours = self._row().filter(self._is_ours(), state=self.state)
        if not ours.update(lease_until=until, **fields):
            return False
        self.lease_until = until
        return True

    @cached_property
    def _leases(self) -> "deque[datetime]":
        return deque(maxlen=_LEASES_KNOWN)

    def _is_ours(self) -> Q:
        return Q(lease_until=self.lease_until) | Q(lease_until__in=list(self._leases))

    def _row(self) -> "models.QuerySet[Any]":
        return type(self)._default_manager.filter(pk=self.pk)


S = TypeVar("S", bound=Stateful)
Step = Callable[[S, CloudDriver], Go | None]


def due(rows: models.QuerySet[S]) -> models.QuerySet[S]:
    """The rows of ``rows`` that a worker should look at now, oldest first."""
    now = timezone.now()
    free = Q(lease_until=None) | Q(lease_until__lt=now)
    return rows.filter(free, next_tick_at__lte=now).order_by("next_tick_at")


def tick(obj: S, steps: Mapping[str, Step[S]], *, is_long: bool = False) -> timedelta | None:
    """Take at most one step, and say when to look again.

    ``is_long``: the step moves bytes, and has the lease for as long as it takes.

    Safe to call at any time, from any number of workers, any number of times: a row that
    is at rest, not yet due, or in another worker's hands is left alone.

    Returns:
        How long to wait before the next look, or None when there is nothing to wait for
        *here*: at rest, or somebody else has booked the next look.
    """
    now = timezone.now()
    if not obj.is_moving:
        return None
    deadline = obj.DEADLINES[str(obj.state)]
    age = now - obj.state_since
    wait = _pause(age, deadline)
    lease = _take(obj, now, wait)
    if lease is None:
        return None
    request_id.set(f"{obj.KIND}-{obj.token[:8]}-{int(now.timestamp())}")
    try:
        with _lasting(obj) if is_long else nullcontext():
            go = _safely(obj, steps, age)
        if is_long and not obj.renew():
            return NOW  # whoever has it now does it from the beginning
        if go is None:
            return wait if obj._row().filter(state=obj.state).exists() else NOW
        obj.move(go.to, reason=go.reason, alongside=go.alongside, **go.fields)
    except StaleState:
        return NOW  # a person changed their mind while we were on the phone
    finally:
        # Guarded by our own lease: a worker that was too late must not free another's.
        obj._row().filter(obj._is_ours()).update(lease_until=None)
    return NOW if obj.is_moving else None


def _safely(obj: S, steps: Mapping[str, Step[S]], age: timedelta) -> Go | None:
    """Take the step; a step that crashes past its deadline still ends where the table says."""
    deadline = obj.DEADLINES[str(obj.state)]
    finished = False
    try:
        go = _step(obj, steps, age)
        finished = True
    finally:
        if not finished and age > deadline.after:
            obj.move(deadline.then, reason=f"{_BROKEN}. Reference: {request_id.get()}.")
        elif not finished and age > _TOLD_AFTER and not _is_told(obj):
            obj.keep(reason=f"{_BROKEN}; it is being tried again. Reference: {request_id.get()}.")
    if go is None and _is_told(obj):
        obj.keep(reason="")
    return go


def _is_told(obj: Stateful) -> bool:
    return obj.reason.startswith(_BROKEN)


@contextmanager
def _lasting(obj: Stateful) -> Iterator[None]:
    """For steps that move bytes: the lease lasts as long as the block, whatever it waits for.

    A server that says nothing, or the writing out of a large file, gives no occasion to renew
    it; then a second worker would begin the same step beside the first.
    """
    ended = threading.Event()
    until = obj.state_since + obj.DEADLINES[str(obj.state)].after

    def renew() -> None:
        try:
            # A step that hangs has the row no longer than its state may last.
            while not ended.wait(LEASE.total_seconds() / 3) and timezone.now() < until:
                try:
                    if not obj.renew():
                        return
                except DatabaseError as exc:  # busy: the next beat may do it
                    extra = {"subject": obj.token, "error": str(exc)}
                    logger.warning("lease.unrenewed", extra=extra)
        finally:
            connection.close()

    beat = threading.Thread(target=renew, name=f"lease-{obj.token[:8]}", daemon=True)
    beat.start()
    try:
        yield
    finally:
        ended.set()
        beat.join()


def _step(obj: S, steps: Mapping[str, Step[S]], age: timedelta) -> Go | None:
    deadline = obj.DEADLINES[str(obj.state)]
    why = ""
    try:
        go = steps[str(obj.state)](obj, clouds[obj.cloud_name] if obj.cloud_name else None)  # type: ignore[arg-type]
    except CloudError as exc:
        logger.warning(
            "step.failed",
            extra={"subject": obj.token, "state": str(obj.state), "error": str(exc),
                   "detail": exc.detail},
        )  # fmt: skip
        go = None if exc.retryable else Go(deadline.then, str(exc))
        why = str(exc)
    if go is None and age > deadline.after:
        limit = deadline.reason.format(limit=_in_words(deadline.after))
        # A state without a sentence of its own keeps the one that it was entered with.
        return Go(deadline.then, f"{limit} {why}".strip() if limit else obj.reason or why)
    return go


def _take(obj: Stateful, now: datetime, wait: timedelta) -> datetime | None:
    """Lease the row and book its next look, in one UPDATE."""
    free = Q(lease_until=None) | Q(lease_until__lt=now)
    until = now + LEASE
    taken = (
        obj._row()
        .filter(free, state=obj.state, state_since=obj.state_since, next_tick_at__lte=now)
        .update(lease_until=until, next_tick_at=now + wait)
    )
    if not taken:
        return None
    obj.lease_until = until
    obj._leases.append(until)
    return until


def _pause(age: timedelta, deadline: Deadline) -> timedelta:
    """A quarter of the time already spent here: a backoff with nothing to store."""
    return min(max(age / 4, SHORTEST_WAIT), deadline.look_every)


def _in_words(span: timedelta) -> str:
    minutes, seconds = divmod(int(span.total_seconds()), 60)
    if not minutes:
        return f"{seconds} seconds"
    return f"{minutes} minute{'s' if minutes != 1 else ''}"


def progress(obj: S) -> Callable[[int, int], None]:
    """A driver's ``on_progress`` that writes ``bytes_done`` and ``bytes_total`` to the row."""
    last: datetime | None = None

    def write(done: int, total: int) -> None:
        nonlocal last
        now = timezone.now()
        if last is None or done == total or now - last >= PROGRESS_EVERY:
            last = now
            obj.keep(bytes_done=done, bytes_total=total)

    return write


def hurry_after(obj: Stateful) -> None:
    """As ``hurry``, once this transaction commits: it takes no lock of ``obj`` in it.

    For a nudge only: whoever is killed in between, the row's own next look comes as booked.
    """
    transaction.on_commit(lambda: hurry(obj), robust=True)


def hurry(obj: Stateful) -> bool:
    """Bring the next look at a moving row forward to now; whether it is still moving."""
    rows = obj._row().filter(state__in=list(obj.DEADLINES))
    return bool(rows.update(next_tick_at=timezone.now()))

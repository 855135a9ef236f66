"""Who is asking, through which door: what the audit says of every act without being told."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Caller:
    """``door``: page, api, console, live, command, or task, the portal's own work.

    ``administrator`` acts as the person ``acts_as`` (primary keys), or nobody does.
    """

    door: str = "task"
    address: str = ""
    administrator: int | None = None
    acts_as: int | None = None


caller: ContextVar[Caller] = ContextVar("caller", default=Caller())  # noqa: B039  (frozen)


@contextmanager
def called(known: Caller) -> Iterator[None]:
    """For the length of a ``with``, this is who asks."""
    token = caller.set(known)
    try:
        yield
    finally:
        caller.reset(token)

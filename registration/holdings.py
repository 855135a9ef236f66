"""What people hold on the floors above this one: each floor names its kind of thing here.

A floor registers the path of its ``Holding`` when its app is ready, and is asked whenever
an account is suspended or closed: nothing is left without an owner.
"""

from collections.abc import Iterator
from typing import Protocol, cast

from django.utils.module_loading import import_string

from registration.models import User


class Holding(Protocol):
    """One kind of thing. Acts happen inside the transaction of whoever asks."""

    def lines(self, person: User) -> list[str]:
        """What ``person`` holds, in sentences; empty if nothing."""
        ...

    def stop(self, person: User, *, by: User, verb: str) -> None:
        """The account is suspended, and what runs shall end: "shut_down" or "kill"."""
        ...

    def hand_over(self, person: User, *, to: User, by: User, is_over_quota: bool) -> None:
        """Make ``to`` the owner of it all.

        Raises: Refused: that of a quota of ``to``, unless it may be ``is_over_quota``.
        """
        ...

    def remove(self, person: User, *, by: User) -> None:
        """End it all. It may take its time: what still ends keeps its owner."""
        ...


_paths: list[str] = []


def register(path: str) -> None:
    """Name the ``Holding`` of a floor. Called once, from the app's ``ready``."""
    _paths.append(path)


def every() -> Iterator[Holding]:
    for path in _paths:
        yield cast(Holding, import_string(path))


def of(person: User) -> list[str]:
    """Everything that ``person`` holds, in sentences."""
    return [line for holding in every() for line in holding.lines(person)]

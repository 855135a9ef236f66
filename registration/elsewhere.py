"""What waits for an administrator on the floors above, each counted by its own."""

from collections.abc import Mapping
from dataclasses import dataclass

from django.utils.module_loading import import_string


@dataclass(frozen=True, slots=True, kw_only=True)
class Elsewhere:
    """``count``: a function by its path, for what is there when it is needed; it takes the number
    beyond which counting tells nothing more. ``one``, ``many``: words behind a number."""

    count: str
    page: str  # URL name
    one: str
    many: str

    def said(self, number: int) -> str:
        return f"{number:,} {self.one if number == 1 else self.many}"


_known: dict[str, Elsewhere] = {}


def register(name: str, elsewhere: Elsewhere) -> None:
    """Have something counted. Called once, from the app's ``ready``."""
    _known[name] = elsewhere


def counts(most: int) -> Mapping[str, int]:
    """One query for each name."""
    return {name: import_string(one.count)(most) for name, one in _known.items()}


def waiting(most: int) -> list[tuple[Elsewhere, int]]:
    """What waits, with how many of it."""
    return [(_known[name], number) for name, number in counts(most).items() if number]

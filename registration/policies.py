"""Which policies hold, who has agreed to them, and what changed from one to the next."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from django.db.models import Count, QuerySet

from registration import differences as comparing
from registration.differences import Block
from registration.models import Policy, User
from registration.policy_text import TEXT

#: Of so many pairs of versions, each process remembers what differs.
PAIRS_KEPT = 32


def current() -> Policy:
    """The policies as they are now; until an administrator publishes some, the shipped ones."""
    return Policy.objects.order_by("-version").first() or Policy(version=1, text=TEXT)


def find(version: int) -> Policy | None:
    """This version, if it was ever published, or holds."""
    found = Policy.objects.filter(version=version).first()
    if found is None and version == 1 and not Policy.objects.exists():
        return current()
    return found


def wanted_version() -> int:
    """The oldest version that it is enough to have agreed to."""
    latest = Policy.objects.filter(asks_again=True).order_by("-version")
    return latest.values_list("version", flat=True).first() or 1


def must_agree(user: Any) -> bool:
    return bool(user.policy_version < wanted_version())


@dataclass(frozen=True, slots=True)
class Change:
    """What is new for somebody who knows ``since``; None: they know none."""

    since: Policy | None
    told: list[Policy]  # the versions after it, whose ``changes`` say what is new
    blocks: tuple[Block, ...]


def change(policy: Policy, *, since: int) -> Change:
    """What changed up to ``policy`` since the version that somebody agreed to."""
    known = find(since)
    later = Policy.objects.filter(version__gt=since, version__lte=policy.version)
    told = list(later.exclude(changes="").defer("text").order_by("version"))
    return Change(known, told, differences(known.text, policy.text) if known else ())


@lru_cache(maxsize=PAIRS_KEPT)
def differences(before: str, after: str) -> tuple[Block, ...]:
    """What differs between two texts; once known, a process does not work it out again."""
    return tuple(comparing.differences(before, after))


def former(policy: Policy) -> Policy | None:
    return Policy.objects.filter(version__lt=policy.version).order_by("-version").first()


@dataclass(frozen=True, slots=True)
class Standing:
    """How many active people agreed to a version last."""

    policy: Policy
    people: int
    is_enough: bool  # to have agreed to it


def standings() -> list[Standing]:
    """Every version, the newest first, with the people who agreed to it last: two queries."""
    rows = User.objects.active().order_by().values_list("policy_version").annotate(Count("pk"))
    people: dict[int, int] = dict(rows)
    policies = list(Policy.objects.select_related("published_by").defer("text"))
    wanted = next((policy.version for policy in policies if policy.asks_again), 1)
    return [
        Standing(policy, people.get(policy.version, 0), policy.version >= wanted)
        for policy in policies
    ]


def missing(search: str = "") -> "QuerySet[User]":
    """Who is let in and has not agreed to what holds: those who were here last come first."""
    people = User.objects.active().filter(policy_version__lt=wanted_version())
    rows: QuerySet[User] = people.search(search).order_by("-last_seen_at", "pk")
    return rows

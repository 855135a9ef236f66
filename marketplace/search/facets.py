"""How many entries each value of each filter would leave, were it chosen instead.

The database counts small groups of entries that are alike; they are added up here. Endorsers and
tags are too many for groups, so they are counted by themselves, the most frequent ones only.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from django.db.models import BooleanField, Case, Count, Q, Value, When
from django.utils import timezone

from marketplace.models import EntryQuerySet
from marketplace.search.asked import ANY, LISTS, Asked
from marketplace.states import EntryStatus

#: Values of one facet that are counted for the page.
MOST_VALUES = 24
#: Filters of few values, by which groups are counted.
GROUPED = ("os", "version", "arch", "kind")
COUNTED = ("endorser", "tag")


class Group(NamedTuple):
    """Entries that are alike, how many of them in each status."""

    os: str
    version: str
    arch: str
    kind: str
    is_on_web: bool
    is_on_pdisk: bool
    is_official: bool
    valid: int
    expired: int
    deprecated: int

    def number(self, status: str) -> int:
        if status == ANY:
            return self.valid + self.expired + self.deprecated
        found: int = getattr(self, status)
        return found


@dataclass(slots=True)
class Counts:
    """``of["os"]["Debian"]``; ``total``: what all filters together leave."""

    total: int = 0
    of: Mapping[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))


def count(rows: EntryQuerySet, asked: Asked) -> Counts:
    """Counts among ``rows``, those that the words of the search find. Three queries."""
    found = Counts()
    for group in _groups(filtered(rows, asked, *COUNTED)):
        _add(found, group, asked)
    for name in COUNTED:
        others = [other for other in (*LISTS, "status", "location", "official") if other != name]
        found.of[name].update(_most_frequent(filtered(rows, asked, *others), name, asked))
    return found


def filtered(rows: EntryQuerySet, asked: Asked, *names: str) -> EntryQuerySet:
    """Those that these filters leave; all of them, if none is named."""
    for name in names or (*LISTS, "status", "location", "official"):
        value = getattr(asked, name)
        if name == "status":
            rows = rows.with_status(value)
        elif name == "location":
            if value != ANY:
                rows = rows.filter(**{f"is_on_{value}": True})
        elif name == "official":
            rows = rows.filter(is_official=True) if value else rows
        elif value:
            rows = rows.filter(**{f"{LISTS[name]}__in": value})
    return rows


def _groups(rows: EntryQuerySet) -> list[Group]:
    now = timezone.now()
    is_current = Q(is_deprecated=False)
    alike = rows.order_by().values_list(
        "os", "os_version", "os_arch", "kind", "is_on_web", "is_on_pdisk", "is_official"
    )
    counted = alike.annotate(
        n_valid=Count("pk", filter=is_current & Q(valid_until__gt=now)),
        n_expired=Count("pk", filter=is_current & Q(valid_until__lte=now)),
        n_deprecated=Count("pk", filter=Q(is_deprecated=True)),
    )
    return [Group(*row) for row in counted]


def _add(found: Counts, group: Group, asked: Asked) -> None:
    """Each facet counts what all filters but its own let pass."""
    against = [name for name in GROUPED if _refuses(getattr(asked, name), getattr(group, name))]
    if asked.location != ANY and not getattr(group, f"is_on_{asked.location}"):
        against.append("location")
    if asked.official and not group.is_official:
        against.append("official")
    if len(against) > 1:
        return
    number = group.number(asked.status)
    for name in against or (*GROUPED, "location", "official"):
        for value in _values(group, name):
            found.of[name][value] += number
    if not against:
        found.total += number
        for status in (EntryStatus.VALID, EntryStatus.EXPIRED, EntryStatus.DEPRECATED):
            found.of["status"][status.value] += group.number(status.value)
        found.of["status"][ANY] += group.number(ANY)


def _refuses(wanted: tuple[str, ...], value: str) -> bool:
    return bool(wanted) and value not in wanted


def _values(group: Group, name: str) -> list[str]:
    if name == "location":
        return [place for place in ("web", "pdisk") if getattr(group, f"is_on_{place}")]
    if name == "official":
        return ["1"] if group.is_official else []
    value = getattr(group, name)
    return [value] if value else []


def _most_frequent(rows: EntryQuerySet, name: str, asked: Asked) -> dict[str, int]:
    """Those that are chosen, then the most frequent ones."""
    column, chosen = LISTS[name], getattr(asked, name)
    is_chosen = Case(
        When(**{f"{column}__in": chosen}, then=Value(True)),
        default=Value(False),
        output_field=BooleanField(),
    )
    rows = rows.exclude(**{column: ""}).order_by()
    counted: Any = rows.values(column).annotate(n=Count("pk"))
    if chosen:
        counted = counted.annotate(is_chosen=is_chosen).order_by("-is_chosen", "-n", column)
    else:
        counted = counted.order_by("-n", column)
    return {row[column]: row["n"] for row in counted[:MOST_VALUES]}

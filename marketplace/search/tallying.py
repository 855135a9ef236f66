"""How many of the entries found are alike, and the most frequent endorsers and tags among them.

SQLite counts thrice: each time it walks an index in the order of what is counted, which costs
less there than to keep the rows. PostgreSQL counts everything in one pass over the rows.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from django.core.exceptions import EmptyResultSet
from django.db import connection
from django.db.models import BooleanField, Case, Count, ExpressionWrapper, Q, Value, When
from django.utils import timezone

from marketplace.models import EntryQuerySet
from marketplace.search.asked import ANY, FOLDED, LISTS, Asked
from marketplace.states import EntryStatus

ALIKE = ("os", "os_version", "os_arch", "kind", "is_on_web", "is_on_pdisk", "is_official")
#: Filters of too many values for groups.
COUNTED = ("endorser", "tag")
FILTERS = (*LISTS, "status", "location", "official")


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


@dataclass(frozen=True, slots=True)
class Tallies:
    """``groups`` of what the filters of ``COUNTED`` let pass; ``frequent["tag"]["base"]`` of what
    all filters but that one do."""

    groups: list[Group]
    frequent: Mapping[str, Mapping[str, int]]


def tallies(rows: EntryQuerySet, asked: Asked, words: Q, *, most: int) -> Tallies:
    """``most`` values of each filter of ``COUNTED``: those that are chosen come first.

    ``words``: what the search asks for. SQLite asks in the order that is written, so what takes
    longest to answer stands last.
    """
    if connection.vendor == "postgresql":
        return _together(rows.filter(words), asked, most)
    frequent = {name: _most_frequent(rows, asked, words, name)[:most] for name in COUNTED}
    return Tallies(
        groups=_groups(filtered(rows, asked, *COUNTED).filter(words)),
        frequent={name: dict(found) for name, found in frequent.items()},
    )


def filtered(rows: EntryQuerySet, asked: Asked, *names: str) -> EntryQuerySet:
    """Those that these filters leave; all of them, if none is named."""
    return rows.filter(_passing(asked, names or FILTERS))


def _passing(asked: Asked, names: tuple[str, ...]) -> Q:
    found = Q()
    for name in names:
        value = getattr(asked, name)
        if name == "status":
            found &= _statuses(timezone.now()).get(value, Q())
        elif name == "location":
            found &= Q(**{f"is_on_{value}": True}) if value != ANY else Q()
        elif name == "official":
            found &= Q(is_official=True) if value else Q()
        elif name in FOLDED:
            found &= _any_case(LISTS[name], value)
        elif value:
            found &= Q(**{f"{LISTS[name]}__in": value})
    return found


def _any_case(column: str, values: Iterable[str]) -> Q:
    found = Q()
    for value in values:
        found |= Q(**{f"{column}__iexact": value})
    return found


def _others(name: str) -> tuple[str, ...]:
    return tuple(other for other in FILTERS if other != name)


def _statuses(now: datetime) -> dict[str, Q]:
    return {
        EntryStatus.VALID.value: Q(is_deprecated=False, valid_until__gt=now),
        EntryStatus.EXPIRED.value: Q(is_deprecated=False, valid_until__lte=now),
        EntryStatus.DEPRECATED.value: Q(is_deprecated=True),
    }


# One after another -----------------------------------------------------------------------


def _groups(rows: EntryQuerySet) -> list[Group]:
    """What is neither valid nor deprecated has expired: a test less for every row."""
    tests = _statuses(timezone.now())
    counted = {
        f"n_{status}": Count(Value(1), filter=tests[status])
        for status in (EntryStatus.VALID.value, EntryStatus.DEPRECATED.value)
    }
    alike = rows.order_by().values_list(*ALIKE).annotate(**counted, n=Count("*"))
    return [
        Group._make([*values, valid, every - valid - deprecated, deprecated])
        for *values, valid, deprecated, every in alike
    ]


def _most_frequent(rows: EntryQuerySet, asked: Asked, words: Q, name: str) -> Any:
    """Pairs of value and number: those that are chosen, then the most frequent ones."""
    column, chosen = LISTS[name], getattr(asked, name)
    rows = filtered(rows, asked, *_others(name)).exclude(**{column: ""}).filter(words).order_by()
    counted: Any = rows.values_list(column).annotate(n=Count("*"))
    if not chosen:
        return counted.order_by("-n", column)
    is_chosen = Case(
        When(**{f"{column}__in": chosen}, then=Value(True)),
        default=Value(False),
        output_field=BooleanField(),
    )
    return counted.alias(is_chosen=is_chosen).order_by("-is_chosen", "-n", column)


# Together --------------------------------------------------------------------------------

_GROUPS, _ENDORSERS, _TAGS = 3, 1, 2  # what GROUPING says of the three sets
_ALIKE = ", ".join(ALIKE)
_TOGETHER = f"""
WITH tallied AS (
    SELECT GROUPING(endorser_email, alternative) AS facet,
        coalesce(endorser_email, alternative) AS value, {_ALIKE},
        count(*) FILTER (WHERE in_groups AND in_valid) AS valid,
        count(*) FILTER (WHERE in_groups AND in_expired) AS expired,
        count(*) FILTER (WHERE in_groups AND in_deprecated) AS deprecated,
        count(*) FILTER (WHERE in_endorser) AS of_endorser,
        count(*) FILTER (WHERE in_tag) AS of_tag
    FROM ({{hits}}) AS hits
    GROUP BY GROUPING SETS (({_ALIKE}), (endorser_email), (alternative))
), frequent AS (
    SELECT *, row_number() OVER (
        PARTITION BY facet
        ORDER BY value = ANY(CASE facet WHEN {_ENDORSERS} THEN %s::text[] ELSE %s::text[] END) DESC,
            number DESC, value
    ) AS place
    FROM (
        SELECT *, CASE facet WHEN {_ENDORSERS} THEN of_endorser ELSE of_tag END AS number
        FROM tallied WHERE facet <> {_GROUPS} AND value <> ''
    ) AS counted
    WHERE number > 0
)
SELECT facet, '' AS value, 0 AS number, {_ALIKE}, valid, expired, deprecated
FROM tallied WHERE facet = {_GROUPS} AND valid + expired + deprecated > 0
UNION ALL
SELECT facet, value, number, {_ALIKE}, valid, expired, deprecated
FROM frequent WHERE place <= %s
"""  # noqa: S608  (names of our own; what was asked is a parameter)


def _together(rows: EntryQuerySet, asked: Asked, most: int) -> Tallies:
    found: dict[int, list[tuple[Any, ...]]] = {_GROUPS: [], _ENDORSERS: [], _TAGS: []}
    try:
        hits, params = _hits(rows, asked)
    except EmptyResultSet:
        return Tallies([], {})
    with connection.cursor() as cursor:
        cursor.execute(
            _TOGETHER.format(hits=hits), [*params, list(asked.endorser), list(asked.tag), most]
        )
        for facet, *row in cursor.fetchall():
            found[facet].append(tuple(row))
    return Tallies(
        groups=[Group(*row[2:]) for row in found[_GROUPS]],
        frequent={
            "endorser": {row[0]: row[1] for row in found[_ENDORSERS]},
            "tag": {row[0]: row[1] for row in found[_TAGS]},
        },
    )


def _hits(rows: EntryQuerySet, asked: Asked) -> tuple[str, tuple[Any, ...]]:
    """The question for what is counted, each row with the counts that it is in."""
    tests = {
        **_statuses(timezone.now()),
        "groups": _passing(asked, COUNTED),
        **{name: _passing(asked, _others(name)) for name in COUNTED},
    }
    counts = {
        f"in_{name}": ExpressionWrapper(test, output_field=BooleanField())
        for name, test in tests.items()
    }
    columns = rows.order_by().values_list(*ALIKE, "endorser_email", "alternative")
    found: tuple[str, tuple[Any, ...]] = columns.annotate(**counts).query.sql_with_params()
    return found

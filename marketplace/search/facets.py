"""How many entries each value of each filter would leave, were it chosen instead.

The database counts small groups of entries that are alike; they are added up here. Endorsers and
tags are too many for groups, so they are counted by themselves, the most frequent ones only.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from operator import attrgetter

from django.db.models import Q

from marketplace.models import EntryQuerySet
from marketplace.search.asked import ANY, FOLDED, STATUSES, Asked
from marketplace.search.tallying import Group, tallies

#: Values of one facet that are counted for the page.
MOST_VALUES = 24
#: Filters of few values, by which groups are counted.
GROUPED = ("os", "version", "arch", "kind")
#: What a group counts for in each facet; "" for nothing.
VALUES: Mapping[str, Callable[[Group], tuple[str, ...]]] = {
    "os": lambda group: (group.os,),
    "version": lambda group: (group.version,),
    "arch": lambda group: (group.arch,),
    "kind": lambda group: (group.kind,),
    "location": lambda group: ("web" * group.is_on_web, "pdisk" * group.is_on_pdisk),
    "official": lambda group: ("1" * group.is_official,),
}


@dataclass(slots=True)
class Counts:
    """``of["os"]["Debian"]``; ``total``: what all filters together leave."""

    total: int = 0
    of: Mapping[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))


def count(rows: EntryQuerySet, asked: Asked, words: Q) -> Counts:
    """Counts among those of ``rows`` that have the ``words``; always the same queries."""
    found = Counts()
    tallied = tallies(rows, asked, words, most=MOST_VALUES)
    _add(found, tallied.groups, asked)
    for name, numbers in tallied.frequent.items():
        found.of[name].update(numbers)
    for name in FOLDED:
        _fold(found.of[name], getattr(asked, name))
    return found


def _fold(counted: Counter[str], chosen: tuple[str, ...]) -> None:
    """Count spellings that differ in case as one: that which is chosen, or the most frequent."""
    spelled = {value.casefold(): value for value in chosen}
    for value, number in sorted(counted.items(), key=lambda one: (-one[1], one[0])):
        name = spelled.setdefault(value.casefold(), value)
        if name != value:
            counted[name] += number
            del counted[value]


def _add(found: Counts, groups: Iterable[Group], asked: Asked) -> None:
    """Each facet counts what all filters but its own let pass."""
    passed = list(_passed(groups, asked))
    for name in VALUES:
        counted, values = found.of[name], VALUES[name]
        for group, refused_by in passed:
            if not refused_by or refused_by == name:
                number = group.number(asked.status)
                for value in values(group):
                    counted[value] += number
        del counted[""]  # of those that say nothing
    for status in STATUSES:
        found.of["status"][status] = sum(
            group.number(status) for group, refused_by in passed if not refused_by
        )
    found.total = found.of["status"][asked.status]


def _passed(groups: Iterable[Group], asked: Asked) -> Iterator[tuple[Group, str]]:
    """Those that one filter refuses, with its name, or none ("")."""
    tests = list(_tests(asked))
    for group in groups:
        against = [name for name, lets_pass in tests if not lets_pass(group)]
        if len(against) < 2:
            yield group, "".join(against)


def _tests(asked: Asked) -> Iterator[tuple[str, Callable[[Group], bool]]]:
    """What each filter that is on lets pass."""
    for name in GROUPED:
        if wanted := {value.casefold() for value in getattr(asked, name)}:
            yield name, partial(_is_one, attrgetter(name), wanted)
    if asked.location != ANY:
        yield "location", attrgetter(f"is_on_{asked.location}")
    if asked.official:
        yield "official", attrgetter("is_official")


def _is_one(value: Callable[[Group], str], wanted: Collection[str], group: Group) -> bool:
    return value(group).casefold() in wanted

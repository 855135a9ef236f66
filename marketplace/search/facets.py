"""How many entries each value of each filter would leave, were it chosen instead.

The database counts small groups of entries that are alike; they are added up here. Endorsers and
tags are too many for groups, so they are counted by themselves, the most frequent ones only.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

from marketplace.models import EntryQuerySet
from marketplace.search.asked import ANY, FOLDED, Asked
from marketplace.search.tallying import Group, tallies
from marketplace.states import EntryStatus

#: Values of one facet that are counted for the page.
MOST_VALUES = 24
#: Filters of few values, by which groups are counted.
GROUPED = ("os", "version", "arch", "kind")


@dataclass(slots=True)
class Counts:
    """``of["os"]["Debian"]``; ``total``: what all filters together leave."""

    total: int = 0
    of: Mapping[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))


def count(rows: EntryQuerySet, asked: Asked) -> Counts:
    """Counts among ``rows``, those that the words of the search find; always the same queries."""
    found = Counts()
    tallied = tallies(rows, asked, most=MOST_VALUES)
    for group in tallied.groups:
        _add(found, group, asked)
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
    return bool(wanted) and value.casefold() not in {one.casefold() for one in wanted}


def _values(group: Group, name: str) -> list[str]:
    if name == "location":
        return [place for place in ("web", "pdisk") if getattr(group, f"is_on_{place}")]
    if name == "official":
        return ["1"] if group.is_official else []
    value = getattr(group, name)
    return [value] if value else []

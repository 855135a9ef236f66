"""The facets beside the catalogue, and the filters that are on: words, counts, and addresses."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from marketplace.models import NO_SYSTEM
from marketplace.search.asked import ANY, KINDS, LISTS, LOCATIONS, STATUSES, Asked
from marketplace.search.facets import MOST_VALUES, Counts
from marketplace.states import EntryStatus

#: Values of a facet that show at once.
SHOWN = 8
LABELS = {
    "os": "Operating system", "version": "Version of the system", "arch": "Architecture",
    "endorser": "Endorser", "tag": "Tag",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Value:
    label: str
    count: int
    url: str
    is_on: bool = False


@dataclass(frozen=True, slots=True)
class Facet:
    """``more``: the values that unfold; ``is_cut``: there may be others yet, less frequent."""

    name: str
    label: str
    values: Sequence[Value]
    more: Sequence[Value] = ()
    is_cut: bool = False


@dataclass(frozen=True, slots=True)
class Filter:
    """One that is on; ``url`` takes it off."""

    label: str
    value: str
    url: str


def facets(asked: Asked, counts: Counts) -> list[Facet]:
    found = [
        _status(asked, counts),
        _kind(asked, counts),
        *(_listed(name, asked, counts) for name in ("os", "version", "arch", "endorser")),
        _location(asked, counts),
        _listed("tag", asked, counts),
    ]
    return [facet for facet in found if facet.values]


def _status(asked: Asked, counts: Counts) -> Facet:
    values = [
        Value(
            label, counts.of["status"][status], asked.with_(status=status), status == asked.status
        )
        for status, label in STATUSES.items()
    ]
    return Facet("status", "Status", values)


def _kind(asked: Asked, counts: Counts) -> Facet:
    return Facet("kind", "Kind", _values("kind", KINDS, asked, counts.of["kind"], KINDS))


def _location(asked: Asked, counts: Counts) -> Facet:
    values = [
        Value(
            label,
            counts.of["location"][place],
            asked.with_(location=ANY if asked.location == place else place),
            asked.location == place,
        )
        for place, label in LOCATIONS.items()
    ]
    return Facet(
        "location", "Where its bytes are", [one for one in values if one.count or one.is_on]
    )


def _listed(name: str, asked: Asked, counts: Counts) -> Facet:
    counted = counts.of[name]
    chosen = getattr(asked, name)
    frequent = [value for value, number in counted.most_common(MOST_VALUES) if number]
    names = list(dict.fromkeys((*chosen, *frequent)))
    values = _values(name, names, asked, counted)
    if name == "endorser" and (counts.of["official"]["1"] or asked.official):
        url = asked.with_(official=not asked.official)
        own = Value("This site (official)", counts.of["official"]["1"], url, asked.official)
        values = [own, *values]
    is_cut = len(counted) >= MOST_VALUES
    return Facet(name, LABELS[name], values[:SHOWN], values[SHOWN:], is_cut)


def _values(
    name: str,
    names: Iterable[str],
    asked: Asked,
    counted: Counter[str],
    labels: Mapping[str, str] | None = None,
) -> list[Value]:
    chosen = getattr(asked, name)
    wanted = [
        value
        for value in names
        if value in chosen or (counted[value] and value.lower() != NO_SYSTEM)
    ]
    return [
        Value((labels or {}).get(value, value), counted[value], url, value in chosen)
        for value, url in asked.toggled(name, wanted).items()
    ]


def filters(asked: Asked) -> Iterator[Filter]:
    """Those that are on, but for the words of the search."""
    if asked.status != EntryStatus.VALID:
        url = asked.with_(status=EntryStatus.VALID.value)
        yield Filter("Status", STATUSES[asked.status], url)
    for name in LISTS:
        label = LABELS.get(name, "Kind")
        for value, url in asked.toggled(name, getattr(asked, name)).items():
            said = KINDS.get(value, value) if name == "kind" else value
            yield Filter(label, said, url)
    if asked.official:
        yield Filter("Endorser", "this site", asked.with_(official=False))
    if asked.location != ANY:
        yield Filter("Where", LOCATIONS[asked.location].lower(), asked.with_(location=ANY))
    for name, label in (
        ("creator", "Creator"), ("email", "Endorser's address"), ("description", "Description"),
    ):  # fmt: skip
        if text := getattr(asked, name):
            yield Filter(label, text, asked.with_(**{name: ""}))

"""Which images this site lets machines start from: the rule of its six lists.

A list without a line is not active. Each entry is judged by itself, in this order: endorser on
the white list, then on the black one; so its checksums, so its identifier. The first list that
refuses it is named. Source: stratuslab.md 7.6, without its bugs.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Self

from django.db.models import Q
from django.db.models.functions import Lower

from marketplace.models import Entry, EntryQuerySet, PolicyLine
from marketplace.states import Colour, Subject

Key = tuple[str, str]

#: The order in which the lists are asked.
ORDER: tuple[Key, ...] = tuple(
    (subject.value, colour.value)
    for subject in (Subject.ENDORSER, Subject.CHECKSUM, Subject.IMAGE)
    for colour in (Colour.WHITE, Colour.BLACK)
)
_NOUNS: Mapping[str, str] = {
    Subject.ENDORSER: "the endorser",
    Subject.CHECKSUM: "the checksum",
    Subject.IMAGE: "the image",
}
_NAMES: Mapping[str, str] = {
    Subject.ENDORSER: "endorsers",
    Subject.CHECKSUM: "checksums",
    Subject.IMAGE: "images",
}


#: To judge more entries than this, all lines are read; for fewer, those that are about them.
_FEW = 200


@dataclass(frozen=True, slots=True)
class Rules:
    """The lines of the six lists at one moment, by subject and colour; of active lists only."""

    lists: Mapping[Key, frozenset[str]]

    @classmethod
    def of(cls, lines: Iterable[tuple[str, str, str]]) -> Self:
        """``lines`` are subject, colour and value."""
        found: dict[Key, set[str]] = {}
        for subject, colour, value in lines:
            found.setdefault((subject, colour), set()).add(value)
        return cls({key: frozenset(values) for key, values in found.items()})

    @classmethod
    def now(cls) -> Self:
        return cls.of(PolicyLine.objects.order_by().values_list("subject", "colour", "value"))

    @classmethod
    def about(cls, entries: Collection[Entry]) -> Self:
        """Which lists are active, and those of their lines that are about ``entries``."""
        if len(entries) > _FEW:
            return cls.now()
        lines = PolicyLine.objects.order_by()
        found: dict[Key, set[str]] = {
            key: set() for key in lines.values_list("subject", "colour").distinct()
        }
        wanted = Q(pk__in=[])
        for subject in {subject for subject, _ in found}:
            values = {value for entry in entries for value in values_of(entry, subject)}
            # Both colours, so that the index over subject, colour and value is of use.
            wanted |= Q(subject=subject, colour__in=Colour.values, value__in=values)
        for subject, colour, value in lines.filter(wanted).values_list(
            "subject", "colour", "value"
        ):
            found.setdefault((subject, colour), set()).add(value)
        return cls({key: frozenset(values) for key, values in found.items()})

    def refusal(self, entry: Entry) -> str:
        """Why no machine may start from this entry, naming the list and the value; or ""."""
        for subject, colour in ORDER:
            listed = self.lists.get((subject, colour))
            if listed is None:
                continue
            values = values_of(entry, subject)
            hit = next((value for value in values if value in listed), "")
            if bool(hit) is (colour == Colour.BLACK):
                return _sentence(subject, colour, hit or next(iter(values), ""))
        return ""


def refusal(entry: Entry) -> str:
    """Why no machine may start from this entry here, or ""."""
    return Rules.about([entry]).refusal(entry)


def verdicts(entries: Iterable[Entry]) -> dict[int, str]:
    """As ``refusal``, for each of many by its primary key. Two queries for all."""
    rows = list(entries)
    rules = Rules.about(rows)
    return {entry.pk: rules.refusal(entry) for entry in rows}


def values_of(entry: Entry, subject: str) -> tuple[str, ...]:
    """What the lists about ``subject`` compare an entry by, as their lines are written."""
    if subject == Subject.ENDORSER:
        return (entry.endorser_email.lower(),)
    if subject == Subject.CHECKSUM:
        sums = (entry.sha1, entry.sha256, entry.sha512)
        return tuple(digest.lower() for digest in sums if digest)
    return (entry.identifier,)


def _sentence(subject: str, colour: str, value: str) -> str:
    noun, name = _NOUNS[subject], _NAMES[subject]
    if not value:
        return (
            f"Not allowed here: the entry states no checksum that this site's white list of "
            f"{name} could hold."
        )
    found = "is" if colour == Colour.BLACK else "is not"
    return f"Not allowed here: {noun} {value} {found} on this site's {colour} list of {name}."


def judged(rows: EntryQuerySet, *, refused_by: Rules, allowed_by: Rules) -> EntryQuerySet:
    """Those of ``rows`` that one set of lists refuses and the other one allows.

    The database judges: a catalogue is too large to be read for it.
    """
    with_address = rows.alias(address=Lower("endorser_email"))
    return with_address.filter(_is_refused(refused_by)).exclude(_is_refused(allowed_by))


def _is_refused(rules: Rules) -> Q:
    found = Q(pk__in=[])
    for subject, colour in ORDER:
        if listed := rules.lists.get((subject, colour)):
            on_it = _is_on(subject, listed)
            found |= on_it if colour == Colour.BLACK else ~on_it
    return found


def _is_on(subject: str, values: Collection[str]) -> Q:
    if subject == Subject.ENDORSER:
        return Q(address__in=values)
    if subject == Subject.CHECKSUM:
        return Q(sha1__in=values) | Q(sha256__in=values) | Q(sha512__in=values)
    return Q(identifier__in=values)

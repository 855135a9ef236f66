"""Which images this site lets machines start from: the rule of its six lists.

A list without a line is not active. Each entry is judged by itself, in this order: endorser on
the white list, then on the black one; so its checksums, so its identifier. The first list that
refuses it is named. Source: stratuslab.md 7.6, without its bugs.

An entry is judged by what it states, and by what was found of its bytes where this site has
copied them: leaving a checksum out helps nobody.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Self

from django.db.models import Q
from django.db.models.functions import Lower

from marketplace.identifiers import identifier_of, is_identifier, sha1_of
from marketplace.models import Entry, EntryQuerySet, ImageFile, PolicyLine
from marketplace.states import Colour, Subject

Key = tuple[str, str]
#: By the names of ``hashlib``.
Sums = Mapping[str, str]

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
_SUMS = ("sha1", "sha256", "sha512")

#: To judge more entries than this, all lines are read; for fewer, those that are about them.
_FEW = 200


@dataclass(frozen=True, slots=True)
class Rules:
    """The lines of the six lists at one moment, by subject and colour; of active lists only.

    ``found``: checksums of the bytes that were copied, by the identifier of the image.
    """

    lists: Mapping[Key, frozenset[str]]
    found: Mapping[str, Sums] = field(default_factory=dict)

    @classmethod
    def of(cls, lines: Iterable[tuple[str, str, str]]) -> Self:
        """``lines`` are subject, colour and value; of what is copied here nothing is known."""
        found: dict[Key, set[str]] = {}
        for subject, colour, value in lines:
            found.setdefault((subject, colour), set()).add(value)
        return cls({key: frozenset(values) for key, values in found.items()})

    @classmethod
    def now(cls) -> Self:
        rules = cls.of(PolicyLine.objects.order_by().values_list("subject", "colour", "value"))
        return replace(rules, found=_sums_found(rules.lists))

    @classmethod
    def about(cls, entries: Collection[Entry]) -> Self:
        """Which lists are active, and those of their lines that are about ``entries``."""
        if len(entries) > _FEW:
            return cls.now()
        lines = PolicyLine.objects.order_by()
        found: dict[Key, set[str]] = {
            key: set() for key in lines.values_list("subject", "colour").distinct()
        }
        sums = _sums_found(found, {entry.identifier for entry in entries})
        wanted = Q(pk__in=[])
        for subject in {subject for subject, _ in found}:
            values = {
                value
                for entry in entries
                for value in values_of(entry, subject, sums.get(entry.identifier, {}))
            }
            # Both colours, so that the index over subject, colour and value is of use.
            wanted |= Q(subject=subject, colour__in=Colour.values, value__in=values)
        for subject, colour, value in lines.filter(wanted).values_list(
            "subject", "colour", "value"
        ):
            found.setdefault((subject, colour), set()).add(value)
        return cls({key: frozenset(values) for key, values in found.items()}, sums)

    def refusal(self, entry: Entry) -> str:
        """Why no machine may start from this entry, naming the list and the value; or ""."""
        sums = self.found.get(entry.identifier, {})
        for subject, colour in ORDER:
            listed = self.lists.get((subject, colour))
            if listed is None:
                continue
            values = values_of(entry, subject, sums)
            hit = next((value for value in values if value in listed), "")
            if bool(hit) is (colour == Colour.BLACK):
                return _sentence(subject, colour, hit or next(iter(values), ""))
        return ""


def refusal(entry: Entry) -> str:
    """Why no machine may start from this entry here, or ""."""
    return Rules.about([entry]).refusal(entry)


def verdicts(entries: Iterable[Entry]) -> dict[int, str]:
    """As ``refusal``, for each of many by its primary key. Three queries at most for all."""
    rows = list(entries)
    rules = Rules.about(rows)
    return {entry.pk: rules.refusal(entry) for entry in rows}


def values_of(entry: Entry, subject: str, found: Sums) -> tuple[str, ...]:
    """What the lists about ``subject`` compare an entry by, as their lines are written.

    ``found``: the checksums of its bytes, as far as this site has looked itself.
    """
    if subject == Subject.ENDORSER:
        return (entry.endorser_email.lower(),)
    if subject == Subject.CHECKSUM:
        sums = [getattr(entry, name).lower() for name in _SUMS]
        sums += [found.get(name, "") for name in _SUMS]
        return tuple(dict.fromkeys(filter(None, sums)))
    names = [entry.identifier]
    if sha1 := found.get("sha1"):
        names.append(identifier_of(sha1))
    return tuple(dict.fromkeys(names))


def _sums_found(
    active: Collection[Key], identifiers: Collection[str] | None = None
) -> dict[str, Sums]:
    """What was found of the images named so, or of all. Nothing is asked if no list wants it."""
    if not any(subject in (Subject.CHECKSUM, Subject.IMAGE) for subject, _ in active):
        return {}
    rows = ImageFile.objects.order_by()
    if identifiers is not None:
        rows = rows.filter(identifier__in=identifiers)
    sums: dict[str, Sums] = {}
    for identifier, found in rows.values_list("identifier", "sums"):
        sums[identifier] = {**sums.get(identifier, {}), **found}
    return sums


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
        stated, found = (_any_sum(start, values) for start in ("", "sums__"))
        return stated | _copied(found)
    sha1s = [sha1_of(value) for value in values if is_identifier(value)]
    return Q(identifier__in=values) | _copied(Q(sums__sha1__in=sha1s))


def _any_sum(start: str, values: Collection[str]) -> Q:
    found = Q()
    for name in _SUMS:
        found |= Q(**{f"{start}{name}__in": values})
    return found


def _copied(found: Q) -> Q:
    """Entries of images of which that was found when they were copied."""
    return Q(identifier__in=ImageFile.objects.filter(found).order_by().values("identifier"))

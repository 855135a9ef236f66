"""The six lists of the site's policy: what a change of them would do, and the doing of it."""

import configparser
import hashlib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import transaction
from django.db.models import Q

from core.errors import Refused
from core.models import record
from marketplace.identifiers import PATTERN, identifier_of
from marketplace.models import Entry, EntryQuerySet, PolicyLine
from marketplace.policy import Rules, judged
from marketplace.states import Colour, Subject
from registration.actions import rules as people
from registration.models import User

#: Lines of all six lists: each is read at every launch.
MOST_LINES = 5000
LONGEST_NOTE = 200
LONGEST_FILE = 1 << 20
#: Of what a file says in vain, so much is named.
_MOST_UNREAD = 20
_SHA1_DIGITS = 40
_SEPARATORS = re.compile(r"[\s,;]+")
_CHECKSUM = re.compile(r"(?:[0-9a-f]{40}|[0-9a-f]{64}|[0-9a-f]{128})\Z")
_IDENTIFIER = re.compile(rf"{PATTERN}\Z")
#: Sections and keys of StratusLab's ``policy.cfg`` (stratuslab.md 7.6).
_SECTIONS: Mapping[tuple[str, str], tuple[str, str]] = {
    (subject.value, colour.value): (name, f"{colour.value}list{name}")
    for subject, name in (
        (Subject.ENDORSER, "endorsers"),
        (Subject.CHECKSUM, "checksums"),
        (Subject.IMAGE, "images"),
    )
    for colour in (Colour.WHITE, Colour.BLACK)
}


class Line(NamedTuple):
    """A line that is not on its list yet; ``value`` as lists keep it."""

    subject: str
    colour: str
    value: str
    note: str = ""

    @property
    def key(self) -> tuple[str, str, str]:
        return (self.subject, self.colour, self.value)


@dataclass(frozen=True, slots=True)
class PolicyChange:
    """Lines to be added, and lines to be removed; ``unread``: what was asked for in vain."""

    added: Sequence[Line] = ()
    removed: Sequence[PolicyLine] = ()
    unread: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Preview:
    """What a change would do to the images that can be launched now.

    ``version`` is that of the lists it was computed from. ``opened`` and ``closed`` name lists
    that become active, or are not active any more. Of ``images`` that could be launched if there
    were no lists, ``left`` can be afterwards.
    """

    change: PolicyChange
    refused: EntryQuerySet
    allowed: EntryQuerySet
    opened: Sequence[str]
    closed: Sequence[str]
    images: int
    left: int
    version: str


def policy_line(subject: str, colour: str, value: str, note: str = "") -> Line:
    """A line as its list keeps it: e-mails and checksums in lower case.

    Raises: Refused: ``line_invalid``.
    """
    if subject not in Subject.values or colour not in Colour.values:
        raise Refused("line_invalid", "There is no such list.")
    return Line(subject, colour, _RULES[subject](value.strip()), note.strip()[:LONGEST_NOTE])


def _endorser(value: str) -> str:
    """An address, or what an entry here already has for one: a site may be called by a number."""
    try:
        validate_email(value)
    except ValidationError:
        if not Entry.objects.filter(endorser_email__iexact=value[:254]).exists():
            raise _bad(
                f"“{value[:80]}” is no e-mail address, and no endorser of the Marketplace."
            ) from None
    return value.lower()


def _checksum(value: str) -> str:
    digest = value.lower()
    if not _CHECKSUM.match(digest):
        raise _bad(
            f"“{value[:80]}” is no checksum: a SHA-1 has 40 hexadecimal digits, a SHA-256 has 64, "
            "a SHA-512 has 128."
        )
    return digest


def _image(value: str) -> str:
    if not _IDENTIFIER.match(value):
        raise _bad(f"“{value[:80]}” is no image identifier: 27 letters, digits, - or _.")
    return value


_RULES: Mapping[str, Callable[[str], str]] = {
    Subject.ENDORSER: _endorser,
    Subject.CHECKSUM: _checksum,
    Subject.IMAGE: _image,
}


def _bad(sentence: str) -> Refused:
    return Refused("line_invalid", sentence, field="values")


def policy_lines(subject: str, colour: str, text: str, note: str = "") -> list[Line]:
    """One line for each value in ``text``, between spaces, commas or ends of lines.

    Raises: Refused: ``line_invalid``.
    """
    values = dict.fromkeys(filter(None, _SEPARATORS.split(text)))
    return [policy_line(subject, colour, value, note) for value in values]


def preview_policy(change: PolicyChange) -> Preview:
    """What would be refused and what would be allowed after ``change``. Nothing is written.

    Raises: Refused: ``too_many_lines``, ``nothing_to_change``.
    """
    stored = list(PolicyLine.objects.all())
    known = {(line.subject, line.colour, line.value) for line in stored}
    going = {line.pk for line in change.removed}
    change = PolicyChange(
        added=[line for line in change.added if line.key not in known],
        removed=[line for line in stored if line.pk in going],
        unread=change.unread,
    )
    _must_be_possible(change, len(stored))
    now = Rules.of(known)
    after = Rules.of(
        [line.key for line in change.added]
        + [(line.subject, line.colour, line.value) for line in stored if line.pk not in going]
    )
    machines = Entry.objects.launchable()
    images = machines.count()
    return Preview(
        change=change,
        refused=judged(machines, refused_by=after, allowed_by=now),
        allowed=judged(machines, refused_by=now, allowed_by=after),
        opened=_names(after.lists.keys() - now.lists.keys()),
        closed=_names(now.lists.keys() - after.lists.keys()),
        images=images,
        left=images - judged(machines, refused_by=after, allowed_by=Rules({})).count(),
        version=_version(stored),
    )


def _must_be_possible(change: PolicyChange, stored: int) -> None:
    if not change.added and not change.removed:
        unread = f" Not read: {', '.join(change.unread)}." if change.unread else ""
        raise Refused(
            "nothing_to_change",
            f"The lists are like this already: nothing would change.{unread}",
        )
    lines = stored + len(change.added) - len(change.removed)
    if lines > MOST_LINES:
        raise Refused(
            "too_many_lines",
            f"The lists would have {lines} lines; together they have {MOST_LINES} at most.",
        )


def _names(keys: Iterable[tuple[str, str]]) -> list[str]:
    return sorted(list_name(subject, colour) for subject, colour in keys)


def list_name(subject: str, colour: str) -> str:
    """What pages call one of the six lists."""
    return f"{colour} list of {_SECTIONS[subject, colour][0]}"


def _version(lines: Iterable[PolicyLine]) -> str:
    keys = sorted(str(line.uuid) for line in lines)
    return hashlib.sha256("\n".join(keys).encode()).hexdigest()[:16]


def change_policy(change: PolicyChange, *, by: User, version: str = "") -> Preview:
    """Add and remove lines. From now on launches and imports are judged by what results.

    ``version``: of the lists that a preview showed; blank: whatever they are by now.

    Raises:
        Refused: ``not_administrator``, ``too_many_lines``, ``nothing_to_change``,
            ``policy_changed``: somebody else has changed the lists since the preview.
    """
    people.must_be_administrator(by)
    with transaction.atomic():
        # One change at a time: a preview must be true of what is written.
        list(PolicyLine.objects.select_for_update(no_key=True).values_list("pk"))
        preview = preview_policy(change)
        if version and version != preview.version:
            raise Refused(
                "policy_changed",
                "Somebody else has changed the lists meanwhile. Look at what would change now.",
            )
        for line in preview.change.removed:
            _remove(line, by)
        for wanted in preview.change.added:
            _add(wanted, by)
    return preview


def _add(line: Line, by: User) -> None:
    row, is_new = PolicyLine.objects.get_or_create(
        subject=line.subject,
        colour=line.colour,
        value=line.value,
        defaults={"note": line.note, "created_by": by},
    )
    if is_new:
        _note(row, "policy_line_added", by)


def _remove(row: PolicyLine, by: User) -> None:
    _note(row, "policy_line_removed", by)
    row.delete()


def _note(row: PolicyLine, verb: str, by: User) -> None:
    record(
        "policy_line", row.uuid, verb, by=by, label=row.value, reason=row.note,
        list=list_name(row.subject, row.colour),
    )  # fmt: skip


def labels_of(lines: Iterable[PolicyLine]) -> dict[str, Entry]:
    """By the value of a line: an entry of the image that it names, where there is one.

    One query, however many lines there are.
    """
    named = {line.value for line in lines if line.subject != Subject.ENDORSER}
    if not named:
        return {}
    short = {identifier_of(v) if len(v) == _SHA1_DIGITS else v for v in named}
    longer = {value for value in named if len(value) > _SHA1_DIGITS}
    wanted = Q(identifier__in=short - longer)
    if longer:  # no index has them
        wanted |= Q(sha256__in=longer) | Q(sha512__in=longer)
    found: dict[str, Entry] = {}
    for row in Entry.objects.filter(wanted).order_by("is_latest", "created_at").defer("words"):
        values = (row.identifier, row.sha1, row.sha256, row.sha512)
        found.update({value: row for value in values if value in named})
    return found


def policy_file() -> str:
    """The lists as StratusLab's ``policy.cfg``."""
    values: dict[tuple[str, str], list[str]] = {key: [] for key in _SECTIONS}
    for line in PolicyLine.objects.all():
        values[line.subject, line.colour].append(line.value)
    parts: list[str] = []
    for (subject, colour), (section, key) in _SECTIONS.items():
        if colour == Colour.WHITE:
            parts.append(f"[{section}]")
        parts.append("\n    ".join([f"{key} =", *values[subject, colour]]))
        if colour == Colour.BLACK:
            parts.append("")
    return "\n".join(parts)


def read_policy_file(text: str, *, replaces: bool = False) -> PolicyChange:
    """The change that StratusLab's ``policy.cfg`` asks for.

    ``replaces``: lines that the file does not have are removed.

    Raises: Refused: ``file_invalid``, ``line_invalid``.
    """
    if len(text) > LONGEST_FILE:
        raise _bad_file("The file is larger than 1 MiB.")
    reader = configparser.ConfigParser(interpolation=None, strict=False)
    try:
        reader.read_string(text, source="policy.cfg")
    except configparser.Error as error:
        raise _bad_file(f"This is no policy.cfg: {error}".replace("\n", " ")) from None
    if not any(section in reader for section, _ in _SECTIONS.values()):
        raise _bad_file("The file has none of [endorsers], [checksums] and [images].")
    added = [
        line
        for (subject, colour), (section, key) in _SECTIONS.items()
        for line in policy_lines(subject, colour, reader.get(section, key, fallback=""))
    ]
    unread = _unread(reader)
    if not replaces:
        return PolicyChange(added=added, unread=unread)
    kept = {line.key for line in added}
    stored = PolicyLine.objects.all()
    gone = [line for line in stored if (line.subject, line.colour, line.value) not in kept]
    return PolicyChange(added=added, removed=gone, unread=unread)


def _unread(reader: configparser.ConfigParser) -> list[str]:
    """What the file says that comes to nothing: a key with a typing mistake is no list."""
    known = set(_SECTIONS.values())
    sections = {section for section, _ in known}
    found = [f"[{name}]" for name in reader.sections() if name not in sections]
    found += [f"{key} in [{reader.default_section}]" for key in reader.defaults()]
    for section in sorted(sections & set(reader.sections())):
        keys = [key for key in reader[section] if key not in reader.defaults()]
        found += [f"{key} in [{section}]" for key in keys if (section, key) not in known]
    return [what[:100] for what in found[:_MOST_UNREAD]]


def _bad_file(sentence: str) -> Refused:
    return Refused("file_invalid", sentence, field="file")

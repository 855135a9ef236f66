"""The table of disks: which of them, in which order, and what each row tells its reader.

However many there are, a page costs the same queries, and is found in the order of an index.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from typing import Any

from django.db.models import Case, Count, IntegerField, OuterRef, Q, Subquery, Value, When
from django.db.models.functions import Coalesce

from registration import names
from registration.models import GIB, User
from volumes.asking import ADMINISTRATORS, MOST_NAMED, READERS
from volumes.models import (
    BOOTABLE,
    PLUGGABLE,
    Access,
    Attachment,
    DiskType,
    Share,
    Visibility,
    Volume,
    VolumeQuerySet,
)
from volumes.naming import listed
from volumes.states import HOLDING, UNLISTED, VolumeState

MINE, SHARED, PUBLIC, ALL, BIN = "mine", "shared", "public", "all", "bin"
LONGEST_TEXT = 200
#: Of UUIDs and identifiers: a single digit is in nearly all of them.
SHORTEST_PART = 4
#: States that the table shows; those of the bin have a page of their own.
BINNED = (VolumeState.BINNED, VolumeState.DELETING)
LISTED = [state for state in VolumeState if state not in UNLISTED]
#: Sort words of the table, each a column and its fallback.
SORTS: Mapping[str, tuple[str, ...]] = {
    "tag": ("tag", "pk"),
    "size": ("size_bytes", "-pk"),
    "users": ("users_now", "pk"),
    "owner": ("owner__username", "-pk"),
    "uuid": ("uuid",),
    "identifier": ("identifier", "-pk"),
    "visibility": ("visibility", "-pk"),
    "type": ("type", "-pk"),
    "state": ("state", "-pk"),
    "created": ("pk",),  # rows are numbered as they are made
}
FIRST = "-created"
#: What a row that is arriving has done so far with its bytes.
PROGRESS: Mapping[str, str] = {
    VolumeState.UPLOADING: "Received",
    VolumeState.FETCHING: "Fetched",
    VolumeState.CHECKING: "Checked",
    VolumeState.UNPACKING: "Read",
    VolumeState.CONVERTING: "Written",
    VolumeState.COPYING: "Copied",
    VolumeState.SAVING: "Copied and summed",
    VolumeState.CLEANING: "Cleaned",
}
NONE: frozenset[str] = frozenset()
#: Only of these can machines have one.
_HELD_IN = (VolumeState.IN_USE, VolumeState.GROWING)

_UNITS = {"b": 1, "kib": 1 << 10, "mib": 1 << 20, "gib": GIB, "gb": GIB, "g": GIB, "tib": GIB << 10}
_SIZE = re.compile(r"(?<!\S)(\d{1,12}(?:\.\d{1,6})?) ?(b|kib|mib|gib|gb|g|tib)?(?!\S)", re.I)
#: A size is shown with two decimals; what is shown is found.
_SHOWN = GIB * 0.005


@dataclass(frozen=True, slots=True)
class Asked:
    """What the address of the table asks for."""

    tab: str = MINE
    q: str = ""
    state: str = ""
    visibility: str = ""
    type: str = ""
    sort: str = FIRST

    @classmethod
    def of(cls, query: Mapping[str, Any], user: User) -> "Asked":
        """From an address; what makes no sense in it is left out."""
        asked = {
            name: str(query.get(name) or "") for name in ("tab", "state", "visibility", "type")
        }
        tabs = dict(tabs_of(user))
        sort = str(query.get("sort") or "")
        return cls(
            tab=asked["tab"] if asked["tab"] in tabs else MINE,
            q=names.one_line(str(query.get("q") or ""))[:LONGEST_TEXT],
            state=asked["state"] if asked["state"] in LISTED else "",
            visibility=asked["visibility"] if asked["visibility"] in Visibility.values else "",
            type=asked["type"] if asked["type"] in DiskType.values else "",
            sort=sort if sort.removeprefix("-") in SORTS else FIRST,
        )

    @property
    def is_filtered(self) -> bool:
        return bool(self.q or self.state or self.visibility or self.type)

    def without_filters(self) -> "Asked":
        return replace(self, q="", state="", visibility="", type="")


def tabs_of(user: User) -> list[tuple[str, str]]:
    """The tabs that this person has, with their words."""
    tabs = [(MINE, "Mine"), (SHARED, "Shared with me"), (PUBLIC, "Public")]
    return [*tabs, (ALL, "All of the site")] if user.is_staff else tabs


def rows_of(user: User, tab: str) -> VolumeQuerySet:
    everything: VolumeQuerySet = Volume.objects.all()
    if tab == SHARED:
        return everything.shared_with(user)
    if tab == PUBLIC:
        return everything.public_of_others(user)
    if tab == ALL and user.is_staff:
        return everything.listed()
    own = everything.filter(owner=user)
    return own.filter(state__in=BINNED) if tab == BIN else own.listed()


def counts(user: User) -> dict[str, int]:
    """How many disks each tab has: one query for each, answered by an index alone."""
    return {tab: rows_of(user, tab).count() for tab, _ in tabs_of(user)}


def chosen(user: User, asked: Asked) -> VolumeQuerySet:
    """The disks that the tab and the filters leave, in no order."""
    rows = rows_of(user, asked.tab)
    for name in ("state", "visibility", "type"):
        if value := getattr(asked, name):
            rows = rows.filter(**{name: value})
    return searched(rows, asked.q, user) if asked.q else rows


def searched(rows: VolumeQuerySet, text: str, user: User) -> VolumeQuerySet:
    """Every word must be found in some column, as ``user`` sees it. "10 GiB" is one word."""
    sizes = list(_SIZE.finditer(text))
    for size in sizes:
        if size[2]:
            rows = rows.filter(_has_size(float(size[1]), size[2]))
    rest = _SIZE.sub(lambda found: " " if found[2] else found[0], text)
    for word in rest.split():
        rows = rows.filter(_has(word, user))
    return rows


def _has_size(number: float, unit: str) -> Q:
    wanted = number * _UNITS[unit.lower()]
    about = _SHOWN if wanted >= GIB / 100 else 0.5
    return Q(size_bytes__gt=int(wanted - about) - 1, size_bytes__lt=int(wanted + about) + 1)


def _has(word: str, user: User) -> Q:
    found = Q(tag__icontains=word) | Q(owner__username__icontains=word)
    if len(word) >= SHORTEST_PART:
        found |= Q(identifier__icontains=word)
    if len(word) >= SHORTEST_PART and re.fullmatch(r"[0-9a-fA-F-]+", word):
        found |= Q(uuid__icontains=word) | Q(uuid__istartswith=_dashed(word))
    for name, labels in (
        ("state", VolumeState.choices), ("type", DiskType.choices),
        ("visibility", Visibility.choices),
    ):  # fmt: skip
        values = [value for value, label in labels if word.lower() in f"{label} {value}".lower()]
        if values:
            found |= Q(**{f"{name}__in": values})
    if re.fullmatch(r"\d{1,4}(\.\d+)?", word):
        found |= _has_size(float(word), "gib")
    if days := _days(word):
        found |= Q(created_at__gte=days[0], created_at__lt=days[1])
    mine = Q() if user.is_staff else Q(owner=user)
    found |= mine & Q(arrival__file_name__icontains=word)
    named = Attachment.objects.holding().visible_to(user).filter(vm__name__icontains=word)
    return found | Q(pk__in=named.values("volume"))


def _dashed(word: str) -> str:
    """The beginning of a UUID that was written without dashes, with them."""
    digits = word.replace("-", "")
    parts = (digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:])
    return "-".join(part for part in parts if part)


def _days(word: str) -> tuple[datetime, datetime] | None:
    """The time that a day, a month or a year means: 2026-11-21, 2026-11, 2026."""
    if not re.fullmatch(r"20\d\d(-\d\d){0,2}", word):
        return None
    try:
        first = date.fromisoformat(word + "-01" * (2 - word.count("-")))
    except ValueError:
        return None
    span = timedelta(days=(366, 31, 1)[word.count("-")])
    last = first + span
    if word.count("-") < 2:  # to the first day of the next month, or year
        last = last.replace(day=1) if word.count("-") else first.replace(year=first.year + 1)
    return _midnight(first), _midnight(last)


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def ordered(rows: VolumeQuerySet, sort: str) -> VolumeQuerySet:
    """In the order of a sort word, or with a minus before it the other way round."""
    columns = SORTS[sort.removeprefix("-")]
    if columns[0] == "users_now":
        rows = rows.alias(users_now=_users_now())
    if sort.startswith("-"):
        columns = tuple(c[1:] if c.startswith("-") else f"-{c}" for c in columns)
    return rows.order_by(*columns)


def _users_now() -> Case:
    holding = Attachment.objects.filter(volume=OuterRef("pk"), state__in=HOLDING).order_by()
    number = holding.values("volume").annotate(n=Count("pk")).values("n")
    return Case(
        When(state__in=_HELD_IN, then=Coalesce(Subquery(number), 0)),
        default=Value(0),
        output_field=IntegerField(),
    )


@dataclass(frozen=True)
class Row:
    """A disk as one person sees it. ``machines`` are those of its users that they may see."""

    volume: Volume
    access: Access | None
    is_administrator: bool
    users: int
    machines: Sequence[Any]
    is_written: bool  # a machine has it to itself

    @cached_property
    def verbs(self) -> frozenset[str]:
        """What this person may ask of it now."""
        verbs = self.volume.verbs
        if self.volume.type not in PLUGGABLE or self.is_written:
            verbs -= {"attach"}
        if self.access == Access.OWN:
            return verbs
        return verbs & (
            (READERS if self.access else NONE) | (ADMINISTRATORS if self.is_administrator else NONE)
        )

    @property
    def others(self) -> int:
        """Machines that have it and that this person may not see."""
        return self.users - len(self.machines)

    @property
    def may_boot(self) -> bool:
        """Whether this person may launch a machine from it now."""
        is_theirs = self.access in (Access.OWN, Access.WRITE)
        is_free = self.volume.state == VolumeState.AVAILABLE
        return (
            self.volume.type in BOOTABLE and not self.volume.is_open_image and is_theirs and is_free
        )

    @property
    def may_ever_delete(self) -> bool:
        return self.access == Access.OWN or self.is_administrator

    @property
    def why_not_delete(self) -> str:
        """Why whoever may delete it cannot do so now, or ""."""
        if not (self.may_ever_delete and self.volume.state == VolumeState.IN_USE):
            return ""
        named = [vm.name for vm in self.machines[:MOST_NAMED]]
        if more := self.users - len(named):
            word = "other machine" if named else "machine"
            named.append(f"{more} {word}{'s' if more != 1 else ''}")
        return f"In use by {listed(named) or 'a machine'}: detach it first."

    @property
    def progress_word(self) -> str:
        """What has been done with the bytes that the row counts; "" for one that counts none."""
        return PROGRESS.get(self.volume.state, "")


def shown(volumes: Iterable[Volume], user: User) -> list[Row]:
    """Each with what a row tells of it: three queries, however many there are."""
    volumes = list(volumes)
    keys = [volume.pk for volume in volumes]
    access = _accesses(keys, user)
    holding = Attachment.objects.holding().filter(volume__in=keys).order_by("pk")
    held = list(holding.values_list("volume", "read_only"))
    users = Counter(key for key, _ in held)
    written = {key for key, read_only in held if not read_only}
    machines: dict[int, list[Any]] = defaultdict(list)
    for attachment in holding.visible_to(user).select_related("vm"):
        machines[attachment.volume_id].append(attachment.vm)
    return [
        Row(
            volume=volume,
            access=_access(volume, access[volume.pk], user),
            is_administrator=user.is_staff,
            users=users[volume.pk],
            machines=machines[volume.pk],
            is_written=volume.pk in written,
        )
        for volume in volumes
    ]


def _accesses(keys: Sequence[int], user: User) -> dict[int, set[str]]:
    given: dict[int, set[str]] = defaultdict(set)
    for key, access in (
        Share.objects.to(user).filter(volume__in=keys).values_list("volume", "access")
    ):
        given[key].add(access)
    return given


def _access(volume: Volume, given: set[str], user: User) -> Access | None:
    """As ``Volume.access_of``, of what is shared already known."""
    if volume.owner_id == user.pk:
        return Access.OWN
    if Access.WRITE in given:
        return Access.WRITE
    return Access.READ if given or volume.visibility == Visibility.PUBLIC else None


def loaded(keys: Iterable[int]) -> list[Volume]:
    """The disks with these primary keys, in their order, with what their rows read."""
    keys = list(keys)
    rows = Volume.objects.select_related("owner").in_bulk(keys)
    return [rows[key] for key in keys if key in rows]

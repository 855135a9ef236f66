"""The list of users: which of them, in which order, and what each holds.

However many there are, a page costs the same queries: what people hold is summed up for the
people of the page, or in one pass over the machines that are alive and the disks there are.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from django.conf import settings
from django.db.models import Count, F, OuterRef, Q, QuerySet, Subquery, Sum, Value
from django.db.models.functions import Coalesce, Lower

from registration.models import GIB, Membership, Quota, User
from registration.states import AccountState
from vms.models import VM
from vms.quota import in_gib
from volumes.models import Snapshot, Volume

#: Sort words of the list, each a column and its fallback.
SORTS: Mapping[str, tuple[str, ...]] = {
    "name": ("family", "given", "pk"),
    "username": ("login", "pk"),
    "state": ("state", "-state_since", "-pk"),
    "registered": ("created_at", "pk"),
    "seen": ("last_seen_at", "pk"),
    "machines": ("machine_count", "pk"),
}
FIRST = "-registered"

NEAR_QUOTA = "near_quota"
NEVER_SEEN = "never_seen"
ADMINISTRATORS = "administrators"
HOLDING = "closed_holding"
#: What the list can be narrowed to, besides states.
ONLY: Mapping[str, str] = {
    ADMINISTRATORS: "Administrators",
    NEAR_QUOTA: "Over 80 % of their quota",
    NEVER_SEEN: "Never signed in",
    HOLDING: "Shut out, still holding machines or disks",
}
CHUNK = 500
MIB_OF_GIB = 1024


@dataclass(frozen=True, slots=True)
class Held:
    machines: int
    vcpus: int
    memory_mib: int
    disk_bytes: int


@dataclass(frozen=True, slots=True)
class Row:
    """One person of the list."""

    person: User
    held: Held
    groups: int
    quota: Quota = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "quota", self.person.quota)

    @property
    def memory_gib(self) -> float:
        return self.held.memory_mib / MIB_OF_GIB

    @property
    def memory_limit_gib(self) -> float:
        return self.quota.memory_mib / MIB_OF_GIB

    @property
    def disk_gib(self) -> int | float:
        return in_gib(self.held.disk_bytes)

    @property
    def disk_limit_gib(self) -> int | float:
        return in_gib(self.quota.disk_bytes)


def chosen(everybody: "QuerySet[User]", *, state: str, only: str, text: str) -> "QuerySet[User]":
    """Those of ``everybody`` that the filters leave."""
    people: QuerySet[User] = everybody.search(text)  # type: ignore[attr-defined]
    if state in AccountState.values:
        people = people.filter(state=state)
    if only == ADMINISTRATORS:
        return people.filter(is_staff=True)
    if only == NEVER_SEEN:
        return people.filter(last_seen_at=None)
    if only == NEAR_QUOTA:
        return people.filter(Q(pk__in=_near_quota()) | Q(pk__in=_near_disk_quota()))
    if only == HOLDING:
        shut_out = people.filter(state__in=(AccountState.SUSPENDED, AccountState.CLOSED))
        machines = VM.objects.alive().order_by().values("owner")
        return shut_out.filter(Q(pk__in=machines) | Q(pk__in=_disks().values("owner")))
    return people


def _disks() -> "QuerySet[Volume]":
    return Volume.objects.held().order_by()


def _snapshots() -> "QuerySet[Snapshot]":
    return Snapshot.objects.held().order_by()


def _near_quota() -> "QuerySet[VM, Any]":
    """Whoever holds more than four fifths of a limit: one pass over the machines alive."""
    held = VM.objects.alive().order_by().values("owner")
    sums = {"machines": Count("pk"), "vcpus_held": Sum("vcpus"), "memory_held": Sum("memory_mib")}
    limits = {
        "machines": _limit("machines", settings.PORTAL_QUOTA_MACHINES),
        "vcpus_held": _limit("vcpus", settings.PORTAL_QUOTA_VCPUS),
        "memory_held": _limit("memory_mib", settings.PORTAL_QUOTA_MEMORY_MIB),
    }
    near = Q()
    for name, limit in limits.items():
        near |= Q(**{f"{name}__gt": limit * 4 / 5})
    return held.annotate(**sums).filter(near).values("owner")


def _near_disk_quota() -> Any:
    """The same of disk, as a subquery: disks and their snapshots count together."""
    disks = _disks().filter(owner=OuterRef("pk")).values("owner")
    snapshots = _snapshots().filter(volume__owner=OuterRef("pk")).values("volume__owner")
    held = Coalesce(Subquery(disks.annotate(n=Sum("size_bytes")).values("n")), 0) + Coalesce(
        Subquery(snapshots.annotate(n=Sum("size_bytes")).values("n")), 0
    )
    limit = Coalesce(F("quota_disk_bytes"), Value(settings.PORTAL_QUOTA_DISK_GIB * GIB))
    holders = User.objects.filter(pk__in=_disks().values("owner"))
    return holders.alias(disk_held=held).filter(disk_held__gt=limit * 4 / 5).order_by().values("pk")


def _limit(name: str, default: int) -> Coalesce:
    return Coalesce(F(f"owner__quota_{name}"), Value(default))


def ordered(people: "QuerySet[User]", sort: str) -> "QuerySet[User]":
    """In the order of a sort word, or with a minus before it the other way round."""
    word = sort.lstrip("-")
    if word not in SORTS:
        sort, word = FIRST, FIRST.lstrip("-")
    if word == "name":
        people = people.alias(family=Lower("family_name"), given=Lower("given_name"))
    elif word == "username":
        people = people.alias(login=Lower("username"))
    elif word == "machines":
        people = people.alias(machine_count=Coalesce(Subquery(_machines_of()), 0))
    keys = [F(key.lstrip("-")) for key in SORTS[word]]
    turned = [key.startswith("-") != sort.startswith("-") for key in SORTS[word]]
    return people.order_by(
        *(
            key.desc(nulls_last=True) if is_down else key.asc(nulls_first=True)
            for key, is_down in zip(keys, turned, strict=True)
        )
    )


def _machines_of() -> "QuerySet[VM, Any]":
    """How many machines the outer query's person holds."""
    alive = VM.objects.alive().filter(owner=OuterRef("pk")).order_by()
    return alive.values("owner").annotate(count=Count("pk")).values_list("count")


def rows(people: Sequence[User]) -> list[Row]:
    """Each with what they hold: four queries."""
    keys = [person.pk for person in people]
    alive = VM.objects.alive().filter(owner__in=keys).order_by()
    sums = alive.values_list("owner").annotate(Count("pk"), Sum("vcpus"), Sum("memory_mib"))
    disks = _disk_bytes(keys)
    machines = {owner: (n, vcpus, memory) for owner, n, vcpus, memory in sums}
    counts = Membership.objects.filter(user__in=keys).order_by().values_list("user")
    groups = dict(counts.annotate(Count("pk")))
    return [
        Row(
            who,
            Held(*machines.get(who.pk, (0, 0, 0)), disks.get(who.pk, 0)),
            groups.get(who.pk, 0),
        )
        for who in people
    ]


def _disk_bytes(people: Sequence[int]) -> dict[int, int]:
    """What their disks and snapshots take of their quotas."""
    disks = _disks().filter(owner__in=people).values_list("owner")
    snapshots = _snapshots().filter(volume__owner__in=people).values_list("volume__owner")
    found: Counter[int] = Counter()
    for sums in (disks.annotate(Sum("size_bytes")), snapshots.annotate(Sum("size_bytes"))):
        found.update(dict(sums))
    return dict(found)


HEAD = (
    "user name", "given name", "family name", "e-mail address", "state", "state since",
    "administrator", "source", "groups", "registered", "last seen", "machines",
    "machines at most", "vCPUs", "vCPUs at most", "memory MiB", "memory MiB at most",
    "disk GiB", "disk GiB at most",
)  # fmt: skip


def table(people: "QuerySet[User]") -> Iterator[Sequence[object]]:
    """The list as lines of a table, its head first; read in pieces."""
    yield HEAD
    everybody = people.iterator(CHUNK)
    while piece := list(islice(everybody, CHUNK)):
        for row in rows(piece):
            yield _line(row)


def _line(row: Row) -> Sequence[object]:
    who, held, quota = row.person, row.held, row.quota
    seen = who.last_seen_at.isoformat(timespec="seconds") if who.last_seen_at else ""
    return (
        who.username, who.given_name, who.family_name, who.email, who.state,
        who.state_since.isoformat(timespec="seconds"), "yes" if who.is_staff else "no",
        who.source or "portal", row.groups, who.created_at.isoformat(timespec="seconds"), seen,
        held.machines, quota.machines, held.vcpus, quota.vcpus, held.memory_mib,
        quota.memory_mib, row.disk_gib, row.disk_limit_gib,
    )  # fmt: skip

"""How much people used, counted from the lives of their machines and disks.

A machine counts from when it was ordered until it is Done, or now: as long as it holds a
quota, whether it runs or not. Only what lies within the period counts, in whole seconds of
UTC (an instant counts as the second it lies in), so that two periods which touch add up
exactly to the period they make. A machine that changed hands counts for each of its owners
while it was theirs.

Its disk counts as long as it does, in whole MiB: what the machine sees as its disk (the
size of the image's file where nobody has looked; nothing where it boots from a disk that
is kept), its volatile disks, and its swap. Disks that are kept count by themselves, as
``volumes.usage`` says.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from django.db.models import Case, F, Q, QuerySet, Value, When
from django.db.models.functions import Coalesce
from django.utils import timezone

from registration.models import GIB, User
from vms.models import VM, Tenure
from vms.states import VmState
from volumes.usage import Span, spans

MIB = 2**20
HOUR = 3600
MIB_OF_GIB = 1024
#: Rows of machines that are read at a time.
CHUNK = 2000


class Period(NamedTuple):
    """From ``since`` until before ``until``, both with a time zone."""

    since: datetime
    until: datetime


@dataclass(slots=True)
class Used:
    """What was used in a period: machines had, and seconds times what was held."""

    machines: int = 0
    machine_s: int = 0
    vcpu_s: int = 0
    memory_mib_s: int = 0
    disk_mib_s: int = 0
    kept_bytes_s: int = 0  # of disks that outlive machines

    def add(self, seconds: int, life: "_Life") -> None:
        self.machines += 1
        self.machine_s += seconds
        self.vcpu_s += seconds * life.vcpus
        self.memory_mib_s += seconds * life.memory_mib
        self.disk_mib_s += seconds * (life.ending_mib)

    @property
    def machine_hours(self) -> float:
        return self.machine_s / HOUR

    @property
    def vcpu_hours(self) -> float:
        return self.vcpu_s / HOUR

    @property
    def memory_gib_hours(self) -> float:
        return self.memory_mib_s / HOUR / MIB_OF_GIB

    @property
    def disk_gib_hours(self) -> float:
        return self.disk_mib_s / HOUR / MIB_OF_GIB

    @property
    def kept_gib_hours(self) -> float:
        return self.kept_bytes_s / HOUR / GIB


@dataclass(slots=True)
class Report:
    """What each person used, by primary key, and all of them together."""

    people: dict[int, Used] = field(default_factory=lambda: defaultdict(Used))
    total: Used = field(default_factory=Used)


class _Life(NamedTuple):
    """The time during which one machine was one person's."""

    owner: int
    since: datetime
    until: datetime
    vcpus: int
    memory_mib: int
    swap_mib: int
    volatile_gib: list[int]
    root_bytes: int

    @property
    def ending_mib(self) -> int:
        """Of disk that ends with the machine."""
        return self.root_bytes // MIB + self.swap_mib + sum(self.volatile_gib) * MIB_OF_GIB


def report(period: Period) -> Report:
    """What everybody used in ``period``; nothing of who used nothing. Four queries."""
    found = Report()
    for life in _lives(period):
        if seconds := _shared(life, period):
            found.people[life.owner].add(seconds, life)
            found.total.add(seconds, life)
    for span in spans(*period):
        if seconds := _shared(span, period):
            found.people[span.owner].kept_bytes_s += seconds * span.size_bytes
            found.total.kept_bytes_s += seconds * span.size_bytes
    return found


def of_person(person: User, periods: Sequence[Period]) -> list[Used]:
    """What one person used in each of ``periods``. Four queries."""
    found = [Used() for _ in periods]
    whole = Period(min(period.since for period in periods), max(p.until for p in periods))
    for life in _lives(whole, owner=person):
        for used, period in zip(found, periods, strict=True):
            if seconds := _shared(life, period):
                used.add(seconds, life)
    for span in spans(*whole, owner=person):
        for used, period in zip(found, periods, strict=True):
            used.kept_bytes_s += _shared(span, period) * span.size_bytes
    return found


def _shared(life: "_Life | Span", period: Period) -> int:
    """The whole seconds that lie in both."""
    begin = max(_second(life.since), _second(period.since))
    return max(0, min(_second(life.until), _second(period.until)) - begin)


def _second(instant: datetime) -> int:
    return int(instant.timestamp())


def _lives(period: Period, **whose: Any) -> Iterator[_Life]:
    """Machines with their present owners, and the times that they had with earlier ones."""
    now = timezone.now()
    at_rest = Case(When(state=VmState.DONE, then=F("state_since")), default=Value(now))
    machines = VM.objects.filter(
        Q(ended_at=None) | Q(ended_at__gt=period.since), created_at__lt=period.until, **whose
    )
    yield from _read(
        machines, Coalesce("owner_since", "created_at"), Coalesce("ended_at", at_rest), ""
    )
    earlier = Tenure.objects.filter(since__lt=period.until, until__gt=period.since, **whose)
    yield from _read(earlier, F("since"), F("until"), "vm__")


def _read(rows: QuerySet[Any], since: Any, until: Any, machine: str) -> Iterator[_Life]:
    root = Coalesce(f"{machine}entry__virtual_size_bytes", f"{machine}entry__size_bytes", Value(0))
    columns = rows.order_by().values_list(
        "owner_id", since, until, f"{machine}vcpus", f"{machine}memory_mib",
        f"{machine}swap_mib", f"{machine}volatile_gib", root,
    )  # fmt: skip
    for row in columns.iterator(CHUNK):
        yield _Life(*row)


def months(count: int, *, until: datetime) -> list[Period]:
    """The month of ``until`` in UTC and those before it, the latest first."""
    found = []
    end = month_after(until)
    for _ in range(count):
        begin = month_of(end.replace(day=1) - timedelta(days=1))
        found.append(Period(begin, end))
        end = begin
    return found


def month_of(instant: datetime) -> datetime:
    """The first instant of the month that ``instant`` lies in."""
    return instant.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)


def month_after(instant: datetime) -> datetime:
    begin = month_of(instant)
    return begin.replace(year=begin.year + begin.month // 12, month=begin.month % 12 + 1)

"""Making the rows of ``portal.demo``, and removing them; never in one long transaction."""

import itertools
import random
import uuid
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.contrib.auth.hashers import UNUSABLE_PASSWORD_PREFIX, make_password
from django.db.models import OuterRef, QuerySet, Subquery
from django.utils import timezone

from core import audit
from core.models import Event
from marketplace.models import Entry, ImageFile
from marketplace.search import spelling
from portal.demo import words
from portal.demo.disks import add_disks, remove_disks
from portal.demo.images import entries as made_up_entries
from portal.demo.lives import Visit, live
from portal.demo.making import BATCH, DOMAIN, PREFIX, make
from portal.demo.people import add_people, forget
from registration.models import User
from registration.states import AccountState
from vms.models import VM, InstanceType, Readiness, Sample
from vms.states import ReadinessState, VmState

CLOUD = "demo"
MACHINES_EACH = 50  # of one person, on average
SAMPLES = 12
SAMPLE_EVERY = timedelta(minutes=30)

S = VmState


def real_machines() -> int:
    """How many machines of a real cloud are alive here."""
    return VM.objects.alive().exclude(cloud=CLOUD).count()


def people() -> QuerySet[User]:
    """The made-up people, and nobody who could ever sign in."""
    found: QuerySet[User] = User.objects.filter(
        username__startswith=PREFIX,
        email__endswith=DOMAIN,
        password__startswith=UNUSABLE_PASSWORD_PREFIX,
    )
    return found


def seed(*, machines: int, entries: int, users: int = 0, disks: int = 0) -> None:
    """Add so many machines, disks and images with who owns them, and so many other people.

    Disks need machines to be in.

    The same numbers give the same rows, but for their times and keys.
    """
    rng = random.Random(machines * 1_000_003 + entries)  # noqa: S311  (made up, not secret)
    now = timezone.now()
    owners = make(_person(rng, n, now) for n in range(max(3, machines // MACHINES_EACH)))
    images = make(made_up_entries(rng, max(1, entries), now))
    spelling.learn()
    sizes = list(InstanceType.objects.of_site())
    lives = sorted((live(rng, now) for _ in range(machines)), key=lambda visits: visits[0].at)
    for start in range(0, machines, BATCH):
        _add_machines(rng, lives[start : start + BATCH], owners, images, sizes)
    add_people(users, now)
    asked = Event.objects.filter(subject=OuterRef("uuid"), verb="asked").values("at")[:1]
    VM.objects.filter(cloud=CLOUD).update(created_at=Subquery(asked))  # it said: now
    add_disks(disks, owners, CLOUD, now)


def clean() -> int:
    """Remove everything that ``seed`` made; how many machines went.

    An image that a real machine was launched from stays: that machine refers to it.
    """
    with audit.lifted():  # what these lines tell never happened
        return _clean()


def _clean() -> int:
    remove_disks(CLOUD)
    made_up = VM.objects.filter(cloud=CLOUD)
    Event.objects.filter(subject__in=made_up.values("uuid")).delete()
    gone = made_up.count()
    Sample.objects.filter(vm__in=made_up).delete()
    made_up.delete()
    images = Entry.objects.filter(endorser_email__endswith=f"@{DOMAIN}", vms=None)
    copies = ImageFile.objects.filter(entry__in=images)
    Event.objects.filter(subject__in=copies.values("uuid")).delete()
    copies.delete()
    images.delete()
    spelling.learn()
    made_up_people = people().filter(vms=None)
    forget(made_up_people)
    made_up_people.delete()
    return gone


# People and images -----------------------------------------------------------------------


def _person(rng: random.Random, number: int, now: datetime) -> User:
    given, family = rng.choice(words.GIVEN), rng.choice(words.FAMILY)
    username = f"{PREFIX}{given.lower()}_{number}"
    asked = now - timedelta(days=rng.uniform(95, 400))
    return User(
        username=username,
        email=f"{username}@{DOMAIN}",
        given_name=given,
        family_name=family,
        password=make_password(None),
        state=AccountState.ACTIVE,
        created_at=asked,
        asked_at=asked,
        state_since=asked + timedelta(hours=rng.uniform(1, 30)),
        email_confirmed_at=asked,
        policy_version=1,
        quota_machines=1000,
        quota_vcpus=4000,
        quota_memory_mib=4_096_000,
        quota_disk_bytes=1 << 50,
    )


# Machines --------------------------------------------------------------------------------


def _add_machines(
    rng: random.Random,
    lives: Sequence[Sequence[Visit]],
    owners: Sequence[User],
    images: Sequence[Entry],
    sizes: Sequence[InstanceType],
) -> None:
    vms = make(_machine(rng, visits, owners, images, sizes) for visits in lives)
    pairs = list(zip(vms, lives, strict=True))
    make(_readiness(vm, visits) for vm, visits in pairs)
    make(event for vm, visits in pairs for event in _history(vm, visits))
    make(sample for vm, visits in pairs for sample in _samples(rng, vm, visits))


def _machine(
    rng: random.Random,
    visits: Sequence[Visit],
    owners: Sequence[User],
    images: Sequence[Entry],
    sizes: Sequence[InstanceType],
) -> VM:
    last, size = visits[-1], rng.choice(sizes)
    states = {visit.state for visit in visits}
    is_running = last.state == S.RUNNING
    return VM(
        owner=owners[min(int(rng.expovariate(6 / len(owners))), len(owners) - 1)],
        cloud=CLOUD,
        launch_key=uuid.uuid4(),
        name=f"{rng.choice(words.PURPOSES)}-{rng.randint(1, 99):02}",
        entry=rng.choice(images),
        type_name=size.name,
        vcpus=size.vcpus,
        memory_mib=size.memory_mib,
        swap_mib=size.swap_mib,
        state=last.state,
        state_since=last.at,
        reason=last.reason,
        ended_at=last.at if last.state == S.DONE else None,
        cloud_ref=str(uuid.uuid4()) if S.BOOT in states else "",
        attributes={"accelerator": "tcg", "disk bus": "virtio"} if S.BOOT in states else {},
        cpu_percent=round(rng.uniform(0, 100) * size.vcpus, 1) if is_running else None,
        memory_used_bytes=size.memory_mib * rng.randint(2**18, 2**20) if is_running else None,
        **(_address(rng) if S.PROLOG in states else {}),
    )


def _address(rng: random.Random) -> dict[str, Any]:
    host = f"198.18.{rng.randint(0, 255)}.{rng.randint(1, 254)}"
    return {"address": host, "endpoints": [{"guest_port": 22, "host": host, "port": 22}]}


def _readiness(vm: VM, visits: Sequence[Visit]) -> Readiness:
    if vm.state != S.RUNNING:
        return Readiness(vm=vm, state=ReadinessState.IDLE)
    up = visits[-1].at
    return Readiness(
        vm=vm,
        state=ReadinessState.READY,
        state_since=up + timedelta(seconds=4),
        port_open_at=up + timedelta(seconds=0.1),
        ssh_at=up + timedelta(seconds=3),
        context_at=up + timedelta(seconds=4),
    )


def _history(vm: VM, visits: Sequence[Visit]) -> Iterator[Event]:
    first = visits[0]
    yield Event(
        kind=VM.KIND, subject=vm.uuid, verb="asked", at=first.at, by=vm.owner, now=first.state,
        detail={"name": vm.name},
    )  # fmt: skip
    for before, visit in itertools.pairwise(visits):
        yield Event(
            kind=VM.KIND, subject=vm.uuid, verb="moved", at=visit.at, was=before.state,
            now=visit.state, reason=visit.reason,
            by=vm.owner if visit.state == S.SHUTDOWN else None,
        )  # fmt: skip


def _samples(rng: random.Random, vm: VM, visits: Sequence[Visit]) -> Iterator[Sample]:
    """The last hours of a running machine, its counters growing."""
    if vm.state != S.RUNNING:
        return
    now, up = timezone.now().replace(second=0, microsecond=0), visits[-1].at
    cpu_s, disk, net = 0.0, 0, 0
    for step in range(SAMPLES, 0, -1):
        at = now - step * SAMPLE_EVERY
        if at < up:
            continue
        cpu_s += rng.uniform(0, 600) * vm.vcpus
        disk += rng.randint(0, 50 << 20)
        net += rng.randint(0, 20 << 20)
        yield Sample(
            vm=vm, at=at, cpu_s=cpu_s, memory_bytes=vm.memory_used_bytes or 0,
            disk_read_bytes=disk, disk_write_bytes=disk // 2,
            net_rx_bytes=net, net_tx_bytes=net // 3,
        )  # fmt: skip

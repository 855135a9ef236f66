"""How often the portal's workers ask an engine that has nothing to do."""

import heapq
from collections import Counter
from datetime import timedelta
from uuid import uuid4

import time_machine
from django.test import override_settings
from django.utils import timezone

from bench.figures import Figure, Section, table
from cloud.fake import FakeCloud
from cloud.types import VmPhase
from marketplace.tests.factories import EntryFactory
from portal.celery import app
from registration.tests.factories import UserFactory
from vms.models import VM, CloudStatus, Readiness
from vms.states import ReadinessState, VmState

MACHINES = 1000
MINUTES = 10
HOW = f"""{MACHINES:,} running machines in the tables and in an engine in memory that counts every
call of the driver contract. Every task of the beat runs when it is due, for {MINUTES} simulated
minutes. Listening (`watch`) is one call for as long as a worker lives and is not counted."""


def put_at_rest(cloud: FakeCloud, machines: int) -> None:
    """So many machines that run, in the tables and in the cloud ``local``, all seen to answer."""
    owner, entry = UserFactory(), EntryFactory()
    vms = VM.objects.bulk_create(
        VM(
            uuid=(key := uuid4()),
            owner=owner,
            entry=entry,
            cloud="local",
            launch_key=key,
            name=f"machine {number}",
            type_name="m1.small",
            vcpus=1,
            memory_mib=512,
            state=VmState.RUNNING,
            cloud_ref=str(key),
            address="127.0.0.1",
            endpoints=[{"guest_port": 22, "host": "127.0.0.1", "port": 20000 + number}],
        )
        for number in range(machines)
    )
    Readiness.objects.bulk_create(Readiness(vm=vm, state=ReadinessState.READY) for vm in vms)
    for vm in vms:
        cloud.create_vm(vm.spec(), token=vm.token)
        cloud.set_phase(vm.token, VmPhase.RUNNING)
    CloudStatus.objects.all().delete()


def simulate(cloud: FakeCloud, *, minutes: int) -> Counter[str]:
    """Let the beat ring for so many minutes, run each task at once; the calls by name."""
    cloud.world.calls.clear()
    app.loader.import_default_modules()
    schedule = app.conf.beat_schedule
    start = timezone.now()
    end = start + timedelta(minutes=minutes)
    with time_machine.travel(start, tick=False) as clock:
        bells = [
            (start + timedelta(seconds=one["schedule"]), name) for name, one in schedule.items()
        ]
        heapq.heapify(bells)
        while bells[0][0] <= end:
            at, name = heapq.heappop(bells)
            clock.move_to(at)
            app.tasks[schedule[name]["task"]]()
            heapq.heappush(bells, (at + timedelta(seconds=schedule[name]["schedule"]), name))
    return Counter(cloud.world.calls)


def measure() -> Section:
    """On an engine in memory, and with the tables of the portal that has just been stopped."""
    cloud = FakeCloud(world="bench")
    config = {"local": {"DRIVER": "cloud.fake.FakeCloud", "OPTIONS": {"world": "bench"}}}
    counts = {}
    with override_settings(CLOUDS=config):
        for machines in (0, MACHINES):
            put_at_rest(cloud, machines)
            counts[machines] = simulate(cloud, minutes=MINUTES)
    names = sorted(counts[MACHINES] | counts[0])
    rows = [[name, *(f"{counts[n][name] / MINUTES:g}" for n in counts)] for name in names]
    return Section(
        title="Engine calls at rest",
        how=HOW,
        figures=[
            Figure(
                f"calls a minute with {MACHINES:,} machines at rest",
                counts[MACHINES].total() / MINUTES,
                "",
                12,
            ),
            Figure(
                "more than with none, a minute",
                (counts[MACHINES].total() - counts[0].total()) / MINUTES,
                "",
                1,
                note="sampling asks only where a machine runs",
            ),
        ],
        detail=table(["call", *(f"a minute with {n:,} machines" for n in counts)], rows),
    )

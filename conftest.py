"""Fixtures that every app's tests use: a fake cloud, a worker without Celery, a real Redis."""

import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis
import time_machine
from asgiref.local import Local
from django.conf import settings as django_settings
from django.db import connection
from django.utils import timezone
from hypothesis import settings as hypothesis

from cloud.fake import FakeCloud
from core import audit
from core.clouds import clouds
from core.machine import due, tick
from marketplace.lifecycle import DRAFT_STEPS, IMAGE_STEPS, INSPECTION_STEPS
from marketplace.models import Draft, ImageFile, Inspection
from registration.lifecycle import DELIVERY_STEPS
from registration.models import Delivery
from vms.lifecycle import (
    BUILD_STEPS,
    CLUSTER_STEPS,
    NETWORK_STEPS,
    NIC_STEPS,
    READINESS_STEPS,
    SAVING_STEPS,
    VM_STEPS,
)
from vms.models import VM, Build, Cluster, Network, Nic, Readiness, Saving
from volumes.lifecycle import ATTACHMENT_STEPS, EXPORT_STEPS, SNAPSHOT_STEPS, VOLUME_STEPS
from volumes.models import Attachment, Export, Snapshot, Volume

LIVES = (
    (ImageFile, IMAGE_STEPS),
    (Draft, DRAFT_STEPS),
    (Inspection, INSPECTION_STEPS),
    (Volume, VOLUME_STEPS),
    (Network, NETWORK_STEPS),
    (VM, VM_STEPS),
    (Nic, NIC_STEPS),
    (Readiness, READINESS_STEPS),
    (Build, BUILD_STEPS),
    (Cluster, CLUSTER_STEPS),
    (Saving, SAVING_STEPS),
    (Attachment, ATTACHMENT_STEPS),
    (Snapshot, SNAPSHOT_STEPS),
    (Export, EXPORT_STEPS),
    (Delivery, DELIVERY_STEPS),
)

#: The same examples each time, so that no change is blamed for what chance finds. ``make search``
#: takes others each time.
hypothesis.register_profile("settled", derandomize=True)
hypothesis.register_profile("search", print_blob=True)
hypothesis.load_profile("settled")


def wait_for(condition: Callable[[], object], *, within_s: float = 10, every_s: float = 0.02):
    """Wait until ``condition`` holds and return what it said; fail after the deadline."""
    deadline = time.monotonic() + within_s
    while not (answer := condition()):
        if time.monotonic() > deadline:
            pytest.fail(f"not within {within_s} s: {condition}")
        time.sleep(every_s)  # noqa: TID251  (the one place that waits)
    return answer


@pytest.fixture
def cloud(request, settings) -> Iterator[FakeCloud]:
    """The site's only cloud, faked; a world of its own for each test."""
    world = request.node.nodeid
    settings.CLOUDS = {"local": {"DRIVER": "cloud.fake.FakeCloud", "OPTIONS": {"world": world}}}
    _forget_clouds()
    yield FakeCloud(world=world)
    _forget_clouds()


def _forget_clouds() -> None:
    clouds.settings = clouds.configure_settings(None)
    clouds._connections = Local(clouds.thread_critical)


@pytest.fixture(scope="session", autouse=True)
def _emptied_between_tests() -> None:
    """Tests that commit empty the database at their end: the audit's guard stands aside then."""
    flush = connection.ops.execute_sql_flush

    def flush_all(statements: list[str]) -> None:
        with audit.lifted():
            flush(statements)

    connection.ops.execute_sql_flush = flush_all


class Worker:
    """Celery without Celery: do what is due, then let time pass, until it is quiet."""

    def run(self, *, hours: float = 3) -> None:
        start = timezone.now()
        with time_machine.travel(start, tick=False) as clock:
            while (timezone.now() - start).total_seconds() < hours * 3600:
                self.step()
                upcoming = [
                    at
                    for model, _ in LIVES
                    for at in model.objects.exclude(next_tick_at=None).values_list(
                        "next_tick_at", flat=True
                    )
                ]
                if not upcoming:
                    return
                clock.move_to(max(min(upcoming), timezone.now()))

    def step(self) -> None:
        """One look at everything that is due now."""
        for model, steps in LIVES:
            for row in due(model.objects.all()):
                tick(row, steps)


@pytest.fixture
def worker(cloud) -> Worker:
    return Worker()


@pytest.fixture(scope="session")
def redis_server() -> Iterator[str]:
    """A real Redis on the socket that settings name; its path."""
    path = Path(django_settings.REDIS_URL.removeprefix("unix://"))
    path.parent.mkdir(parents=True, exist_ok=True)
    process = start_redis(path)
    yield str(path)
    process.terminate()
    process.wait(10)


def start_redis(path: Path) -> "subprocess.Popen[bytes]":
    process = subprocess.Popen(
        ["redis-server", "--port", "0", "--unixsocket", str(path), "--save", "", "--appendonly",
         "no", "--dir", str(path.parent)],
        stdout=subprocess.DEVNULL,
    )  # fmt: skip

    def answers() -> bool:
        try:
            with redis.Redis(unix_socket_path=str(path)) as client:
                return bool(client.ping())
        except redis.RedisError:
            return False

    wait_for(answers)
    return process

"""Five hundred open pages that wait: what they cost, and what they hear."""

import asyncio
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import uuid4

from django.contrib.auth.hashers import make_password
from django.test import Client

from bench.figures import Figure, Section, p95
from bench.processes import pss_mib
from marketplace.models import Entry
from portal.demo import CLOUD
from registration.models import User
from registration.states import AccountState
from tests.running import RunningPortal
from vms.models import VM, Readiness
from vms.states import VmState

MEMBERS = 9
STREAMS = 500
CHANGES = 200
PATIENCE_S = 60.0
OPENING_AT_ONCE = 20
HOW = f"""{STREAMS} connections to `/live/`, signed in as {MEMBERS} people and an administrator
in equal parts. Memory is what the web process holds more than before (Pss), ten seconds after
the last has opened, and once more after the events. Then {CHANGES} changes of machines of all
people in turn are announced, as `core.machine` does: each stream of the owner and of the
administrator must tell it once, no other stream at all."""


@dataclass
class Stream:
    """One tab's end: what it was told, and when."""

    user: int
    told: dict[str, list[float]] = field(default_factory=dict)

    async def open(self, port: int, cookie: str) -> None:
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", port)
        question = f"GET /live/?since={int(time.time() * 1000)}-0 HTTP/1.1\r\n"
        self.writer.write(f"{question}Host: 127.0.0.1\r\nCookie: {cookie}\r\n\r\n".encode())
        head = await asyncio.wait_for(self.reader.readuntil(b"retry: 1000\n\n"), PATIENCE_S)
        assert head.startswith(b"HTTP/1.1 200"), head[:80]
        self.task = asyncio.create_task(self._read())

    async def _read(self) -> None:
        while line := await self.reader.readline():
            if line.startswith(b"data: "):
                key = json.loads(line[6:]).get("uuid", "reset")
                self.told.setdefault(key, []).append(time.time())

    async def close(self) -> None:
        self.task.cancel()
        self.writer.close()


@dataclass
class Heard:
    """What ``CHANGES`` announcements came to."""

    lost: int = 0
    twice: int = 0
    stray: int = 0  # told to a stream whose user may not see it
    late_s: list[float] = field(default_factory=list)


def measure(portal: RunningPortal) -> Section:
    (web,) = portal.pids("web")
    users = _users()
    vms = [_machine(user, number) for number in range(CHANGES // len(users)) for user in users]
    cookies = {user.pk: _cookie(portal, user) for user in users}
    try:
        before = pss_mib([web])
        opened, after, heard = asyncio.run(_drive(portal.port, web, users, vms, cookies))
    finally:
        Readiness.objects.filter(vm__in=vms).delete()
        VM.objects.filter(pk__in=[vm.pk for vm in vms]).delete()
    return Section(
        title=f"{STREAMS} idle live streams",
        how=HOW,
        figures=[
            Figure(f"memory of {STREAMS} idle streams", opened - before, "MiB", 300),
            Figure("the same after all events", after - before, "MiB", 300),
            Figure(f"events lost, of {_expected(users, vms)}", heard.lost, "", 0),
            Figure("events told to those who may not know", heard.stray, "", 0),
            Figure("events told twice", heard.twice, "", 0),
            Figure("announced to told, p95", p95(heard.late_s or [PATIENCE_S]), "s"),
        ],
        detail=f"Web process: {before:.0f} MiB before.",
    )


async def _drive(
    port: int, web: int, users: Sequence[User], vms: Sequence[VM], cookies: dict[int, str]
) -> tuple[float, float, Heard]:
    streams = [Stream(users[number % len(users)].pk) for number in range(STREAMS)]
    try:
        for start in range(0, STREAMS, OPENING_AT_ONCE):
            some = streams[start : start + OPENING_AT_ONCE]
            await asyncio.gather(*(stream.open(port, cookies[stream.user]) for stream in some))
        await asyncio.sleep(10)
        opened = pss_mib([web])
        announced = {}
        for vm in vms:
            announced[vm.token] = time.time()
            await asyncio.to_thread(vm.announce)
        await _until_told(streams, users, vms)
        after = pss_mib([web])
        return opened, after, _judge(streams, users, vms, announced)
    finally:
        for stream in streams:
            if hasattr(stream, "task"):
                await stream.close()


def _expected(users: Sequence[User], vms: Sequence[VM]) -> int:
    return sum(
        _may(user, vm) for vm in vms for n in range(STREAMS) for user in [users[n % len(users)]]
    )


def _may(user: User, vm: VM) -> bool:
    return user.is_staff or vm.owner_id == user.pk


async def _until_told(streams: Sequence[Stream], users: Sequence[User], vms: Sequence[VM]) -> None:
    """Until as many events came as should, or patience ends; then a moment for strays."""
    deadline = time.monotonic() + PATIENCE_S
    expected = _expected(users, vms)
    while time.monotonic() < deadline:
        if sum(len(stream.told) for stream in streams) >= expected:
            break
        await asyncio.sleep(0.1)
    await asyncio.sleep(2)


def _judge(
    streams: Sequence[Stream], users: Sequence[User], vms: Sequence[VM], announced: dict[str, float]
) -> Heard:
    heard = Heard()
    people = {user.pk: user for user in users}
    for stream in streams:
        allowed = {vm.token for vm in vms if _may(people[stream.user], vm)}
        heard.lost += len(allowed - stream.told.keys())
        heard.stray += len(stream.told.keys() - allowed)
        heard.twice += sum(len(times) > 1 for times in stream.told.values())
        known = stream.told.keys() & allowed
        heard.late_s += [stream.told[key][0] - announced[key] for key in known]
    return heard


def _users() -> list[User]:
    members = [
        User.objects.create(
            username=f"stream_{number}",
            email=f"stream_{number}@example.org",
            given_name="Stream",
            family_name=str(number),
            password=make_password(None),
            state=AccountState.ACTIVE,
            policy_version=1,
        )
        for number in range(MEMBERS)
    ]
    return [*members, User.objects.administrators()[0]]


def _machine(owner: User, number: int) -> VM:
    """A row that is announced; no engine runs it."""
    vm = VM.objects.create(
        owner=owner,
        entry=Entry.objects.all()[0],
        cloud=CLOUD,
        launch_key=uuid4(),
        name=f"stream {number}",
        type_name="m1.small",
        vcpus=1,
        memory_mib=512,
        state=VmState.RUNNING,
    )
    Readiness.objects.create(vm=vm)
    return vm


def _cookie(portal: RunningPortal, user: User) -> str:
    client = Client()
    client.force_login(user)
    return f"session-{portal.port}={client.session.session_key}"

"""Twenty machines ordered at once, against twenty QEMU processes started by a shell loop."""

import os
import shlex
import shutil
import signal
import subprocess
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

from django.conf import settings

from bench import banner, launch
from bench.figures import Figure, Section, table
from cloud.local import accel, command
from cloud.local.machine import Record
from conftest import wait_for
from marketplace.models import Entry
from registration.models import User
from tests.running import RunningPortal, free_port
from vms.actions import Order, launch_many
from vms.models import VM

MACHINES = 20
MEMORY_MIB = 160
READY_S = 600.0
HOW = f"""*Portal*: from the order of a batch of {MACHINES} demo machines until SSH has greeted at
the port of each. *By hand*: a shell that starts the command lines of the same {MACHINES} machines
one after another, each in the background, with the same settings, images and limits, in folders
whose disks were made beforehand, until SSH has greeted at the port of each. One round each: all at
once they take minutes on two cores."""


def measure(portal: RunningPortal) -> Section:
    person = portal.administrator()
    try:
        image = person.image()
    finally:
        person.close()
    owner = User.objects.administrators()[0]
    found = Entry.objects.visible_to(owner).launchable().best_first()
    entry = found.filter(identifier=image)[0]
    _warm(entry)
    many = 10 * MACHINES
    User.objects.filter(pk=owner.pk).update(
        quota_machines=many, quota_vcpus=many, quota_memory_mib=many * MEMORY_MIB
    )
    owner.refresh_from_db()
    ours, records = _together(portal, owner, entry)
    by_hand = _by_hand(portal.home, records)
    return _section(ours, by_hand)


def _warm(entry: Entry) -> None:
    """Have the image in the page cache, as it is after the first launch of a day."""
    for path in (Path(settings.PORTAL_HOME) / "cloud" / "images").glob(f"{entry.identifier}.*"):
        path.read_bytes()


def _together(portal: RunningPortal, owner: User, entry: Entry) -> tuple[float, list[Record]]:
    """Seconds until every machine greets, and what they were."""
    orders = [
        Order(entry=entry, name=f"bench {number}", type_name="bench", vcpus=1,
              memory_mib=MEMORY_MIB)
        for number in range(MACHINES)
    ]  # fmt: skip
    began = time.time()
    batch = launch_many(owner=owner, orders=orders, name="bench", key=uuid4())
    machines = list(VM.objects.filter(batch=batch).values_list("uuid", flat=True))
    assert len(machines) == MACHINES, machines
    records = [_record(portal.home, str(uuid)) for uuid in machines]
    took = _all_greet([record.ports[22] for record in records]) - began
    person = portal.administrator()
    try:
        for uuid in machines:
            person.ask(str(uuid), "kill")
        wait_for(lambda: {portal.state(str(uuid)) for uuid in machines} == {"done"}, within_s=120)
    finally:
        person.close()
    return took, records


def _record(home: Path, vm: str) -> Record:
    """The engine's word for a machine, once it was asked for it."""
    path = home / "cloud" / "machines" / vm / "machine.json"
    wait_for(path.exists, within_s=120, every_s=0.05)
    return Record.from_json(path.read_bytes())


def _all_greet(ports: list[int]) -> float:
    """The moment at which the last of them has greeted."""
    return max(banner.wait(port, within_s=READY_S) for port in ports)


def _by_hand(home: Path, like: list[Record]) -> float:
    """Seconds from the shell loop until the last greets."""
    place = home / "bare"
    records = [replace(one, token=str(uuid4()), ports={22: free_port()}) for one in like]
    pids: list[int] = []
    try:
        lines = [_line(home, place / record.token, record) for record in records]
        began = time.time()
        said = subprocess.run(
            ["sh", "-c", "\n".join(lines)], check=True, capture_output=True, text=True
        ).stdout
        pids = [int(pid) for pid in said.split()]
        return _all_greet([record.ports[22] for record in records]) - began
    finally:
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        shutil.rmtree(place, ignore_errors=True)


def _line(home: Path, folder: Path, record: Record) -> str:
    """A line of the shell: start one in its folder, and say its number."""
    run = folder / "run"
    launch.make_disks(home, record, run)
    argv = command.argv(
        record, accel=accel.choose(home / "cloud"), bind_address="127.0.0.1", opened={}, wires={}
    )
    return f"cd {shlex.quote(str(run))}; {shlex.join(argv)} >../out 2>&1 </dev/null & echo $!"


def _section(ours: float, by_hand: float) -> Section:
    rows = [("portal: a batch", f"{ours:.1f}"), ("a shell loop", f"{by_hand:.1f}")]
    return Section(
        title=f"{MACHINES} machines at once",
        how=HOW,
        figures=[
            Figure(f"{MACHINES} demo machines ready, a batch ÷ a shell loop of bare QEMU",
                   ours / by_hand, "", 1.3),
        ],
        detail=table((f"until {MACHINES} greet", "s"), rows),
    )  # fmt: skip

"""From the click on *Launch* to the guest's SSH, against the same QEMU started by hand."""

import json
import os
import shutil
import statistics
import subprocess
import time
from dataclasses import dataclass, replace
from pathlib import Path
from uuid import uuid4

from bench import banner
from bench.figures import Figure, Section, spread, table
from cloud import media
from cloud.local import accel, command, process
from cloud.local.machine import Record
from cloud.types import ImageFormat
from conftest import wait_for
from tests.people import Person
from tests.running import RunningPortal, free_port

ROUNDS = 7
BOOT_S = 60.0
HOW = f"""One machine at a time, {ROUNDS} rounds, portal and bare QEMU in turn. *Portal*: from
sending the form of the launch page to the first bytes of SSH's greeting at the machine's
port; the image is in the cloud already. *Bare*: from starting the command line of
`cloud.local.command` for the same image, size and devices, in a folder whose disks were made
beforehand, to the same greeting. Both are knocked at every {banner.EVERY_S * 1000:.0f} ms."""


@dataclass(frozen=True, slots=True)
class Launch:
    """Seconds since the click."""

    answered: float  # the web server had taken the order
    qemu: float  # the engine had started QEMU
    greeted: float  # SSH had said hello


def measure(portal: RunningPortal) -> Section:
    person = portal.administrator()
    image = person.image()
    launched, bare = [], []
    try:
        _, record = _launch(portal, person, image)  # brings the image into the cloud
        for _ in range(ROUNDS):
            one, record = _launch(portal, person, image)
            launched.append(one)
            bare.append(_bare(portal.home, record))
    finally:
        person.close()
    return _section(launched, bare)


def _launch(portal: RunningPortal, person: Person, image: str) -> tuple[Launch, Record]:
    """Launch, wait for SSH, kill, wait until it is gone."""
    person.token()
    clicked = time.time()
    vm = person.launch(image=image, name="bench")
    answered = time.time()
    port = wait_for(lambda: _port(portal, vm), within_s=30, every_s=0.01)
    greeted = banner.wait(port, within_s=BOOT_S)
    wait_for(lambda: portal.state(vm) == "running", within_s=10)
    record = Record.from_json(
        (portal.home / "cloud" / "machines" / vm / "machine.json").read_bytes()
    )
    person.ask(vm, "kill")
    wait_for(lambda: portal.state(vm) == "done", within_s=30)
    return Launch(
        answered=answered - clicked, qemu=record.started_at - clicked, greeted=greeted - clicked
    ), record


def _port(portal: RunningPortal, vm: str) -> int:
    ((found,),) = portal.rows("SELECT endpoints FROM vms_vm WHERE uuid = ?", vm.replace("-", ""))
    return next((int(end["port"]) for end in json.loads(found)), 0)


def _bare(home: Path, like: Record) -> float:
    """Start the same machine by hand; seconds until SSH greets."""
    record = replace(like, token=str(uuid4()), ports={22: free_port()})
    folder = home / "bare" / record.token
    run = folder / "run"
    make_disks(home, record, run)
    chosen = accel.choose(home / "cloud")
    argv = command.argv(
        record,
        accel=chosen,
        bind_address="127.0.0.1",
        opened={},
        wires={},
    )
    began = time.time()
    born = process.start(
        argv,
        cwd=run,
        output=folder / "out",
        life=folder / "life",
        niceness=command.niceness(record.spec.cpu_share),
    )
    try:
        return banner.wait(record.ports[22], within_s=BOOT_S) - began
    finally:
        process.kill(born, wait_s=10)
        shutil.rmtree(folder)


def make_disks(home: Path, record: Record, run: Path) -> None:
    run.mkdir(parents=True)
    for folder in (run.parent.parent, run.parent):
        folder.chmod(0o711)
    (base,) = (home / "cloud" / "images").glob(f"*.{ImageFormat.QCOW2}")
    os.link(base, run / "base.qcow2")
    (run / "seed.iso").write_bytes(media.iso(record.spec, token=record.token))
    subprocess.run(
        ["qemu-img", "create", "-q", "-f", "qcow2", "-b", "base.qcow2", "-F", "qcow2",
         "root.qcow2"],
        cwd=run,
        check=True,
    )  # fmt: skip
    if record.uid is not None:
        for path in (run, run / "seed.iso", run / "root.qcow2"):
            os.chown(path, record.uid, record.uid)


def _section(launched: list[Launch], bare: list[float]) -> Section:
    greeted = [one.greeted for one in launched]
    ratio = statistics.median(greeted) / statistics.median(bare)
    steps = [
        ("click → order taken", spread([one.answered for one in launched])),
        ("order taken → QEMU started", spread([one.qemu - one.answered for one in launched])),
        ("QEMU started → SSH greets", spread([one.greeted - one.qemu for one in launched])),
        ("click → SSH greets", spread(greeted)),
        ("bare: QEMU started → SSH greets", spread(bare)),
    ]
    return Section(
        title="Click *Launch* to SSH",
        how=HOW,
        figures=[
            Figure("click *Launch* to SSH, portal ÷ bare QEMU", ratio, "", 1.3, 1.15),
            Figure("the same, the fastest of each", min(greeted) / min(bare), ""),
        ],
        detail=table(("s", "median [least to most]"), steps),
    )

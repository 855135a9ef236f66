"""Persistent disks: bytes in, plugged in and out, converted, and fifty thousand in a table."""

import base64
import os
import shutil
import statistics
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
from django.core.management import call_command
from django.urls import reverse
from django.utils import timezone

from bench.figures import Figure, Section, spread, table
from bench.pages import Cost, ask
from cloud.local import qmp
from cloud.local.driver import LocalDriver
from cloud.types import DiskFormat, VolumeSource
from conftest import wait_for
from registration import actions as registration
from registration.models import Scope, User
from tests.running import RunningPortal

MIB, GIB = 1 << 20, 1 << 30
ROUNDS = 5
FILE_BYTES = 512 * MIB
FEW, MANY, MACHINES = 100, 50_000, 200
#: What one PATCH carries.
CHUNK = 8 * MIB
PLUG_ROUNDS = 8
HOW = f"""*Upload*: {FILE_BYTES // MIB} MiB that do not compress go through tus over loopback
with an API token, against `cp` and then `sha512sum` of the same file on the same disk; once until
the last byte is stored, once until the disk is available with its three checksums. *Hot-plug*: an
attach and a detach by the API until the row says so, against the same commands sent straight to
the QEMU of the same machine, in turns. *Conversion*: the engine's own import of a qcow2 file
against `qemu-img convert` of it. *Table*: `manage.py seed_demo --disks`, asked for by an
administrator as under *Pages of a full portal*."""


def measure(portal: RunningPortal) -> Section:
    place = portal.home / "bench"
    place.mkdir()
    uploads, plugs = _uploads(portal, place), _plugs(portal)
    conversions = _conversions(place)
    shutil.rmtree(place)
    return _section(uploads, plugs, conversions, _tables(portal))


# Bytes in --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Uploads:
    """Seconds, round by round."""

    by_hand: list[float]  # cp, then sha512sum
    stored: list[float]
    available: list[float]


def _uploads(portal: RunningPortal, place: Path) -> Uploads:
    source = place / "file"
    with source.open("wb") as file:
        for _ in range(FILE_BYTES // CHUNK):
            file.write(os.urandom(CHUNK))
    found = Uploads([], [], [])
    with _program(portal) as program:
        for number in range(ROUNDS + 1):
            by_hand = _seconds(lambda: _by_hand(source, place / "copy"))
            stored, available = _upload(program, source, f"bench {number}")
            if number:  # the first warms the page cache for both
                found.by_hand.append(by_hand)
                found.stored.append(stored)
                found.available.append(available)
    return found


def _by_hand(source: Path, copy: Path) -> None:
    subprocess.run(["cp", source, copy], check=True)
    subprocess.run(["sha512sum", copy], check=True, capture_output=True)
    copy.unlink()


def _upload(program: httpx.Client, source: Path, tag: str) -> tuple[float, float]:
    """Seconds until the last byte was stored, and until the disk was available."""
    size = source.stat().st_size
    began = time.perf_counter()
    made = program.post(
        "/volumes/uploads/",
        headers={
            "Tus-Resumable": "1.0.0",
            "Upload-Length": str(size),
            "Upload-Metadata": f"filename {_base64(source.name)},tag {_base64(tag)},"
            f"format {_base64('raw')}",
        },
    )
    assert made.status_code == 201, made.text
    with source.open("rb") as file:
        sent = program.patch(
            made.headers["location"],
            content=iter(lambda: file.read(CHUNK), b""),
            headers={
                "Tus-Resumable": "1.0.0",
                "Upload-Offset": "0",
                "Content-Length": str(size),
                "Content-Type": "application/offset+octet-stream",
            },
        )
    assert sent.status_code == 204, sent.text
    stored = time.perf_counter() - began
    disk = made.headers["location"].rstrip("/").rpartition("/")[2]
    wait_for(lambda: _is(program, disk, "available"), within_s=120, every_s=0.01)
    available = time.perf_counter() - began
    assert program.delete(f"/api/v1/disks/{disk}").is_success
    return stored, available


def _is(program: httpx.Client, disk: str, state: str) -> bool:
    found = program.get(f"/api/v1/disks/{disk}").json()
    assert found["state"] != "failed", found["reason"]
    return bool(found["state"] == state)


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _program(portal: RunningPortal) -> httpx.Client:
    """Somebody's script, with an API token that may change things."""
    owner = User.objects.administrators()[0]
    User.objects.filter(pk=owner.pk).update(quota_disk_bytes=1 << 50)
    until = timezone.now() + timedelta(days=1)
    _, secret = registration.create_token(
        owner=owner, name=f"bench {uuid4()}", scope=Scope.WRITE, expires_at=until
    )
    headers = {"Authorization": f"Bearer {secret}"}
    return httpx.Client(base_url=portal.url, headers=headers, timeout=120)


def _seconds(work: Callable[[], Any]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


# Plugged in and out ----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Plugs:
    """Seconds, round by round: by the portal, and by QEMU alone."""

    attach: list[float]
    detach: list[float]
    bare_attach: list[float]
    bare_detach: list[float]


def _plugs(portal: RunningPortal) -> Plugs:
    person = portal.administrator()
    found = Plugs([], [], [], [])
    vm = person.launch(name="bench")
    try:
        wait_for(lambda: portal.state(vm) == "running", within_s=90)
        run = portal.home / "cloud" / "machines" / vm / "run"
        bare = run / "bench.qcow2"
        _make_disk(bare, run.stat().st_uid)
        with _program(portal) as program:
            disk = program.post("/api/v1/disks", json={"size_gib": 1, "tag": "bench"}).json()
            wait_for(lambda: _is(program, disk["uuid"], "available"), within_s=30)
            for number in range(PLUG_ROUNDS + 1):
                rounds = (*_by_portal(program, vm, disk["uuid"]), *_by_hand_plugged(run))
                if number:
                    for seconds, kept in zip(
                        rounds,
                        (found.attach, found.detach, found.bare_attach, found.bare_detach),
                        strict=True,
                    ):
                        kept.append(seconds)
    finally:
        person.ask(vm, "kill")
        wait_for(lambda: portal.state(vm) == "done", within_s=30)
        person.close()
    return found


def _by_portal(program: httpx.Client, vm: str, disk: str) -> tuple[float, float]:
    began = time.perf_counter()
    row = program.post(f"/api/v1/vms/{vm}/disks", json={"disk": disk}).json()["uuid"]
    wait_for(lambda: _stands(program, row, "attached"), within_s=30, every_s=0.005)
    attached = time.perf_counter()
    program.post(f"/api/v1/attachments/{row}/detach")
    wait_for(lambda: _stands(program, row, "detached"), within_s=60, every_s=0.005)
    return attached - began, time.perf_counter() - attached


def _stands(program: httpx.Client, row: str, state: str) -> bool:
    return bool(program.get(f"/api/v1/attachments/{row}").json()["state"] == state)


def _by_hand_plugged(run: Path) -> tuple[float, float]:
    """The same commands, straight to the machine's QEMU."""
    node = {
        "driver": "qcow2",
        "node-name": "bench",
        "file": {"driver": "file", "filename": "bench.qcow2"},
    }
    began = time.perf_counter()
    qmp.ask(run, "blockdev-add", timeout_s=8, **node)
    device = {"driver": "scsi-hd", "bus": "scsi0.0", "drive": "bench", "id": "benchdev"}
    qmp.ask(run, "device_add", timeout_s=8, **device)
    attached = time.perf_counter()
    qmp.ask(run, "device_del", timeout_s=8, id="benchdev")
    wait_for(lambda: not _has_device(run), within_s=30, every_s=0.005)
    qmp.ask(run, "blockdev-del", timeout_s=8, **{"node-name": "bench"})
    return attached - began, time.perf_counter() - attached


def _has_device(run: Path) -> bool:
    blocks = qmp.ask(run, "query-block", timeout_s=8)
    return any(block.get("qdev", "").endswith("benchdev") for block in blocks)


def _make_disk(path: Path, uid: int) -> None:
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", path, "1G"], check=True)
    os.chown(path, uid, uid)


# Converted -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Conversions:
    """Seconds, round by round: the engine's import, and qemu-img alone."""

    engine: list[float]
    bare: list[float]


def _conversions(place: Path) -> Conversions:
    raw, source = place / "file", place / "source.qcow2"
    subprocess.run(["qemu-img", "convert", "-f", "raw", "-O", "qcow2", raw, source], check=True)
    place.chmod(0o711)
    driver = LocalDriver(home=place / "cloud")
    wanted = VolumeSource(path=source, format=DiskFormat.QCOW2, size_bytes=FILE_BYTES)
    found = Conversions([], [])
    bare = place / "bare.qcow2"
    for number in range(ROUNDS + 1):
        by_hand = _seconds(lambda: _converted(source, bare))
        bare.unlink()
        token = str(uuid4())
        engine = _seconds(
            lambda: driver.import_volume(wanted, token=token, on_progress=lambda *_: None)  # noqa: B023
        )
        driver.delete_volume(token)
        if number:
            found.engine.append(engine)
            found.bare.append(by_hand)
    return found


def _converted(source: Path, target: Path) -> None:
    """By qemu-img alone, until its bytes are on the disk, as the engine's are."""
    argv = ["qemu-img", "convert", "-f", "qcow2", "-O", "qcow2", source, target]
    subprocess.run(argv, check=True)
    with target.open("rb") as file:
        os.fsync(file.fileno())


# In a table ------------------------------------------------------------------------------


def _tables(portal: RunningPortal) -> dict[int, dict[str, Cost]]:
    costs = {}
    for disks in (FEW, MANY):
        seed = {"machines": MACHINES, "entries": 20, "disks": disks}
        call_command("seed_demo", stdout=StringIO(), **seed)
        costs[disks] = ask(portal, User.objects.administrators()[0], _paths())
    call_command("seed_demo", clean=True, stdout=StringIO())
    return costs


def _paths() -> dict[str, str]:
    home = reverse("volumes:list")
    return {
        "mine": home,
        "public": f"{home}?tab=public",
        "all": f"{home}?tab=all",
        "all, searched": f"{home}?tab=all&q=genome",
        "all, in use": f"{home}?tab=all&state=in_use",
        "all, by size": f"{home}?tab=all&sort=-size",
        "all, by tag": f"{home}?tab=all&sort=tag",
        "all, last page": f"{home}?tab=all&page=9999",
        "bin": reverse("volumes:bin"),
    }


# Figures ---------------------------------------------------------------------------------


def _section(
    uploads: Uploads, plugs: Plugs, conversions: Conversions, costs: dict[int, dict[str, Cost]]
) -> Section:
    growing = [page for page in costs[FEW] if costs[FEW][page].queries != costs[MANY][page].queries]
    table_ratio = _middle(costs[MANY]["all"].took_ms) / _middle(costs[FEW]["all"].took_ms)
    by_hand = _middle(uploads.by_hand)
    return Section(
        title="Disks",
        how=HOW,
        figures=[
            Figure("upload throughput, cp + sha512sum ÷ upload's time (at least 0.5)",
                   _middle(uploads.stored) / by_hand, "times", 2),
            Figure("the same until the disk is available", _middle(uploads.available) / by_hand,
                   "times"),
            *_plug_figures(plugs),
            Figure("conversion ÷ plain qemu-img convert",
                   _middle(conversions.engine) / _middle(conversions.bare), "", 1.2),
            Figure(f"table with {MANY:,} disks ÷ with {FEW}, server time", table_ratio, "", 1.5),
            Figure("pages whose number of queries grows with the disks", len(growing), "", 0),
        ],
        detail="\n\n".join([_steps(uploads, plugs, conversions), _table(costs)]),
    )  # fmt: skip


def _plug_figures(plugs: Plugs) -> list[Figure]:
    """What the portal takes beyond one and a half times QEMU's own."""
    pairs = (
        ("hot-attach", plugs.attach, plugs.bare_attach),
        ("hot-detach", plugs.detach, plugs.bare_detach),
    )
    return [
        Figure(f"{name}, beyond 1.5 times QEMU's own", _middle(ours) - 1.5 * _middle(bare), "s", 1)
        for name, ours, bare in pairs
    ]


def _steps(uploads: Uploads, plugs: Plugs, conversions: Conversions) -> str:
    rows = [
        ("cp + sha512sum", spread(uploads.by_hand)),
        ("upload: last byte stored", spread(uploads.stored)),
        ("upload: available", spread(uploads.available)),
        ("attach: portal", spread(plugs.attach)),
        ("attach: QEMU", spread(plugs.bare_attach, 3)),
        ("detach: portal", spread(plugs.detach)),
        ("detach: QEMU", spread(plugs.bare_detach, 3)),
        ("import: engine", spread(conversions.engine)),
        ("import: qemu-img", spread(conversions.bare)),
    ]
    return table(("s", "median [least to most]"), rows)


def _table(costs: dict[int, dict[str, Cost]]) -> str:
    head = ["page", "queries", *(f"{disks:,}: p95 ms (median; CPU)" for disks in costs)]
    rows = []
    for page in costs[FEW]:
        each = [found[page] for found in costs.values()]
        queries = "/".join(str(n) for n in dict.fromkeys(cost.queries for cost in each))
        rows.append([page, queries, *(cost.in_words() for cost in each)])
    return table(head, rows)


_middle = statistics.median

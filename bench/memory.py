"""What the portal's processes hold when nobody does anything."""

import time

from bench.figures import Figure, Section, table
from bench.processes import of_portal, pss_mib
from conftest import wait_for
from tests.processes import command_line
from tests.running import RunningPortal

QUIET_S = 20
NAMES = {
    b"deploy/run.py": "deploy/run.py",
    b"honcho": "honcho",
    b"deploy/keep": "deploy/keep",
    b"redis-server": "redis",
    b"uvicorn": "web",
    b"beat": "beat",
    b"worker": "worker",
}
HOW = f"""Proportional set size (proc(5): each shared page counted once among those who share it) of
every process that `make run` leaves behind, {QUIET_S} s after each page was looked at once. No
machine runs; machines are not counted."""


def measure(portal: RunningPortal) -> Section:
    person = portal.administrator()
    for path in ("/", "/vms/", "/marketplace/", "/registrations/", "/profile/", "/audit/"):
        assert person.get(path).status_code == 200, path
    person.close()
    quiet = time.monotonic() + QUIET_S
    wait_for(lambda: time.monotonic() > quiet, within_s=QUIET_S + 5, every_s=1)
    held: dict[str, tuple[int, float]] = {}
    for pid in of_portal():
        name = _name(command_line(pid))
        count, mib = held.get(name, (0, 0.0))
        held[name] = (count + 1, mib + pss_mib([pid]))
    total = sum(mib for _, mib in held.values())
    rows = [(name, count, f"{mib:.1f}") for name, (count, mib) in held.items()]
    return Section(
        title="Idle memory",
        how=HOW,
        figures=[Figure("all processes of the idle portal", total, "MiB", 400)],
        detail=table(("process", "number", "MiB"), rows),
    )


def _name(command: bytes) -> str:
    """What a process is; the first that fits, since a keeper names what it keeps."""
    return next((name for mark, name in NAMES.items() if mark in command), "other")

"""A running portal for tests: the real thing, by ``deploy/run.py``, in a home of its own."""

import contextlib
import os
import select
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from conftest import wait_for
from tests import seeds
from tests.people import Person
from tests.processes import (
    all_pids,
    children,
    command_line,
    end,
    free_port,
    is_open,
    listening_ports,
    working_directory,
)

__all__ = [
    "RunningPortal", "all_pids", "children", "command_line", "free_port", "is_open",
    "running_portal",
]  # fmt: skip

CHECKOUT = Path(__file__).resolve().parent.parent
ADMIN = "admin"
#: What the program of each keeper calls itself, in its command line.
PROGRAMS = {"redis": b"redis-server", "web": b"uvicorn", "worker": b"celery", "beat": b"celery"}
START_S = 120


@dataclass(frozen=True)
class Leftovers:
    """What machines of one home still hold; false when that is nothing."""

    processes: tuple[int, ...]
    folders: tuple[str, ...]
    ports: tuple[int, ...]

    def __bool__(self) -> bool:
        return bool(self.processes or self.folders or self.ports)


class RunningPortal:
    """Redis, web, worker and beat on ``home``, from this checkout, as ``make run`` does it.

    The home is seeded with a database that has an administrator and the demo image, made
    once per version of them on this machine.
    """

    def __init__(self, home: Path, *, env: Mapping[str, str] | None = None) -> None:
        self.home = home
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.admin_password = seeds.ADMIN_PASSWORD
        self._env = clean_environment() | {
            "PORTAL_HOME": str(home),
            "PORTAL_PORT": str(self.port),
            "PORTAL_ADMIN_PASSWORD": seeds.ADMIN_PASSWORD,
            **(env or {}),
        }
        self._log = home / "run.log"
        self._process: subprocess.Popen[bytes] | None = None

    # Life ------------------------------------------------------------------------------

    def start(self) -> None:
        """Start it and wait until pages are served."""
        if not (self.home / "portal.sqlite3").exists():
            seeds.plant(self.home, clean_environment())
        with self._log.open("ab") as log:
            # Should the tests be killed outright, the portal is told to stop.
            self._process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "TERM", sys.executable, "deploy/run.py"],
                cwd=CHECKOUT,
                env=self._env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.wait_until_up()

    def wait_until_up(self, *, within_s: float = START_S) -> None:
        """Wait until every process runs and pages are served."""
        try:
            wait_for(self._is_up, within_s=within_s, every_s=0.1)
        except BaseException:
            print(self.log_tail())
            raise

    def _is_up(self) -> bool:
        if self._process is None or self._process.poll() is not None:
            raise RuntimeError(f"The portal ended:\n{self.log_tail()}")
        return all(self.pids(name) for name in PROGRAMS) and self.is_healthy()

    def is_healthy(self) -> bool:
        """Whether the web process answers and reaches its database and Redis."""
        question = b"GET /healthz HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n"
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=5) as connection:
                connection.sendall(question)
                status = connection.makefile("rb").readline().split()
        except OSError:
            return False
        return status[1:2] == [b"200"]

    def stop(self) -> None:
        """Stop the portal as Ctrl-C does; machines go on."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(60)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(10)
        self._process = None

    def clean_up(self) -> None:
        """Stop the portal and end every machine of this home."""
        self.stop()
        for pid in self.machine_pids():
            end(pid)
        shutil.rmtree(self.home, ignore_errors=True)

    # Processes -------------------------------------------------------------------------

    def keeper(self, name: str) -> int:
        """The process id of ``deploy/keep NAME``, or 0."""
        try:
            return int((self.home / "run" / f"{name}.pid").read_text())
        except (OSError, ValueError):
            return 0

    def pids(self, name: str) -> list[int]:
        """The process ids of the program that ``deploy/keep NAME`` keeps."""
        return [pid for pid in children(self.keeper(name)) if PROGRAMS[name] in command_line(pid)]

    def kill(self, name: str, number: int = signal.SIGKILL) -> int:
        """Signal the kept program of ``name``; its process id. Its keeper starts it again.

        With SIGKILL or SIGTERM this returns once that process has ended.
        """
        (pid,) = wait_for(lambda: self.pids(name))
        handle = os.pidfd_open(pid)
        try:
            signal.pidfd_send_signal(handle, number)
            if number in (signal.SIGKILL, signal.SIGTERM):
                select.select([handle], [], [], 30)
        finally:
            os.close(handle)
        return pid

    def machine_pids(self) -> list[int]:
        """QEMU processes that run in a machine's directory of this home."""
        machines = self.home / "cloud" / "machines"
        return [
            pid
            for pid in all_pids()
            if b"qemu-system" in command_line(pid) and machines in working_directory(pid).parents
        ]

    # What it left, and what it knows ---------------------------------------------------

    def leftovers(self) -> Leftovers:
        """QEMU processes, machine directories and listening ports of this home."""
        known = {
            port
            for (port,) in self.rows(
                "SELECT json_extract(each.value, '$.port') FROM vms_vm, json_each(endpoints) each"
            )
        }
        machines = self.home / "cloud" / "machines"
        return Leftovers(
            processes=tuple(self.machine_pids()),
            folders=tuple(sorted(os.listdir(machines))) if machines.exists() else (),
            ports=tuple(sorted(known & listening_ports())),
        )

    def rows(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        """Read the portal's own database."""
        path = self.home / "portal.sqlite3"
        with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
            return database.execute(sql, values).fetchall()

    def state(self, vm: str) -> str:
        """The state of the machine with this UUID."""
        ((state,),) = self.rows("SELECT state FROM vms_vm WHERE uuid = ?", vm.replace("-", ""))
        return str(state)

    def log_tail(self, lines: int = 60) -> str:
        """The end of what the portal's processes have printed."""
        if not self._log.exists():
            return ""
        return "\n".join(self._log.read_text(errors="replace").splitlines()[-lines:])

    def person(self, username: str, password: str = "") -> Person:
        """Somebody with a browser's cookies and no browser; signed in if there is a password."""
        person = Person(self.url, username, home=self.home)
        if password:
            person.sign_in(password)
        return person

    def administrator(self) -> Person:
        return self.person(ADMIN, self.admin_password)

    def member(self, username: str) -> Person:
        """Somebody who registered, confirmed the address, was approved, and has signed in."""
        person = self.person(username)
        password = person.register()
        with contextlib.closing(self.administrator()) as administrator:
            administrator.approve(self.account(username))
        person.sign_in(password)
        return person

    def account(self, username: str) -> str:
        """The UUID of an account."""
        ((uuid,),) = self.rows("SELECT uuid FROM registration_user WHERE username = ?", username)
        return seeds.dashed(uuid)


@contextlib.contextmanager
def running_portal(home: Path, **options: Any) -> Iterator[RunningPortal]:
    """A portal for the length of a ``with``; nothing of it is left afterwards."""
    portal = RunningPortal(home, **options)
    try:
        portal.start()
        yield portal
    finally:
        portal.clean_up()


def clean_environment() -> dict[str, str]:
    """This process's environment without what would lead a portal to another home."""
    ours = ("DATABASE_URL", "REDIS_URL", "DJANGO_SETTINGS_MODULE")
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PORTAL_", "PYTEST_")) and name not in ours
    }

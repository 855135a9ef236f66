"""A running portal that is about to be shaken, and what must hold when it has settled."""

import os
import signal
import sqlite3
import uuid
from contextlib import closing, suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

from cloud.local.driver import LocalDriver
from conftest import wait_for
from tests.people import Person
from tests.processes import all_pids, children, command_line
from tests.running import RunningPortal

#: From any fault until everything is as it should be.
SETTLED_S = 30


class Shaken:
    """One person's machines on a portal whose processes die.

    ``tiny`` boots in a moment and ignores the power button; ``large`` is the same with so
    many bytes that its copying can be interrupted; ``demo`` is a real Linux.
    """

    def __init__(self, portal: RunningPortal, person: Person, images: dict[str, str]) -> None:
        self.portal = portal
        self.person = person
        self.images = images
        self.vms: list[str] = []
        self._paused = 0

    # What is asked ---------------------------------------------------------------------

    def launch(self, image: str, **answers: Any) -> str:
        memory_mib = "128" if image == "demo" else "96"
        answers |= {"image": self.images[image], "memory_mib": memory_mib, "name": image}
        vm = self.person.launch(**answers)
        if vm not in self.vms:
            self.vms.append(vm)
        return vm

    def run(self, image: str) -> str:
        vm = self.launch(image)
        self.reaches(vm, "running", within_s=90)
        return vm

    def ask(self, vm: str, verb: str) -> None:
        answer = self.person.ask(vm, verb)
        assert answer.status_code == 302, answer.status_code

    def forget_image(self, image: str) -> None:
        """Have the engine copy it anew at the next launch."""
        LocalDriver(home=self.portal.home / "cloud").delete_image(self.images[image])

    # What is seen ----------------------------------------------------------------------

    def row(self, vm: str) -> tuple[str, str, Any, Any]:
        """State, reason, when it is looked at next, and until when a worker has it."""
        columns = "state, reason, next_tick_at, lease_until"
        (row,) = self.portal.rows(f"SELECT {columns} FROM vms_vm WHERE uuid = ?", stored(vm))  # noqa: S608
        return row

    def state(self, vm: str) -> str:
        return self.row(vm)[0]

    def qemus(self, vm: str) -> list[int]:
        """The processes of this machine, by its name on their command lines."""
        mark = b"\0-uuid\0" + vm.encode() + b"\0"
        return [pid for pid in all_pids() if mark in command_line(pid)]

    def reaches(self, vm: str, *states: str, within_s: float = SETTLED_S) -> None:
        try:
            wait_for(lambda: self.state(vm) in states, within_s=within_s, every_s=0.1)
        except BaseException:
            print(f"{vm} should be {states}: {self.row(vm)}\n{self.portal.log_tail()}")
            raise

    def copies(self, image: str) -> bool:
        """Whether some of the image's bytes, and not all, are in the engine."""
        sql = "SELECT state, bytes_done FROM marketplace_imagefile WHERE identifier = ?"
        rows = self.portal.rows(sql, self.images[image])
        return any(state == "copying" and done for state, done in rows)

    # What must hold --------------------------------------------------------------------

    def is_whole(self, vm: str, *, runs: bool) -> None:
        """Its page works, its history adds up, and it has one process or none."""
        page = self.person.get(f"/vms/{vm}/")
        assert page.status_code == 200, page.status_code
        assert len(self.qemus(vm)) == int(runs), (self.row(vm), self.qemus(vm))
        assert (self.portal.home / "cloud" / "machines" / vm).exists() or not runs
        self.adds_up(vm)

    def adds_up(self, vm: str) -> None:
        """Each move begins where the one before ended, and the last is the row's state."""
        sql = "SELECT was, now FROM core_event WHERE subject = ? AND now <> ''"
        moves = self.portal.rows(f"{sql} ORDER BY id", stored(vm))
        assert moves[0] == ("", "pending")
        for (_, before), (was, _) in pairwise(moves):
            assert was == before, moves
        assert moves[-1][1] == self.state(vm), moves

    def end_all(self) -> None:
        """Kill what there is, and see that nothing stays."""
        self.resume_worker()
        self.serves_pages()
        for vm in self.vms:
            if self.state(vm) not in ("done", "epilog"):
                self.person.ask(vm, "kill")
        for vm in self.vms:
            self.reaches(vm, "done")
            self.is_whole(vm, runs=False)
        self.vms.clear()
        wait_for(lambda: not self.moving(), within_s=SETTLED_S, every_s=0.2)
        wait_for(lambda: not self.portal.leftovers(), within_s=SETTLED_S, every_s=0.2)
        wait_for(lambda: not self.debris(), within_s=SETTLED_S, every_s=0.5)

    def moving(self) -> list[tuple[Any, ...]]:
        """Rows of any kind that a worker would look at again."""
        tables = ("vms_vm", "vms_readiness", "marketplace_imagefile")
        sql = "SELECT id, state FROM {} WHERE next_tick_at IS NOT NULL"
        return [row for table in tables for row in self.portal.rows(sql.format(table))]

    def debris(self) -> list[Path]:
        """Files of machines that are no more, wherever they lie."""
        cloud = self.portal.home / "cloud"
        places = [cloud / name for name in ("machines", "queue", "lanes")]
        files = [path for place in places if place.exists() for path in place.iterdir()]
        files += list((cloud / "locks").glob("vm-*"))
        return files + [
            path for path in cloud.rglob(".*") if path.name.startswith((".part", ".tr"))
        ]

    def pause_worker(self) -> None:
        """The worker stands still, whatever it is doing, until it is resumed or killed.

        Not while it writes: nobody else could, and no fault stops a process for so long.
        """
        wait_for(self._pauses_between_writes, within_s=SETTLED_S)

    def _pauses_between_writes(self) -> bool:
        self._paused = self.portal.kill("worker", signal.SIGSTOP)
        with closing(sqlite3.connect(self.portal.home / "portal.sqlite3", timeout=0.2)) as database:
            try:
                database.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError:
                self.resume_worker()
                return False
        return True

    def resume_worker(self) -> None:
        paused, self._paused = self._paused, 0
        if paused in self.portal.pids("worker"):
            with suppress(ProcessLookupError):
                os.kill(paused, signal.SIGCONT)

    def comes_back(self, name: str, was: int) -> None:
        """Another process than ``was`` does the work of ``name``, and pages are served."""
        wait_for(lambda: set(self.portal.pids(name)) - {was}, within_s=SETTLED_S)
        self.serves_pages()

    def kill_outright(self) -> None:
        """What started the portal dies, with no time to stop anything."""
        starter = self.portal._process
        assert starter
        for pid in (starter.pid, *children(starter.pid)):
            os.kill(pid, signal.SIGKILL)
        starter.wait(10)
        self._paused = 0

    def serves_pages(self) -> None:
        wait_for(self.portal.is_healthy, within_s=SETTLED_S, every_s=0.1)


def stored(vm: str) -> str:
    """A UUID as SQLite keeps it."""
    return uuid.UUID(vm).hex

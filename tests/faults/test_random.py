"""Two hundred faults in random order over twenty machines; afterwards all is in order."""

import os
import random
import re
import signal
import threading
import time
import uuid
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import httpx
import pytest
from django.utils import timezone

from conftest import wait_for
from tests.faults.shaken import SETTLED_S, Shaken
from tests.processes import all_pids, command_line

pytestmark = [pytest.mark.faults, pytest.mark.timeout(900)]

FAULTS = int(os.environ.get("PORTAL_FAULTS", "200"))
MACHINES = 20
#: No more time than this for the faults; the machine may be busy with other things.
LONGEST_S = 300
PAUSE_S = (0.02, 0.4)
#: Twenty real machines boot through two lanes in software emulation.
QUEUE_S = 120
WAITS_FOR_LANE = re.compile(r"Waits for (its turn to boot|a boot lane)")
RUNS = ("running", "shutdown")
#: One machine in so many is a real Linux; the others boot in a moment.
DEMO_IN = 4


class Storm:
    """Random faults and random wishes, each a method that says whether it took place."""

    def __init__(self, shaken: Shaken, rng: random.Random) -> None:
        self.shaken = shaken
        self.portal = shaken.portal
        self.rng = rng
        self.happened: Counter[str] = Counter()
        self.unanswered: list[tuple[str, str]] = []
        self._pause = threading.Timer(0, shaken.resume_worker)
        self._wishes = {
            self.kill_qemu: 6, self.launch: 8, self.launch_twice_at_once: 4,
            self.ask_kill: 3, self.ask_shut_down: 2, self.ask_reboot: 3, self.ask_start: 6,
            self.kill_worker: 1, self.kill_web: 1, self.kill_redis: 1, self.kill_beat: 1,
            self.pause_worker: 1,
        }  # fmt: skip

    def blow(self) -> None:
        """One fault, and a short pause."""
        names, weights = zip(*self._wishes.items(), strict=True)
        fault = self.rng.choices(names, weights)[0]
        with suppress(httpx.TransportError):  # the web process is away; the wish is lost
            if not fault():
                return
            self.happened[fault.__name__] += 1
        self.repeat_orders()
        self.nothing_is_double()
        threading.Event().wait(self.rng.uniform(*PAUSE_S))

    # The portal's processes ------------------------------------------------------------

    def kill_worker(self) -> bool:
        return self._kill("worker")

    def kill_web(self) -> bool:
        return self._kill("web")

    def kill_redis(self) -> bool:
        return self._kill("redis")

    def kill_beat(self) -> bool:
        return self._kill("beat")

    def _kill(self, name: str) -> bool:
        return bool(self.portal.pids(name)) and bool(self.portal.kill(name))

    def pause_worker(self) -> bool:
        """It stands still for a moment, perhaps with the database in its hands."""
        if self._pause.is_alive() or not self.portal.pids("worker"):
            return False
        self.shaken.pause_worker()
        self._pause = threading.Timer(self.rng.uniform(0.2, 3), self.shaken.resume_worker)
        self._pause.start()
        return True

    def is_over(self) -> None:
        """The faults have ended: who stood still goes on, and who got no answer asks again."""
        self._pause.cancel()
        self.shaken.resume_worker()
        wait_for(self.repeat_orders, within_s=SETTLED_S, every_s=0.2)

    # Machines --------------------------------------------------------------------------

    def kill_qemu(self) -> bool:
        pids = self.portal.machine_pids()
        if pids:
            with suppress(ProcessLookupError):
                os.kill(self.rng.choice(sorted(pids)), signal.SIGKILL)
        return bool(pids)

    def ask_kill(self) -> bool:
        return self._ask("kill", "pending", "prolog", "boot", "running", "unknown", "failed")

    def ask_shut_down(self) -> bool:
        return self._ask("shut_down", "running")

    def ask_reboot(self) -> bool:
        return self._ask("reboot", "running")

    def ask_start(self) -> bool:
        return self._ask("start", "unknown")

    def _ask(self, verb: str, *states: str) -> bool:
        fit = [vm for vm, state in self.alive().items() if state in states]
        if not fit:
            return False
        answer = self.shaken.person.ask(self.rng.choice(fit), verb)
        assert answer.status_code == 302, answer.status_code
        return True

    def launch(self) -> bool:
        return self._launch("demo" if self.rng.randrange(DEMO_IN) == 0 else "tiny", tabs=1)

    def launch_twice_at_once(self) -> bool:
        """The same order from two tabs in the same moment."""
        return self._launch("tiny", tabs=2)

    def _launch(self, image: str, *, tabs: int) -> bool:
        here = sum(state != "epilog" for state in self.alive().values())
        if here + len(self.unanswered) >= MACHINES:
            return False
        key = str(uuid.UUID(int=self.rng.getrandbits(128), version=4))
        with ThreadPoolExecutor(tabs) as pool:
            answers = list(pool.map(lambda _: self._order(image, key), range(tabs)))
        assert len(set(answers) - {""}) <= 1
        if "" in answers:
            self.unanswered.append((image, key))
        return True

    def _order(self, image: str, key: str) -> str:
        with suppress(httpx.TransportError):
            return self.shaken.launch(image, launch_key=key)
        return ""

    def repeat_orders(self) -> bool:
        """Who got no answer sends the same form again; whether everybody has one now."""
        self.unanswered = [order for order in self.unanswered if not self._order(*order)]
        return not self.unanswered

    # What is so ------------------------------------------------------------------------

    def alive(self) -> dict[str, str]:
        """The state of each machine that is not Done."""
        rows = self.portal.rows("SELECT uuid, state FROM vms_vm WHERE state != 'done' ORDER BY id")
        return {str(uuid.UUID(raw)): state for raw, state in rows}

    def nothing_is_double(self) -> None:
        count: Counter[bytes] = Counter()
        for pid in all_pids():
            words = command_line(pid).split(b"\0")
            if b"-uuid" in words:
                count[words[words.index(b"-uuid") + 1]] += 1
        double = [vm for vm, times in count.items() if times > 1]
        assert not double

    def unsettled(self) -> str:
        """What moves still, and why; for whoever reads that a test has failed."""
        sql = "SELECT uuid, state, name, note, next_tick_at, lease_until FROM vms_vm"
        rows = self.portal.rows(f"{sql} WHERE next_tick_at IS NOT NULL")
        lanes = sorted(os.listdir(self.portal.home / "cloud" / "lanes"))
        lines = [*map(str, rows), f"now {timezone.now()}, lanes: {lanes}"]
        return "\n".join(lines) + self.portal.log_tail(40)

    def is_settled(self) -> bool:
        """Nobody moves, but a guest that does not hear that it should shut down, and whoever
        waits for a boot lane: two boot at a time."""
        rows = self.portal.rows("SELECT state, note FROM vms_vm WHERE next_tick_at IS NOT NULL")
        return all(state == "shutdown" or WAITS_FOR_LANE.match(note) for state, note in rows)

    def is_empty(self) -> bool:
        """Nobody waits for a boot lane any more."""
        return {*self.alive().values()}.isdisjoint({"pending", "prolog", "boot", "epilog"})

    def is_true(self) -> bool:
        """Whoever is said to run has a process, and nobody else: one that was killed while
        nobody watched is found when the worker asks the engine again."""
        return all(
            len(self.shaken.qemus(vm)) == int(state in RUNS) for vm, state in self.alive().items()
        )


def test_after_random_faults_everything_is_in_order(shaken):
    seed = int(os.environ.get("PORTAL_FAULTS_SEED") or random.SystemRandom().randrange(1 << 32))
    print(f"PORTAL_FAULTS_SEED={seed}")
    storm = Storm(shaken, random.Random(seed))
    while len(storm.alive()) < MACHINES:
        assert storm.launch()
    began = time.monotonic()
    while storm.happened.total() < FAULTS and time.monotonic() < began + LONGEST_S:
        storm.blow()
    storm.is_over()
    over = time.monotonic()
    print(f"over at {timezone.now()}")
    print(f"{storm.happened.total()} faults in {over - began:.0f} s: {dict(storm.happened)}")
    print(f"when they ended: {Counter(storm.alive().values())}")
    try:
        wait_for(storm.is_settled, within_s=SETTLED_S, every_s=0.2)
    except BaseException:
        print(storm.unsettled())
        raise
    shaken.serves_pages()
    print(f"settled after {time.monotonic() - over:.1f} s: {Counter(storm.alive().values())}")
    wait_for(storm.is_empty, within_s=QUEUE_S, every_s=0.2)
    wait_for(storm.is_true, within_s=SETTLED_S, every_s=0.2)
    print(f"at rest after {time.monotonic() - over:.1f} s: {Counter(storm.alive().values())}")
    for vm, state in storm.alive().items():
        shaken.reaches(vm, state, within_s=0)
        shaken.is_whole(vm, runs=state in RUNS)
        if state in ("unknown", "failed"):
            reason = shaken.row(vm)[1]
            print(f"{vm} {state}: {reason}")
            assert reason
    assert storm.happened.total() == FAULTS
    shaken.end_all()

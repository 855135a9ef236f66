"""Each process killed while machines are in each state; then everything is as it should be."""

import os
import signal
import time

import pytest

from conftest import wait_for
from tests.faults.shaken import SETTLED_S, Shaken

pytestmark = pytest.mark.faults


class InEachState:
    """Six machines, one in each moving state and one at rest, held there by a stopped worker."""

    def __init__(self, shaken: Shaken) -> None:
        self.shaken = shaken
        self.shutdown, self.boot, self.running, self.epilog = (shaken.run("tiny") for _ in range(4))
        shaken.ask(self.shutdown, "shut_down")
        shaken.forget_image("large")
        self.prolog = shaken.launch("large")
        shaken.reaches(self.prolog, "prolog")
        wait_for(lambda: shaken.copies("large"))
        shaken.pause_worker()
        self.pending = shaken.launch("tiny")
        shaken.ask(self.boot, "reboot")
        shaken.ask(self.epilog, "kill")
        for name in ("pending", "prolog", "boot", "running", "shutdown", "epilog"):
            assert shaken.state(getattr(self, name)) == name

    def settle(self, since: float, **states: str) -> None:
        """Within the limit each is where it belongs, with one process or none."""
        for name, state in states.items():
            left_s = since + SETTLED_S - time.monotonic()
            self.shaken.reaches(getattr(self, name), state, within_s=left_s)
            print(f"{name} is {state} {time.monotonic() - since:.1f} s after the fault")
        for name, state in states.items():
            self.shaken.is_whole(getattr(self, name), runs=state in ("running", "shutdown"))
        assert self.shaken.person.get("/vms/").status_code == 200


SETTLED = {
    "pending": "running",
    "prolog": "running",
    "boot": "running",
    "running": "running",
    "shutdown": "shutdown",  # its guest does not hear the power button; it has two minutes
    "epilog": "done",
}


@pytest.mark.parametrize("victim", ["worker", "web", "redis", "beat"])
def test_a_killed_process_of_the_portal_costs_no_machine(shaken, victim):
    machines = InEachState(shaken)
    began = time.monotonic()
    killed = shaken.portal.kill(victim)
    if victim != "worker":
        shaken.resume_worker()
    shaken.comes_back(victim, killed)
    machines.settle(began, **SETTLED)


def test_a_killed_emulator_is_seen_in_every_state(shaken):
    machines = InEachState(shaken)
    began = time.monotonic()
    for vm in (machines.boot, machines.running, machines.shutdown, machines.epilog):
        (pid,) = shaken.qemus(vm)
        os.kill(pid, signal.SIGKILL)
    shaken.resume_worker()
    lost = {"boot": "unknown", "running": "unknown", "shutdown": "done"}
    machines.settle(began, **SETTLED | lost)
    for vm in (machines.boot, machines.running):
        assert "killed" in shaken.row(vm)[1]
        shaken.ask(vm, "start")
        shaken.reaches(vm, "running")
        shaken.is_whole(vm, runs=True)

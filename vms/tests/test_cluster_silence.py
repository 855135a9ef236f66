"""How a master that may go on without workers finds out which: by their words, or their silence.

Its program runs in a folder; each worker is a folder beside it, and reached without a network.
"""

import os
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from conftest import wait_for
from vms import clusters
from vms.tests.test_cluster_parts import SHELLS, node, plan

pytestmark = pytest.mark.slow

TAG = "abcdef012345"
#: A worker answers while its folder has "up"; commands run in its folder.
WIRE = """
ping() { for last in "$@"; do :; done; [ -e "$WORKERS/$last/up" ]; }
reach() {
	[ -e "$WORKERS/$1/up" ] || return 255
	(ROOT=$WORKERS/$1; export ROOT; sh -c "$(echo "$2" | sed "s| /run/| $ROOT/run/|g")") </dev/null
}
"""


class Wire:
    """A master and its workers. Times are short: ``silence`` and ``patience`` in seconds."""

    def __init__(self, place: Path, wanted: clusters.Plan, shell: list[str]) -> None:
        self.place, self.plan, self.shell = place, wanted, shell
        (place / "node1/etc").mkdir(parents=True)
        for one in wanted.nodes[1:]:
            self.join(one)

    def join(self, one: clusters.Node) -> None:
        """A worker that is at its own steps: its lists are those of all."""
        home = self.place / one.name
        (home / f"run/portal-cluster-{TAG}").mkdir(parents=True)
        (home / "etc").mkdir()
        program = home / f"run/portal-cluster-{TAG}/lists"
        program.write_text(clusters.script_of_lists(self.plan, one))
        everybody = [each.name for each in self.plan.nodes]
        subprocess.run(["sh", program, *everybody], env={"ROOT": str(home)}, check=True)
        (home / "up").touch()

    def says(self, name: str, word: str) -> None:
        (self.place / f"node1/run/portal-cluster-{TAG}").mkdir(parents=True, exist_ok=True)
        (self.place / f"node1/run/portal-cluster-{TAG}" / name).symlink_to(word)

    def falls_silent(self, name: str) -> None:
        (self.place / name / "up").unlink()

    def start(self, *, silence: int = 1, patience: int = 1, minutes: int = 60) -> None:
        text = clusters.script(self.plan, self.plan.master).replace("\nstep network\n", "\n")
        for name, value in (("silence", silence), ("patience", patience)):
            was = {"silence": 60, "patience": 120}[name]
            assert f"\n{name}={was}\n" in text
            text = text.replace(f"\n{name}={was}\n", f"\n{name}={value}\n")
        text = text.replace("until_ok 60 give_lists", "until_ok 4 give_lists")
        text = text.replace("\nworkers_wait=900\n", f"\nworkers_wait={minutes}\n")
        text = text.replace("\nmark 'of ", f"\n{WIRE}\nmark 'of ")
        root = self.place / "node1"
        environment = {"ROOT": str(root), "LINE": str(root / "line"), "PATH": os.environ["PATH"],
                       "WORKERS": str(self.place)}  # fmt: skip
        self.running = subprocess.Popen([*self.shell, "-c", text], env=environment)

    @property
    def line(self) -> bytes:
        path = self.place / "node1/line"
        return path.read_bytes() if path.exists() else b""

    def is_at(self, step: str) -> bool:
        return clusters.read(self.line, TAG).step == step

    def ends(self) -> clusters.Said:
        try:
            self.running.wait(40)
        finally:
            self.running.kill()
        return clusters.read(self.line, TAG)

    def file(self, name: str, path: str) -> str:
        return (self.place / name / path).read_text()


@pytest.fixture
def wire(tmp_path):
    made = []

    def make(shell=("dash",), **wishes):
        nodes = [node(0, 4), node(1, 2), node(2), node(3)]
        many = replace(plan(tolerate=True, **wishes), nodes=nodes)
        made.append(Wire(tmp_path, many, list(shell)))
        return made[-1]

    yield make
    for one in made:
        one.running.kill()
        one.running.wait(10)


@pytest.mark.parametrize("shell", SHELLS)
def test_all_lists_of_all_nodes_are_without_those_that_failed_or_fell_silent(wire, shell):
    one = wire(shell, include_master=True, hook='echo "$STRATUSLAB_CSIZE machines"\n')
    one.says("node2", "ready")
    one.says("node3", "failed")
    one.start()
    heard = one.place / f"node1/run/portal-cluster-{TAG}/node4.heard"
    wait_for(heard.exists, within_s=20)
    one.falls_silent("node4")
    said = one.ends()
    assert said.is_done, one.line
    assert said.without == ("node3", "node4")
    for number, name in enumerate(("node1", "node2")):
        assert one.file(name, "tmp/cluster_nodelist") == "10.80.1.2\n10.80.1.3\n"
        assert one.file(name, "tmp/machinefile") == "10.80.1.2 slots=4\n10.80.1.3 slots=2\n"
        hosts = one.file(name, "etc/hosts")
        assert "node2 worker-0\n" in hosts
        assert "node3" not in hosts
        assert one.file(name, "etc/profile.d/stratuslab_cluster.sh") == (
            f"export STRATUSLAB_NC={number}\nexport STRATUSLAB_CMASTER=lab-master\n"
            "export STRATUSLAB_CSIZE=2\nexport STRATUSLAB_CMAX_CORES=6\n"
        )
    assert b"2 machines" in one.line


def test_one_that_never_came_is_waited_for_until_the_others_are_through(wire):
    one = wire()
    one.falls_silent("node4")
    one.says("node2", "ready")
    one.start(patience=3)
    there = one.place / f"node1/run/portal-cluster-{TAG}"
    wait_for((there / "node3.heard").exists, within_s=20)
    assert not (there / "alone").exists()  # node3 is at work
    one.says("node3", "ready")
    said = one.ends()
    assert (said.is_done, said.without) == (True, ("node4",))
    assert one.file("node3", "tmp/cluster_nodelist") == "10.80.1.3\n10.80.1.4\n"


def test_one_that_answers_and_never_ends_has_the_minutes_of_all(wire):
    one = wire()
    for name in ("node2", "node3"):
        one.says(name, "ready")
    one.start(minutes=4)
    said = one.ends()
    assert (said.is_done, said.without) == (True, ("node4",))


def test_a_worker_that_does_not_take_the_lists_is_out_of_those_of_the_others(wire):
    one = wire()
    for name in ("node2", "node3", "node4"):
        one.says(name, "ready")
    (one.place / f"node3/run/portal-cluster-{TAG}/lists").write_text("exit 1\n")
    one.start()
    said = one.ends()
    assert (said.is_done, said.without) == (True, ("node3",))
    assert one.file("node2", "tmp/cluster_nodelist") == "10.80.1.3\n10.80.1.5\n"
    assert one.file("node4", "tmp/cluster_nodelist") == "10.80.1.3\n10.80.1.5\n"


def test_without_any_worker_there_is_no_cluster(wire):
    one = wire()
    for name in ("node2", "node3", "node4"):
        one.says(name, "failed")
    one.start()
    said = one.ends()
    assert (said.step, said.status, said.tail) == ("workers", 1, "No worker is left.")


def test_a_worker_that_was_given_up_is_told_so_when_it_comes_late(wire):
    one = wire()
    one.says("node3", "lost")
    root = one.place / "node3"
    text = clusters.script(one.plan, one.plan.nodes[2]).replace("\nstep network\n", "\n")
    text = text.replace("\nmark 'of ", f"\n{WIRE}\nmark 'of ")
    (one.place / "master").symlink_to("node1")
    (one.place / "node1/up").touch()
    environment = {"ROOT": str(root), "LINE": str(root / "line"), "PATH": os.environ["PATH"],
                   "WORKERS": str(one.place)}  # fmt: skip
    one.running = subprocess.Popen(["dash", "-c", text], env=environment)
    assert one.running.wait(40) == 1
    said = clusters.read((root / "line").read_bytes(), TAG)
    assert (said.step, said.tail) == ("report", "The master goes on without this machine.")

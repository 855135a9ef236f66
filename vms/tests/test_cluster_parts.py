"""What nodes of a cluster are told, run by real shells; and what they say, read back."""

import os
import shutil
import stat
import subprocess

import pytest

from vms import clusters
from vms.clusters import Node, Plan, Wishes

SHELLS = [["dash"], ["bash", "--posix"]]
if shutil.which("busybox"):
    SHELLS.append(["busybox", "sh"])

PRIVATE = "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n"


RUN = "run/portal-cluster-abcdef012345"


def node(number, cores=1):
    return Node(number=number, address=f"10.80.1.{number + 2}", prefix=24, cores=cores,
                mac=f"52:54:01:00:00:0{number}")  # fmt: skip


def plan(**wishes):
    return Plan(
        tag="abcdef012345", label="lab", cidr="10.80.1.0/24",
        nodes=[node(0, 4), node(1, 2), node(2)], wishes=Wishes(**wishes),
        public_key="ssh-ed25519 AAAAC3 lab@portal", private_key=PRIVATE,
    )  # fmt: skip


def run(shell, root, text):
    """The program, without the step that needs a card, in a folder."""
    (root / "etc").mkdir(parents=True, exist_ok=True)
    text = text.replace("\nstep network\n", "\n")
    environment = {"ROOT": str(root), "LINE": str(root / "line"), "PATH": os.environ["PATH"]}
    done = subprocess.run(
        [*shell, "-c", text], env=environment, capture_output=True, timeout=60, check=False
    )
    return done.returncode, (root / "line").read_bytes(), done.stderr


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("number", [0, 1])
def test_every_shell_reads_the_program(shell, number):
    everything = plan(
        user="mpi", shared_folder="/home/shared", packages=("gcc", "openmpi-bin"), tolerate=True,
        hook="#!/bin/sh\necho 'it''s \"$1\" `here`'\n",
    )  # fmt: skip
    text = clusters.script(everything, everything.nodes[number])
    done = subprocess.run([*shell, "-n"], input=text.encode(), capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.slow
@pytest.mark.parametrize("shell", SHELLS)
def test_a_master_writes_all_files_and_runs_its_hook_when_the_workers_are_there(shell, tmp_path):
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/hosts").write_text("127.0.0.1 localhost\n")
    (tmp_path / RUN).mkdir(parents=True)
    for name in ("node2", "node3"):
        (tmp_path / RUN / name).symlink_to("ready")
    hook = "#!/bin/sh\necho \"hook of $STRATUSLAB_CSIZE: 'quoted' $HOME\"\n"
    wanted = plan(hook=hook, include_master=True)
    text = clusters.script(wanted, wanted.master)
    status, line, errors = run(shell, tmp_path, text)
    assert (status, errors) == (0, b""), line
    assert (tmp_path / "etc/hosts").read_text() == (
        "127.0.0.1 localhost\n# BEGIN portal-cluster\n"
        "10.80.1.2 lab-master master node1\n10.80.1.3 lab-node2 node2 worker-0\n"
        "10.80.1.4 lab-node3 node3 worker-1\n# END portal-cluster\n"
    )
    assert (tmp_path / "tmp/cluster_nodelist").read_text() == "10.80.1.2\n10.80.1.3\n10.80.1.4\n"
    assert (tmp_path / "tmp/machinefile").read_text() == (
        "10.80.1.2 slots=4\n10.80.1.3 slots=2\n10.80.1.4 slots=1\n"
    )
    assert (tmp_path / "etc/profile.d/stratuslab_cluster.sh").read_text() == (
        "export STRATUSLAB_NC=0\nexport STRATUSLAB_CMASTER=lab-master\n"
        "export STRATUSLAB_CSIZE=3\nexport STRATUSLAB_CMAX_CORES=7\n"
    )
    key = tmp_path / "root/.ssh/id_ed25519"
    assert key.read_text() == PRIVATE
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert (tmp_path / "root/.ssh/authorized_keys").read_text().splitlines() == [wanted.public_key]
    assert f"hook of 3: 'quoted' {tmp_path}/root" in line.decode()
    assert b"BEGIN OPENSSH" not in line
    assert clusters.read(line.replace(b"\n", b"\r\n"), "abcdef012345").is_done
    run(shell, tmp_path, text)  # a second time changes nothing
    assert (tmp_path / "etc/hosts").read_text().count("worker-0") == 1
    assert (tmp_path / "root/.ssh/authorized_keys").read_text().count("ssh-") == 1


@pytest.mark.slow
def test_a_master_that_may_not_go_on_ends_with_the_first_worker_that_failed(tmp_path):
    (tmp_path / RUN).mkdir(parents=True)
    (tmp_path / RUN / "node3").symlink_to("failed")
    strict = plan()
    status, line, _ = run(["dash"], tmp_path, clusters.script(strict, strict.master))
    assert status == 1
    said = clusters.read(line, "abcdef012345")
    assert (said.step, said.status, said.has_failed) == ("workers", 1, True)
    assert "Without: node3" in said.tail


def test_a_failing_hook_ends_it_with_its_status(tmp_path):
    wanted = Plan(
        tag="abcdef012345", label="lab", cidr="10.80.1.0/24", nodes=[node(0)],
        wishes=Wishes(hook="echo 'no luck'; exit 3"), public_key="ssh-ed25519 A b",
        private_key=PRIVATE,
    )  # fmt: skip
    status, line, _ = run(["dash"], tmp_path, clusters.script(wanted, wanted.master))
    assert status == 1
    said = clusters.read(line, "abcdef012345")
    assert (said.step, said.status, said.tail) == ("hook", 3, "no luck")


def test_a_master_that_was_there_is_told_no_secret():
    wanted = plan()
    mine = clusters.script(wanted, wanted.master, is_borrowed=True)
    assert "OPENSSH" not in mine
    assert "own_key" in mine
    assert "OPENSSH" in clusters.script(wanted, wanted.nodes[1], is_borrowed=True)


def test_a_key_that_cannot_be_read_fails_in_its_step(tmp_path):
    wanted = Plan(
        tag="t" * 12, label="lab", cidr="10.80.1.0/24", nodes=[node(0)], wishes=Wishes(),
        public_key="ssh-ed25519 A b", private_key="",
    )  # fmt: skip
    status, line, _ = run(["dash"], tmp_path, clusters.script(wanted, wanted.master))
    said = clusters.read(line, "t" * 12)
    assert (status, said.step) == (1, "keys")
    assert "cannot read the key" in said.tail


def test_what_nodes_say_is_read_in_order():
    def said(text):
        return clusters.read(text.replace("\n", "\r\n").encode(), "abc")

    assert said("") == clusters.Said()
    assert said("portal-cluster: step hosts begin\n").step == "hosts"
    two = said("portal-cluster: step hosts begin\nportal-cluster: step hosts end 0\n")
    assert (two.step, two.status, two.has_failed) == ("hosts", 0, False)
    bad = said("portal-cluster: step packages begin\nE: \x1b[31mno such\x07\n"
               "portal-cluster: step packages end 100\n")  # fmt: skip
    assert (bad.status, bad.tail) == (100, "E: no such")
    assert said("portal-cluster: done\n").is_done
    left = said("portal-cluster: without node3 node12\nportal-cluster: step workers end 0\n")
    assert (left.step, left.without) == ("workers", ("node3", "node12"))
    assert said("portal-cluster: without node3\nportal-cluster: done\n").without == ("node3",)
    assert not said("portal-cluster: done\nportal-cluster: of abc\n").is_done


@pytest.mark.parametrize(
    ("wishes", "field"),
    [
        ({"user": "root"}, "user"),
        ({"user": "Bad"}, "user"),
        ({"user": "a;b"}, "user"),
        ({"shared_folder": "/etc/x"}, "shared_folder"),
        ({"shared_folder": "/home"}, "shared_folder"),
        ({"shared_folder": "relative"}, "shared_folder"),
        ({"shared_folder": "/a/../etc"}, "shared_folder"),
        ({"shared_folder": "/a b"}, "shared_folder"),
        ({"packages": ("-oX",)}, "packages"),
        ({"packages": ("a b",)}, "packages"),
        ({"hook": "x" * 40_000}, "hook"),
        ({"minutes": 0}, "minutes"),
    ],
)
def test_wishes_that_cannot_be_are_named(wishes, field):
    assert [name for name, _ in clusters.problems(Wishes(**wishes))] == [field]


def test_wishes_survive_being_kept():
    wishes = Wishes(user="mpi", packages=("gcc",), tolerate=True, minutes=3)
    assert Wishes.from_json(wishes.as_json() | {"public_key": "x"}) == wishes
    assert not list(clusters.problems(wishes))

"""A cluster of three real machines, from its order to its end."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

import conftest
from cloud.images import mini
from cloud.local import process
from cloud.tests.conformance import a_source
from cloud.tests.contract import quiet
from cloud.tests.real import CACHE, PREFIX, a_driver, end_all, ssh
from conftest import Worker, wait_for
from marketplace.tests.factories import EntryFactory, ImageFileFactory
from registration.tests.factories import UserFactory
from vms import actions
from vms.actions import ClusterOrder, Order
from vms.clusters import Wishes, script
from vms.models import VM, Cluster, Network
from vms.states import ClusterState, NetworkState, VmState

pytestmark = [pytest.mark.django_db, pytest.mark.qemu]

OPTIONS = {"disk_floor_bytes": 1 << 20, "memory_reserve_mib": 256}
READY_S = 240
HOOK = """#!/bin/sh
{ hostname; ssh node2 hostname; ssh worker-1 hostname; } >/root/said
"""


@pytest.fixture
def demo_image() -> Path:
    path = CACHE / f"demo-{mini.VERSION}.qcow2"
    if not path.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        mini.build(path, cache_dir=CACHE / "debs")
    return path


@pytest.fixture
def site(demo_image, settings):
    """A cloud of its own, and the demo image in it."""
    home = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-"))
    settings.CLOUDS = {
        "local": {
            "DRIVER": "cloud.local.driver.LocalDriver",
            "OPTIONS": {"home": home / "cloud", **OPTIONS},
        }
    }
    conftest._forget_clouds()
    driver = a_driver(home / "cloud")
    entry = EntryFactory(title="Demo", os="Linux", default_user="root")
    driver.import_image(a_source(demo_image), token=entry.identifier, on_progress=quiet)
    ImageFileFactory(entry=entry, ready=True)
    yield driver, entry
    end_all(home / "cloud")
    shutil.rmtree(home, ignore_errors=True)
    conftest._forget_clouds()


def tails(cluster: Cluster) -> str:
    said = cluster.nodes.values()
    return "\n".join([cluster.reason, *(f"{one['name']}: {one.get('tail')}" for one in said)])


def until(cluster: Cluster, *states: str, within_s: float = READY_S) -> Cluster:
    """Work until the cluster is in one of these."""
    worker = Worker()

    def is_there() -> bool:
        worker.step()
        cluster.refresh_from_db()
        return cluster.state in states

    wait_for(is_there, within_s=within_s, every_s=0.2)
    return cluster


def test_three_machines_know_each_other_and_end_together(site, tmp_path):
    driver, entry = site
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    ada = UserFactory(quota_machines=9, quota_vcpus=9, quota_memory_mib=9999)
    machine = Order(
        entry=entry, name="x", type_name="t", vcpus=1, memory_mib=128,
        ssh_keys=[key.with_suffix(".pub").read_text().strip()],
    )  # fmt: skip
    wishes = Wishes(user="mpi", hook=HOOK, include_master=True, minutes=10)
    order = ClusterOrder(name="lab", worker=machine, workers=2, master=machine, wishes=wishes)
    cluster = actions.launch_cluster(owner=ada, order=order)
    until(cluster, ClusterState.READY, ClusterState.FAILED, ClusterState.ENDED)
    assert cluster.state == ClusterState.READY, tails(cluster)
    machines = list(VM.objects.filter(cluster=cluster).order_by("node_number"))
    infos = [driver.get_vm(vm.cloud_ref) for vm in machines]
    addresses = [vm.nics.get().address.partition("/")[0] for vm in machines]

    def on(number: int, command: str) -> str:
        return ssh(key, infos[number], command)

    assert on(0, "cat /root/said") == "lab-master\nlab-node2\nlab-node3\n"
    assert on(0, "ssh node2 hostname") == "lab-node2\n"
    assert on(2, "ssh master hostname; ssh lab-node2 hostname") == "lab-master\nlab-node2\n"
    hop = "ssh -l mpi node2 'id -un; ssh node3 \"id -un; hostname\"'"
    assert on(0, hop) == "mpi\nmpi\nlab-node3\n"
    for number in range(3):
        hosts = on(number, "cat /etc/hosts").splitlines()
        assert f"{addresses[0]} lab-master master node1" in hosts
        assert f"{addresses[2]} lab-node3 node3 worker-1" in hosts
        assert on(number, "cat /tmp/cluster_nodelist").splitlines() == addresses
        files = on(number, "cat /tmp/machinefile").splitlines()
        assert files == [f"{address} slots=1" for address in addresses]
        login = on(number, ". /etc/profile; echo $STRATUSLAB_NC $STRATUSLAB_CMASTER")
        assert login == f"{number} lab-master\n"
    logs = b"".join(driver.console_log(vm.cloud_ref, max_bytes=1 << 20) for vm in machines)
    assert b"OPENSSH PRIVATE" not in logs

    actions.kill_cluster(cluster, by=ada)
    until(cluster, ClusterState.ENDED, within_s=60)
    assert not VM.objects.exclude(state=VmState.DONE).exists()
    assert not list(driver.list_vms())
    assert not list(driver.list_networks())
    assert Network.objects.get().state == NetworkState.DELETED
    assert not any(process._find(info.ref) for info in infos)
    assert not cluster.sealed_key


def bring(key: Path, port: int, program: str) -> None:
    """As scp does."""
    flags = ["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-q"]
    argv = ["ssh", *flags, "-i", str(key), "-p", str(port), "root@127.0.0.1"]
    subprocess.run([*argv, "cat >/root/cluster.sh"], input=program.encode(), check=True, timeout=60)


def test_a_machine_that_runs_already_becomes_the_master(site, tmp_path):
    driver, entry = site
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    ada = UserFactory(quota_machines=9, quota_vcpus=9, quota_memory_mib=9999)
    machine = Order(
        entry=entry, name="head", type_name="t", vcpus=1, memory_mib=128,
        ssh_keys=[key.with_suffix(".pub").read_text().strip()],
    )  # fmt: skip
    head = actions.launch(owner=ada, order=machine)
    worker = Worker()

    def runs() -> bool:
        worker.step()
        head.refresh_from_db()
        return head.state == VmState.RUNNING

    wait_for(runs, within_s=60, every_s=0.2)
    info = driver.get_vm(head.cloud_ref)
    assert ssh(key, info, "hostname") == "head\n"
    order = ClusterOrder(name="lab", worker=machine, workers=1, master_vm=head,
                         wishes=Wishes(minutes=10))  # fmt: skip
    cluster = actions.launch_cluster(owner=ada, order=order)
    until(cluster, ClusterState.WIRING, ClusterState.FAILED, ClusterState.ENDED)
    plan = cluster.plan()
    program = script(plan, plan.master, is_borrowed=True)
    bring(key, info.endpoints[0].port, program)
    assert ssh(key, info, "sh /root/cluster.sh >/dev/null 2>&1 </dev/null &") == ""
    until(cluster, ClusterState.READY, ClusterState.FAILED, ClusterState.ENDED)
    assert cluster.state == ClusterState.READY, tails(cluster)
    assert ssh(key, info, "ssh node2 'hostname; ssh master hostname'") == "lab-node2\nhead\n"
    actions.kill_cluster(cluster, by=ada)
    until(cluster, ClusterState.ENDED, within_s=90)
    head.refresh_from_db()
    assert (head.state, head.cluster) == (VmState.RUNNING, None)
    assert [one.ref for one in driver.list_vms()] == [head.cloud_ref]
    assert not list(driver.list_networks())

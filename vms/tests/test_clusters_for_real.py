"""A cluster of three real machines, from its order to its end."""

import subprocess
from pathlib import Path

import pytest

from cloud.local import process
from conftest import Worker, wait_for
from registration.tests.factories import UserFactory
from vms import actions
from vms.actions import ClusterOrder, Order
from vms.clusters import Wishes, script
from vms.models import VM, Network
from vms.states import ClusterState, NetworkState, VmState
from vms.templatetags.cards import cards_of
from vms.tests.real import real_site, tails, until, until_runs

pytestmark = [pytest.mark.django_db, pytest.mark.qemu]

READY_S = 400
HOOK = """#!/bin/sh
{ hostname; ssh node2 hostname; ssh worker-1 hostname; } >/root/said
"""
ENDS = (ClusterState.READY, ClusterState.FAILED, ClusterState.ENDED)


@pytest.fixture
def site(settings):
    with real_site(settings) as made:
        yield made


@pytest.fixture
def ada(db):
    return UserFactory(quota_machines=9, quota_vcpus=9, quota_memory_mib=9999)


def a_machine(site, name="x"):
    return Order(entry=site.entry("demo"), name=name, type_name="t", vcpus=1, memory_mib=128,
                 ssh_keys=[site.public])  # fmt: skip


def test_three_machines_know_each_other_and_end_together(site, ada):
    machine = a_machine(site)
    wishes = Wishes(user="mpi", hook=HOOK, include_master=True, minutes=10)
    order = ClusterOrder(name="lab", worker=machine, workers=2, master=machine, wishes=wishes)
    cluster = actions.launch_cluster(owner=ada, order=order)
    until(cluster, *ENDS, within_s=READY_S)
    assert cluster.state == ClusterState.READY, tails(cluster)
    machines = list(VM.objects.filter(cluster=cluster).order_by("node_number"))
    infos = [site.driver.get_vm(vm.cloud_ref) for vm in machines]
    addresses = [vm.nics.get().address.partition("/")[0] for vm in machines]

    def on(number: int, command: str) -> str:
        return site.on(machines[number], command)

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
    assert not any("OPENSSH PRIVATE" in site.console(vm) for vm in machines)

    actions.kill_cluster(cluster, by=ada)
    until(cluster, ClusterState.ENDED, within_s=60)
    assert not VM.objects.exclude(state=VmState.DONE).exists()
    assert not list(site.driver.list_vms())
    assert not list(site.driver.list_networks())
    assert Network.objects.get().state == NetworkState.DELETED
    assert not any(process._find(info.ref) for info in infos)
    assert not cluster.sealed_key


@pytest.mark.slow
def test_a_worker_that_is_killed_at_its_set_up_is_soon_gone_without_by_all(site, ada):
    machine = a_machine(site)
    wishes = Wishes(tolerate=True, include_master=True, minutes=30)
    order = ClusterOrder(name="lab", worker=machine, workers=2, master=machine, wishes=wishes)
    cluster = actions.launch_cluster(owner=ada, order=order)
    until(cluster, ClusterState.WIRING, within_s=READY_S)
    master, worker, victim = VM.objects.filter(cluster=cluster).order_by("node_number")
    actions.kill(victim, by=ada)
    until(cluster, *ENDS, within_s=READY_S)
    assert (cluster.state, cluster.reason) == (ClusterState.READY, "Without node3."), tails(cluster)
    left = [vm.nics.get().address.partition("/")[0] for vm in (master, worker)]
    for vm in (master, worker):
        said = site.on(vm, "cat /tmp/cluster_nodelist; cat /tmp/machinefile; cat /etc/hosts; "
                       ". /etc/profile; echo $STRATUSLAB_CSIZE $STRATUSLAB_CMAX_CORES")  # fmt: skip
        assert said.startswith(
            "".join(f"{one}\n" for one in left) + "".join(f"{one} slots=1\n" for one in left)
        )
        assert "node3" not in said
        assert said.endswith("\n2 2\n")


def a_card_by_hand(site, vm) -> str:
    """Put it on a network while it runs, and do what its page says; the address."""
    network = actions.create_network(owner=vm.owner, name="beside")
    work_until(lambda: Network.objects.get(pk=network.pk).state == NetworkState.READY)
    nic = actions.attach_nic(vm, Network.objects.get(pk=network.pk), by=vm.owner)
    work_until(lambda: cards_of(vm, vm.owner).by_hand)
    (one,) = cards_of(vm, vm.owner).by_hand
    site.on(vm, f"while ! grep -l {nic.mac} /sys/class/net/*/address; do usleep 50000; done")
    site.on(vm, one.line)
    return nic.address


def work_until(condition, *, within_s: float = 60) -> None:
    worker = Worker()

    def is_so() -> object:
        worker.step()
        return condition()

    wait_for(is_so, within_s=within_s, every_s=0.2)


def bring(key: Path, port: int, program: str) -> None:
    """As scp does."""
    flags = ["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-q"]
    argv = ["ssh", *flags, "-i", str(key), "-p", str(port), "root@127.0.0.1"]
    subprocess.run([*argv, "cat >/root/cluster.sh"], input=program.encode(), check=True, timeout=60)


def test_a_machine_that_runs_already_becomes_the_master(site, ada):
    machine = a_machine(site, "head")
    head = until_runs(actions.launch(owner=ada, order=machine))
    assert site.on(head, "hostname") == "head\n"
    assert a_card_by_hand(site, head) in site.on(head, "ip addr show eth1")
    order = ClusterOrder(name="lab", worker=machine, workers=1, master_vm=head,
                         wishes=Wishes(minutes=10))  # fmt: skip
    cluster = actions.launch_cluster(owner=ada, order=order)
    until(cluster, ClusterState.WIRING, *ENDS, within_s=READY_S)
    plan = cluster.plan()
    program = script(plan, plan.master, is_borrowed=True)
    info = site.driver.get_vm(head.cloud_ref)
    bring(site.key, info.endpoints[0].port, program)
    assert site.on(head, "sh /root/cluster.sh >/dev/null 2>&1 </dev/null &") == ""
    until(cluster, *ENDS, within_s=READY_S)
    assert cluster.state == ClusterState.READY, tails(cluster)
    assert site.on(head, "ssh node2 'hostname; ssh master hostname'") == "lab-node2\nhead\n"
    actions.kill_cluster(cluster, by=ada)
    until(cluster, ClusterState.ENDED, within_s=90)
    head.refresh_from_db()
    assert (head.state, head.cluster) == (VmState.RUNNING, None)
    assert [one.ref for one in site.driver.list_vms()] == [head.cloud_ref]
    assert len(list(site.driver.list_networks())) == 1  # the one beside

"""Clusters: ordered whole, followed node by node, given up or gone on with, killed, shown."""

import csv
import json
import re
import uuid
from datetime import timedelta

import pytest
import time_machine
from django.urls import reverse
from django.utils import timezone

from core.errors import Refused
from core.models import Event
from marketplace.tests.factories import EntryFactory, ImageFileFactory
from registration.models import Notification
from registration.tests.factories import UserFactory
from vms import actions
from vms.actions import ClusterOrder, Order
from vms.clusters import Wishes
from vms.lifecycle import end_empty_clusters
from vms.models import VM, Batch, Cluster, InstanceType, Network, Nic, Saving
from vms.states import ClusterState, NetworkState, NicState, VmState

pytestmark = pytest.mark.django_db

TABLES = (Network, VM, Nic, Cluster)


@pytest.fixture
def owner(cloud):
    InstanceType.objects.get_or_create(
        name="m1.small", defaults={"vcpus": 1, "memory_mib": 512, "is_default": True}
    )
    return UserFactory(username="ada", quota_machines=20, quota_vcpus=20, quota_memory_mib=65536)


@pytest.fixture
def entry(cloud):
    entry = EntryFactory()
    cloud.put_image(entry.identifier)
    ImageFileFactory(entry=entry, ready=True)
    return entry


def machine(entry, **more):
    return Order(entry=entry, name="x", type_name="m1.small", vcpus=1, memory_mib=512, **more)


def order(entry, *, workers=2, **wishes):
    one = machine(entry)
    return ClusterOrder(name="lab", worker=one, master=one, workers=workers,
                        wishes=Wishes(**wishes))  # fmt: skip


class Made:
    """A cluster, and what its guests say."""

    def __init__(self, cluster, cloud, worker):
        self.pk, self.cloud, self.worker = cluster.pk, cloud, worker

    @property
    def row(self):
        return Cluster.objects.get(pk=self.pk)

    @property
    def vms(self):
        return list(VM.objects.filter(cluster=self.pk).order_by("node_number"))

    def look(self, times=8):
        for _ in range(times):
            for table in TABLES:
                due = table.objects.filter(next_tick_at__isnull=False)
                due.update(next_tick_at=timezone.now())
            self.worker.step()

    def says(self, number, *words):
        vm = self.vms[number]
        for word in words:
            line = f"\r\nportal-cluster: {word}\r\n" if word[0] != "|" else f"{word[1:]}\r\n"
            self.cloud.print_on_console(vm.cloud_ref, line.encode())

    def all_done(self, *numbers):
        for number in numbers:
            self.says(number, "step hosts begin", "step hosts end 0", "done")
        self.look(2)


@pytest.fixture
def made(owner, entry, cloud, worker):
    return start(owner, order(entry), cloud, worker)


def start(owner, wanted, cloud, worker):
    made = Made(actions.launch_cluster(owner=owner, order=wanted), cloud, worker)
    made.look()
    assert made.row.state == ClusterState.WIRING, made.row.reason
    return made


def refusal(act, *args, **kwargs):
    with pytest.raises(Refused) as refused:
        act(*args, **kwargs)
    return refused.value


# Ordered ---------------------------------------------------------------------------------


def test_a_cluster_is_ordered_whole(owner, entry):
    cluster = actions.launch_cluster(owner=owner, order=order(entry, workers=3))
    vms = list(cluster.vms.order_by("node_number"))
    assert [vm.name for vm in vms] == ["lab-master", "lab-node2", "lab-node3", "lab-node4"]
    assert [vm.nics.get().address.split(".")[3] for vm in vms] == ["2/24", "3/24", "4/24", "5/24"]
    assert Batch.objects.get().asked == 4
    assert cluster.network.name == "lab"
    assert Event.objects.of(cluster.uuid).get().verb == "asked"


def test_each_node_is_told_its_part_and_the_key_is_kept_sealed(owner, entry):
    cluster = actions.launch_cluster(owner=owner, order=order(entry, user="mpi"))
    master, worker, _ = cluster.vms.select_related("cluster").order_by("node_number")
    told = master.spec().user_data
    assert "me=node1\n" in told
    assert "step workers" in told
    assert "me=node2\n" in worker.spec().user_data
    key = re.search("-----BEGIN OPENSSH PRIVATE KEY-----(.*?)-----END", told, re.S)[1].split()[2]
    for table in (*TABLES, Batch, Event):
        assert key not in json.dumps([str(row) for row in table.objects.values()])
    assert "PRIVATE" not in master.user_data
    assert len(master.spec().nics) == 1


def test_the_same_order_twice_is_one_cluster(owner, entry):
    wanted = order(entry)
    first = actions.launch_cluster(owner=owner, order=wanted)
    assert actions.launch_cluster(owner=owner, order=wanted) == first
    assert (Cluster.objects.count(), VM.objects.count(), Network.objects.count()) == (1, 3, 1)


def test_a_cluster_over_the_quota_is_refused_whole_with_each_line_and_leaves_nothing(
    owner, entry, settings
):
    settings.PORTAL_NETWORKS = 0  # the quota is named first: what is asked for is machines
    type(owner).objects.filter(pk=owner.pk).update(quota_machines=3, quota_memory_mib=2000)
    refused = refusal(actions.launch_cluster, owner=owner, order=order(entry, workers=5))
    assert (refused.code, refused.field) == ("quota_machines", "workers")
    assert str(refused) == (
        "This cluster, a master and 5 workers, does not fit your quota: it needs 6 machines, and "
        "of 3 you hold 0; it needs 3072 MiB of memory, and of 2000 MiB you hold 0 MiB. With 2 "
        "workers it would fit. Or ask for more under “Quota and usage”."
    )
    for table in (Cluster, Network, VM, Batch):
        assert not table.objects.exists()


def test_a_single_worker_over_the_quota_is_told_of_as_a_cluster(borrowed, owner, entry, cloud):
    made, vm = borrowed
    made.all_done(0, 1, 2)
    actions.kill_cluster(made.row, by=owner)
    made.look(10)
    vm.refresh_from_db()
    type(owner).objects.filter(pk=owner.pk).update(quota_machines=1)
    wanted = ClusterOrder(name="lab", worker=machine(entry), workers=1, master_vm=vm)
    assert str(refusal(actions.launch_cluster, owner=owner, order=wanted)) == (
        "This cluster, 1 worker beside a machine that runs already, does not fit your quota: it "
        "needs 1 machine, and of 1 you hold 1. Kill machines, or ask for more under “Quota and "
        "usage”."
    )


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"workers": 0}, "cluster_size"),
        ({"workers": 50}, "cluster_size"),
        ({"user": "root"}, "cluster_wish"),
    ],
)
def test_an_order_that_cannot_be_is_refused(owner, entry, change, code):
    assert refusal(actions.launch_cluster, owner=owner, order=order(entry, **change)).code == code


def test_two_images_make_one_cluster(owner, entry, cloud):
    other = EntryFactory()
    cloud.put_image(other.identifier)
    ImageFileFactory(entry=other, ready=True)
    wanted = ClusterOrder(name="lab", worker=machine(entry), master=machine(other), workers=1)
    cluster = actions.launch_cluster(owner=owner, order=wanted)
    assert [vm.entry for vm in cluster.vms.order_by("node_number")] == [other, entry]


# Followed --------------------------------------------------------------------------------


def test_a_cluster_is_ready_when_every_node_says_so(made, owner):
    made.says(0, "of x", "step hosts begin", "step hosts end 0", "step workers begin")
    made.all_done(1)
    row = made.row
    assert row.state == ClusterState.WIRING
    said = [row.nodes.get(vm.token, {}) for vm in made.vms]
    assert [(one.get("step"), one.get("done")) for one in said] == [
        ("workers", False), ("", True), ("", False),
    ]  # fmt: skip
    made.all_done(0, 2)
    assert made.row.state == ClusterState.READY
    assert Notification.objects.get(owner=owner, kind="cluster_ready")


def test_a_node_that_fails_ends_all_and_is_named(made):
    made.says(1, "step packages begin", "|E: no such package", "step packages end 100")
    made.look()
    row = made.row
    assert row.state == ClusterState.ENDED
    assert row.reason == (
        "Node2 (lab-node2) failed at “install packages” with exit status 100. All were killed."
    )
    assert row.nodes[made.vms[1].token]["tail"] == "E: no such package"
    assert {vm.state for vm in made.vms} == {VmState.DONE}
    assert row.network.state == NetworkState.DELETED
    assert not row.sealed_key


def test_a_node_that_fails_is_left_out_if_the_others_may_go_on(owner, entry, cloud, worker):
    made = start(owner, order(entry, tolerate=True), cloud, worker)
    made.says(2, "step hosts begin", "step hosts end 1")
    made.all_done(0, 1)
    made.look(4)
    row = made.row
    assert (row.state, row.reason) == (ClusterState.READY, "Without node3.")
    assert [vm.state for vm in made.vms] == [VmState.RUNNING, VmState.RUNNING, VmState.DONE]


def test_one_that_is_kept_for_a_look_leaves_the_network_by_which_the_others_know(
    owner, entry, cloud, worker
):
    made = start(owner, order(entry, tolerate=True, keep_failed=True), cloud, worker)
    made.says(2, "step packages begin", "step packages end 1")
    made.look(4)
    row, kept = made.row, made.vms[2]
    assert (row.state, kept.state) == (ClusterState.WIRING, VmState.RUNNING)
    assert kept.nics.get().reason == "Its cluster lab goes on without this machine."
    assert not cloud.get_vm(kept.cloud_ref).nics
    assert [one.name for one in row.plan().nodes] == ["node1", "node2"]
    made.all_done(0, 1)
    assert (made.row.state, made.row.reason) == (ClusterState.READY, "Without node3.")


def test_whom_the_master_goes_on_without_is_out(owner, entry, cloud, worker):
    made = start(owner, order(entry, tolerate=True), cloud, worker)
    made.says(0, "step workers begin", "without node3", "step workers end 0", "done")
    made.all_done(1, 2)
    made.look(4)
    row = made.row
    assert (row.state, row.reason) == (ClusterState.READY, "Without node3.")
    assert row.nodes[made.vms[2].token]["dropped"] == (
        "did not answer the master, which went on without it."
    )
    assert made.vms[2].state == VmState.DONE


def test_machines_are_kept_for_a_look_if_that_was_asked(owner, entry, cloud, worker):
    made = start(owner, order(entry, keep_failed=True), cloud, worker)
    made.says(0, "step hook begin", "step hook end 3")
    made.look(3)
    assert made.row.state == ClusterState.FAILED
    assert {vm.state for vm in made.vms} == {VmState.RUNNING}
    actions.kill_cluster(made.row, by=owner)
    made.look()
    assert made.row.state == ClusterState.ENDED


def test_the_master_is_needed_whatever_is_tolerated(owner, entry, cloud, worker):
    made = start(owner, order(entry, tolerate=True), cloud, worker)
    made.says(0, "step hosts begin", "step hosts end 1")
    made.look()
    assert made.row.state == ClusterState.ENDED


def test_a_silent_node_is_given_up_by_the_clock(made):
    made.all_done(0, 1)
    with time_machine.travel(timezone.now() + timedelta(minutes=16), tick=True):
        made.look()
        row = made.row
    assert row.state == ClusterState.ENDED
    assert "Node3 (lab-node3) was not set up within 15 minutes; it has said nothing." in row.reason


def test_a_machine_that_does_not_start_is_trouble(owner, entry, cloud, worker):
    made = Made(actions.launch_cluster(owner=owner, order=order(entry)), cloud, worker)
    victim = made.vms[1]
    actions.kill(victim, by=owner)
    made.look()
    row = made.row
    assert row.state == ClusterState.ENDED
    assert "Node2 (lab-node2) was ended" in row.reason


# Ended -----------------------------------------------------------------------------------


def test_kill_ends_all_and_leaves_nothing(made, owner, cloud):
    made.all_done(0, 1, 2)
    image = actions.Image(title="t", comment="c", author="a", email="a@example.org", version="1")
    actions.plan_saving(made.vms[1], image, by=owner)
    actions.kill_cluster(made.row, by=owner)
    assert made.row.state == ClusterState.ENDING
    made.look()
    assert made.row.state == ClusterState.ENDED
    assert not list(cloud.list_vms())
    assert not list(cloud.list_networks())
    assert Saving.objects.get().state == "dropped"
    assert not Nic.objects.holding().exists()
    actions.kill_cluster(made.row, by=owner)  # again is quiet


def test_a_machine_beside_it_on_its_network_loses_that_card_and_goes_on(made, owner, entry, cloud,
                                                                        client):  # fmt: skip
    vm = actions.launch(owner=owner, order=machine(entry))
    made.look(6)
    vm.refresh_from_db()
    actions.attach_nic(vm, made.row.network, by=owner)
    made.look(2)
    client.force_login(owner)
    page = client.get(made.row.get_absolute_url()).content.decode()
    assert "“x” goes on without its card there" in page
    actions.kill_cluster(made.row, by=owner)
    made.look(10)
    assert made.row.state == ClusterState.ENDED
    vm.refresh_from_db()
    assert vm.state == VmState.RUNNING
    assert vm.nics.get().reason == "The network went with its cluster lab."
    assert not cloud.get_vm(vm.cloud_ref).nics


def test_a_worker_that_is_killed_is_told_of_in_plain_words(owner, entry, cloud, worker, client):
    made = start(owner, order(entry, tolerate=True), cloud, worker)
    actions.kill(made.vms[2], by=owner)
    made.look(3)
    (told,) = [one["dropped"] for one in made.row.nodes.values() if one.get("dropped")]
    assert told.startswith("was ended. Kill, asked by")
    made.says(0, "step workers begin")
    made.look(2)
    client.force_login(owner)
    page = client.get(made.row.get_absolute_url()).content.decode()
    assert "0 of 2 set up." in page
    assert "It goes on without node3 a minute or two after it last heard of it." in page


def test_a_cluster_whose_machines_ended_one_by_one_ends(made, owner):
    made.all_done(0, 1, 2)
    for vm in made.vms:
        actions.kill(vm, by=owner)
    made.look(4)
    end_empty_clusters()
    made.look(4)
    assert made.row.state == ClusterState.ENDED


def test_strangers_kill_nothing(made):
    assert refusal(actions.kill_cluster, made.row, by=UserFactory()).code == "not_yours"


def test_its_network_is_not_deleted_beside_it(made, owner):
    refused = refusal(actions.delete_network, made.row.network, by=owner)
    assert refused.code == "network_of_cluster"


@pytest.mark.parametrize("killed_after", range(1, 6))
def test_a_worker_that_is_killed_while_all_end_leaves_nothing(made, owner, cloud, killed_after):
    """Each look is a worker of its own that sees nothing but the rows."""
    actions.kill_cluster(made.row, by=owner)
    made.look(killed_after)
    lease = timezone.now() + timedelta(seconds=10)  # of one that died at it
    for table in TABLES:
        table.objects.filter(next_tick_at__isnull=False).update(lease_until=lease)
    with time_machine.travel(lease + timedelta(seconds=1), tick=True):
        made.look()
        assert made.row.state == ClusterState.ENDED
    assert not list(cloud.list_vms())


# A master that was there before ------------------------------------------------------------


@pytest.fixture
def borrowed(owner, entry, cloud, worker):
    vm = actions.launch(owner=owner, order=Order(entry=entry, name="head", type_name="m1.small",
                                                 vcpus=4, memory_mib=512))  # fmt: skip
    for _ in range(6):
        VM.objects.filter(next_tick_at__isnull=False).update(next_tick_at=timezone.now())
        worker.step()
    vm.refresh_from_db()
    wanted = ClusterOrder(name="lab", worker=machine(entry), workers=2, master_vm=vm)
    return start(owner, wanted, cloud, worker), vm


def test_a_running_machine_becomes_the_master_and_outlives_the_cluster(borrowed, owner, cloud,
                                                                       client):  # fmt: skip
    made, vm = borrowed
    assert [one.name for one in made.vms] == ["head", "lab-node2", "lab-node3"]
    nic = vm.nics.get()
    assert nic.state == NicState.ATTACHED
    client.force_login(owner)
    text = client.get(reverse("vms:cluster_script", args=[made.row.uuid])).content.decode()
    assert "me=node1\n" in text
    assert "PRIVATE KEY" not in text
    made.all_done(0, 1, 2)
    assert made.row.state == ClusterState.READY
    actions.kill_cluster(made.row, by=owner)
    made.look(10)
    assert made.row.state == ClusterState.ENDED
    vm.refresh_from_db()
    assert (vm.state, vm.cluster) == (VmState.RUNNING, None)
    assert not cloud.get_vm(vm.cloud_ref).nics


def test_only_a_running_machine_of_ones_own_can_be_a_master(owner, entry, cloud):
    vm = actions.launch(owner=owner, order=machine(entry))
    wanted = ClusterOrder(name="lab", worker=machine(entry), workers=2, master_vm=vm)
    assert refusal(actions.launch_cluster, owner=owner, order=wanted).code == "cluster_master"
    eve = UserFactory()
    assert refusal(actions.launch_cluster, owner=eve, order=wanted).code == "not_yours"


# Pages -----------------------------------------------------------------------------------


def test_a_cluster_is_ordered_on_its_page(owner, entry, client):
    client.force_login(owner)
    page = f"{reverse('vms:new_cluster')}?image={entry.identifier}"
    assert client.get(page).status_code == 200
    answers = {
        "entry": str(entry.uuid), "create_key": str(uuid.uuid4()), "name": "lab", "workers": "2",
        "type_name": "m1.small", "master_kind": "same", "machine_file": "on", "minutes": "15",
        "on_failure": "tolerate", "packages": "gcc, openmpi-bin", "hook": "echo hi\r\necho ho",
    }  # fmt: skip
    bad = client.post(page, {**answers, "user": "root"})
    assert bad.status_code == 422
    assert "none of the system" in bad.content.decode()
    worse = client.post(page, {**answers, "name": "", "user": "root", "shared_folder": "/etc",
                               "master_kind": "image", "minutes": ""})  # fmt: skip
    assert {"name", "user", "shared_folder", "master_image", "minutes"} == set(
        worse.context["form"].errors
    )
    done = client.post(page, answers)
    cluster = Cluster.objects.get()
    assert done["Location"] == cluster.get_absolute_url()
    wanted = cluster.wanted
    assert (wanted.packages, wanted.hook) == (("gcc", "openmpi-bin"), "echo hi\necho ho")
    assert wanted.tolerate


def test_the_page_shows_each_node_and_asks_the_database_no_more_for_more(
    made, owner, entry, client, django_assert_max_num_queries
):
    client.force_login(owner)
    made.says(1, "step packages begin", "|<script>", "step packages end 9")
    Cluster.objects.filter(pk=made.pk).update(next_tick_at=timezone.now())
    vm = made.vms[1]
    Cluster.objects.filter(pk=made.pk).update(
        nodes={vm.token: {"name": "node2", "step": "packages", "status": 9, "done": False,
                          "tail": "<script>"}}
    )  # fmt: skip
    with django_assert_max_num_queries(16):
        page = client.get(made.row.get_absolute_url()).content.decode()
    assert "lab-master" in page
    assert "exit status 9" in page
    assert "&lt;script&gt;" in page
    assert "Kill all" in page
    stranger = UserFactory()
    client.force_login(stranger)
    assert client.get(made.row.get_absolute_url()).status_code == 404
    assert client.post(reverse("vms:kill_cluster", args=[made.row.uuid])).status_code == 404


def test_it_is_killed_on_its_page_and_listed(made, owner, client):
    client.force_login(owner)
    assert "lab" in client.get(reverse("vms:clusters")).content.decode()
    client.post(reverse("vms:kill_cluster", args=[made.row.uuid]))
    assert made.row.state == ClusterState.ENDING


def test_its_lists_have_roles_and_private_addresses(made, owner, client):
    client.force_login(owner)
    head = made.vms[0]
    other = actions.create_network(owner=owner, name="b")
    made.look(2)
    other.refresh_from_db()
    actions.attach_nic(head, other, by=owner)
    made.look(2)
    master, second, third = (nic.address.partition("/")[0]
                             for nic in made.row.network.nics.order_by("pk"))  # fmt: skip

    def export(form):
        url = f"{reverse('vms:export')}?cluster={made.row.uuid}&format={form}"
        answer = client.get(url)
        return (b"".join(answer) if answer.streaming else answer.content).decode()

    inventory = export("ansible")
    assert "[master]\nlab-master\n" in inventory
    assert "[workers]\nlab-node2\nlab-node3\n" in inventory
    assert f" private_address={master} " in inventory
    assert export("text").splitlines()[2].endswith(f", {third}, worker")
    rows = list(csv.DictReader(export("csv").splitlines()))
    assert [(row["role"], row["private_address"]) for row in rows] == [
        ("master", master), ("worker", second), ("worker", third),
    ]  # fmt: skip
    told = json.loads(export("json"))[0]
    assert told["private_address"] == master
    assert list(told["private_addresses"]) == ["lab", "b"]
    assert f"# worker, private address {second}\nHost lab-node2\n" in export("ssh")
    assert f"private_address: {second}" in export("ansible-yaml")
    actions.kill(made.vms[2], by=owner)
    made.look(2)
    gone = list(csv.DictReader(export("csv").splitlines()))[2]
    assert (gone["role"], gone["private_address"]) == ("worker", "")


def test_networks_have_pages(made, owner, client):
    client.force_login(owner)
    page = client.get(made.row.network.get_absolute_url()).content.decode()
    assert "lab-node2" in page
    assert made.row.network.cidr in client.get(reverse("vms:networks")).content.decode()
    new = client.post(reverse("vms:new_network"), {"create_key": str(uuid.uuid4()), "name": "b"})
    network = Network.objects.get(name="b")
    assert new["Location"] == network.get_absolute_url()
    made.look(2)
    vm = made.vms[0]
    assert "Attach" in client.get(vm.get_absolute_url()).content.decode()
    client.post(reverse("vms:attach_nic", args=[vm.uuid]), {"network": str(network.uuid)})
    made.look(2)
    nic = Nic.objects.get(network=network)
    assert nic.state == NicState.ATTACHED
    client.post(reverse("vms:detach_nic", args=[nic.uuid]))
    made.look(2)
    client.post(reverse("vms:delete_network", args=[network.uuid]))
    made.look(2)
    network.refresh_from_db()
    assert network.state == NetworkState.DELETED
    client.force_login(UserFactory())
    assert client.get(made.row.network.get_absolute_url()).status_code == 404


def test_a_machine_is_launched_on_a_network_by_its_page(owner, entry, client):
    network = actions.create_network(owner=owner, name="lab")
    client.force_login(owner)
    page = f"{reverse('vms:launch')}?image={entry.identifier}"
    assert network.cidr in client.get(page).content.decode()
    answers = {"launch_key": str(uuid.uuid4()), "name": "web", "type_name": "m1.small",
               "count": "1", "without_key": "on", "networks": str(network.uuid),
               "entry": str(entry.uuid), "method": "cloud-init"}  # fmt: skip
    done = client.post(page, answers)
    assert done.status_code == 302, re.findall("refusal.*?</div>", done.content.decode(), re.S)
    assert Nic.objects.get().network == network

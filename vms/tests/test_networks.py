"""Private networks and cards on them: made, joined, left, removed."""

import ipaddress
import uuid

import pytest
from django.utils import timezone

from cloud.types import VmPhase
from core.errors import Refused
from core.machine import tick
from marketplace.tests.factories import EntryFactory, ImageFileFactory
from registration.tests.factories import UserFactory
from vms import actions
from vms.lifecycle import VM_STEPS
from vms.models import VM, CloudStatus, InstanceType, Network, Nic
from vms.states import NetworkState, NicState, VmState

pytestmark = pytest.mark.django_db


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


def order(entry, **more):
    more = {"name": "web", **more}
    return actions.Order(entry=entry, type_name="m1.small", vcpus=1, memory_mib=512, **more)


def look(worker, times=6):
    """Let everything that moves be looked at, now."""
    for _ in range(times):
        for table in (Network, VM, Nic):
            table.objects.filter(next_tick_at__isnull=False).update(next_tick_at=timezone.now())
        worker.step()


def refusal(act, *args, **kwargs):
    with pytest.raises(Refused) as refused:
        act(*args, **kwargs)
    return refused.value


@pytest.fixture
def network(owner, worker):
    network = actions.create_network(owner=owner, name="lab")
    look(worker, 2)
    network.refresh_from_db()
    assert network.state == NetworkState.READY
    return network


def test_a_network_is_made_with_addresses_of_its_own(owner, worker, cloud, settings):
    settings.PORTAL_NETWORKS = 12
    made = [actions.create_network(owner=owner, name=f"net {n}") for n in range(12)]
    cidrs = [ipaddress.ip_network(one.cidr) for one in made]
    assert all(one.prefixlen == 24 for one in cidrs)
    assert len(set(cidrs)) == 12
    look(worker, 2)
    assert {one.state for one in Network.objects.all()} == {NetworkState.READY}
    assert {one.token for one in cloud.list_networks()} == {one.token for one in made}
    assert refusal(actions.create_network, owner=owner, name="more").code == "network_limit"


def test_the_same_key_twice_is_one_network(owner):
    key = uuid.uuid4()
    first = actions.create_network(owner=owner, name="lab", create_key=key)
    assert actions.create_network(owner=owner, name="other", create_key=key) == first


def test_a_site_without_networks_says_why(owner):
    CloudStatus.objects.create(cloud="local", engine="x", lacks={"networks": "No multicast here."})
    refused = refusal(actions.create_network, owner=owner, name="lab")
    assert (refused.code, str(refused)) == ("networks_lacking", "No multicast here.")


def test_a_machine_waits_for_its_network_and_is_launched_on_it(owner, entry, worker, cloud):
    network = actions.create_network(owner=owner, name="lab")
    vm = actions.launch(owner=owner, order=order(entry, networks=(network,)))
    nic = vm.nics.get()
    assert (nic.state, nic.address.split(".")[3]) == (NicState.PLANNED, "2/24")
    VM.objects.filter(pk=vm.pk).update(next_tick_at=timezone.now())
    vm = VM.objects.select_related("entry", "owner").get(pk=vm.pk)
    tick(vm, VM_STEPS)
    vm.refresh_from_db()
    assert (vm.state, vm.note) == (VmState.PENDING, "Its network lab is being made.")
    look(worker)
    vm.refresh_from_db()
    nic.refresh_from_db()
    assert (vm.state, nic.state) == (VmState.RUNNING, NicState.ATTACHED)
    (card,) = cloud.get_vm(vm.cloud_ref).nics
    assert (card.network, card.mac, card.address) == (network.token, nic.mac, nic.address)


def test_addresses_are_given_once_and_again_when_they_are_free(owner, entry, network, worker):
    vms = [actions.launch(owner=owner, order=order(entry, networks=(network,))) for _ in range(3)]
    ends = [vm.nics.get().address.split(".")[3] for vm in vms]
    assert ends == ["2/24", "3/24", "4/24"]
    look(worker)
    actions.kill(VM.objects.get(pk=vms[1].pk), by=owner)
    look(worker)
    assert vms[1].nics.get().state == NicState.DETACHED
    again = actions.launch(owner=owner, order=order(entry, networks=(network,)))
    assert again.nics.get().address.endswith(".3/24")


def test_a_network_with_machines_is_not_deleted_and_names_them(owner, entry, network, worker):
    vm = actions.launch(owner=owner, order=order(entry, networks=(network,)))
    refused = refusal(actions.delete_network, network, by=owner)
    assert refused.code == "network_busy"
    assert "web" in str(refused)
    look(worker)
    actions.kill(VM.objects.get(pk=vm.pk), by=owner)
    look(worker)
    actions.delete_network(network, by=owner)
    look(worker)
    network.refresh_from_db()
    assert network.state == NetworkState.DELETED


def test_a_card_is_put_into_a_running_machine_and_taken_out(owner, entry, network, worker, cloud):
    vm = actions.launch(owner=owner, order=order(entry))
    look(worker)
    vm.refresh_from_db()
    nic = actions.attach_nic(vm, network, by=owner)
    assert refusal(actions.attach_nic, vm, network, by=owner).code == "nic_twice"
    look(worker, 2)
    nic.refresh_from_db()
    assert nic.state == NicState.ATTACHED
    assert [one.mac for one in cloud.get_vm(vm.cloud_ref).nics] == [nic.mac]
    cloud.refuse_nic_detach(vm.cloud_ref, nic.mac)
    actions.detach_nic(nic, by=owner)
    look(worker, 2)
    nic.refresh_from_db()
    assert nic.state == NicState.DETACHING
    cloud.refuse_nic_detach(vm.cloud_ref, nic.mac, on=False)
    look(worker, 2)
    nic.refresh_from_db()
    assert nic.state == NicState.DETACHED
    assert not cloud.get_vm(vm.cloud_ref).nics


def test_a_machine_that_waits_takes_no_card(owner, entry, network):
    vm = actions.launch(owner=owner, order=order(entry))
    assert refusal(actions.attach_nic, vm, network, by=owner).code == "vm_state"


def test_nobody_joins_another_persons_network(owner, entry, network):
    eve = UserFactory()
    refused = refusal(actions.launch, owner=eve, order=order(entry, networks=(network,)))
    assert refused.code == "not_yours"
    assert refusal(actions.delete_network, network, by=eve).code == "not_yours"
    assert network not in Network.objects.visible_to(eve)


def test_a_machine_of_five_networks_is_refused(owner, entry, worker):
    networks = tuple(actions.create_network(owner=owner, name=f"n{n}") for n in range(5))
    refused = refusal(actions.launch, owner=owner, order=order(entry, networks=networks))
    assert refused.code == "nic_room"
    assert not VM.objects.exists()


def test_a_halted_machine_gets_its_card_at_its_next_start(owner, entry, network, worker, cloud):
    vm = actions.launch(owner=owner, order=order(entry))
    look(worker)
    vm.refresh_from_db()
    cloud.set_phase(vm.cloud_ref, VmPhase.STOPPED)
    VM.objects.filter(pk=vm.pk).update(state=VmState.UNKNOWN)
    nic = actions.attach_nic(VM.objects.get(pk=vm.pk), network, by=owner)
    look(worker, 2)
    nic.refresh_from_db()
    assert nic.state == NicState.ATTACHED


def test_a_machine_that_is_given_away_leaves_its_networks(owner, entry, network, worker, cloud):
    vm = actions.launch(owner=owner, order=order(entry, networks=(network,)))
    look(worker)
    boss, eve = UserFactory(is_staff=True), UserFactory(quota_machines=9, quota_memory_mib=9999)
    actions.hand_over([VM.objects.get(pk=vm.pk)], to=eve, by=boss)
    look(worker)
    nic = vm.nics.get()
    assert nic.state == NicState.DETACHED
    assert not cloud.list_vms()[0].nics


def test_networks_of_an_account_that_ends_go_with_its_machines(owner, entry, network, worker):
    vm = actions.launch(owner=owner, order=order(entry, networks=(network,)))
    look(worker)
    boss, eve = UserFactory(is_staff=True), UserFactory(quota_machines=9, quota_memory_mib=9999)
    actions.hand_over([VM.objects.get(pk=vm.pk)], to=eve, by=boss, heir_of=owner)
    look(worker)
    network.refresh_from_db()
    assert (network.owner, vm.nics.get().state) == (eve, NicState.ATTACHED)

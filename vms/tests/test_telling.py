"""What owners of machines are told, and what not."""

import json
from uuid import uuid4

import pytest
from django.utils import timezone

from registration import actions as accounts
from registration.models import Delivery, Notification
from registration.tests.factories import UserFactory
from vms import actions
from vms.lifecycle import tell_of_batches, telling
from vms.models import VM, Batch, Cluster, Network, Readiness
from vms.states import ClusterState, ReadinessState, VmState
from vms.tests.factories import VMFactory

pytestmark = pytest.mark.django_db


def told(vm):
    return list(Notification.objects.filter(owner=vm.owner).values_list("kind", "sentence"))


def test_it_is_ready_once_for_each_start():
    vm = VMFactory(running=True, name="web-1")
    readiness = Readiness.objects.get(vm=vm)
    readiness.move(ReadinessState.WATCHING)
    assert told(vm) == []
    readiness.move(ReadinessState.READY)
    assert told(vm) == [("machine_ready", "web-1 is ready.")]
    note = Notification.objects.get()
    assert (note.about, note.url) == (vm.uuid, vm.get_absolute_url())


def test_it_failed_and_why():
    vm = VMFactory(name="web-1")
    vm.move(VmState.FAILED, reason="The site had no room for it.")
    assert told(vm) == [("machine_failed", "web-1 has failed: The site had no room for it.")]


def test_it_was_lost():
    vm = VMFactory(running=True, name="web-1")
    vm.move(VmState.UNKNOWN, reason="Its host is gone.")
    assert told(vm) == [("machine_failed", "web-1 no longer runs: Its host is gone.")]


def test_what_its_owner_asked_for_is_no_news():
    vm = VMFactory(running=True)
    actions.kill(vm, by=vm.owner)
    assert told(vm) == []


# Batches: told once -----------------------------------------------------------------------


def batch_of(*states, owner=None, ready=(), **fields):
    """A batch named "web" with a machine in each of these states."""
    owner = owner or UserFactory()
    batch = Batch.objects.create(owner=owner, uuid=uuid4(), name="web", asked=len(states))
    for number, state in enumerate(states, 1):
        vm = VMFactory(owner=owner, batch=batch, name=f"web-{number}", state=state, **fields)
        if state == VmState.RUNNING:
            found = {"state": ReadinessState.WATCHING}
            if number in ready:
                found = {"state": ReadinessState.READY, "ssh_at": timezone.now()}
            Readiness.objects.filter(vm=vm).update(**found)
    return batch


def of(batch):
    return told(VM.objects.filter(batch=batch).first())


def machines(batch):
    return list(VM.objects.filter(batch=batch).order_by("pk"))


RUNNING, PENDING = VmState.RUNNING, VmState.PENDING


def test_a_batch_is_told_of_once_when_its_last_machine_is_there():
    batch = batch_of(RUNNING, RUNNING, RUNNING)
    for vm in machines(batch):
        tell_of_batches()
        assert of(batch) == []
        Readiness.objects.filter(vm=vm).update(ssh_at=timezone.now())
        Readiness.objects.get(vm=vm).move(ReadinessState.READY)
    tell_of_batches()
    tell_of_batches()
    assert of(batch) == [("batch_ready", "All 3 machines of web are ready.")]
    note = Notification.objects.get()
    assert (note.url, note.about) == (batch.get_absolute_url(), batch.uuid)
    assert note.data == {"machines": 3, "ready": 3, "failed": 0, "silent": 0}


def test_what_became_of_the_others_is_said():
    batch = batch_of(RUNNING, RUNNING, PENDING, PENDING, PENDING, RUNNING, ready=(1, 2))
    one, other, killed = machines(batch)[2:5]
    one.move(VmState.FAILED, reason="No room.")
    other.move(VmState.FAILED, reason="No room.")
    actions.kill(killed, by=killed.owner)
    Readiness.objects.filter(vm__name="web-6").update(state=ReadinessState.SILENT)
    Readiness.objects.filter(vm__name="web-2").update(context_note="A script failed.")
    tell_of_batches()
    assert of(batch) == [(
        "batch_ready", "2 of the 6 machines of web are ready; 2 failed, 1 does not answer, 1 ended "
        "before. Of 1 the contextualization went wrong.",
    )]  # fmt: skip


def test_a_slow_machine_is_waited_for_until_its_ssh_answers():
    batch = batch_of(RUNNING)
    Readiness.objects.update(state=ReadinessState.SLOW)
    tell_of_batches()
    assert of(batch) == []
    Readiness.objects.update(ssh_at=timezone.now())
    tell_of_batches()
    assert of(batch) == [("batch_ready", "The machine of web is ready.")]


def test_a_batch_that_its_owner_has_killed_is_no_news():
    batch = batch_of(PENDING, PENDING)
    for vm in machines(batch):
        actions.kill(vm, by=vm.owner)
    tell_of_batches()
    assert of(batch) == []
    assert Batch.objects.get().told_at


def test_after_that_each_machine_is_told_of_by_itself():
    batch = batch_of(RUNNING, RUNNING, ready=(1, 2))
    tell_of_batches()
    first, second = machines(batch)
    first.move(VmState.UNKNOWN, reason="Its host is gone.")
    actions.reboot(second, by=second.owner)
    for _ in range(2):  # its first start, and this one
        second.record_event("moved", was=VmState.BOOT, now=RUNNING)
    readiness = Readiness.objects.get(vm=second)
    readiness.move(ReadinessState.WATCHING)
    readiness.move(ReadinessState.READY)
    assert [sentence for _, sentence in of(batch)[-2::-1]] == [
        "web-1 no longer runs: Its host is gone.", "web-2 is ready.",
    ]  # fmt: skip


def test_who_is_killed_while_telling_has_told_nothing_and_the_next_one_does(monkeypatch):
    batch = batch_of(RUNNING, ready=(1,))

    def killed(*_args, **_more):
        raise SystemExit

    with monkeypatch.context() as patch:
        patch.setattr(telling, "notify", killed)
        with pytest.raises(SystemExit):
            tell_of_batches()
    assert Batch.objects.get().told_at is None
    tell_of_batches()
    assert len(of(batch)) == 1


def test_programs_hear_of_each_machine_as_it_comes():
    owner = UserFactory()
    kinds = ["machine_ready", "machine_failed", "batch_ready"]
    accounts.add_webhook(owner=owner, url="https://hooks.example.org/", kinds=kinds)
    batch = batch_of(RUNNING, PENDING, owner=owner)
    first, second = machines(batch)
    Readiness.objects.filter(vm=first).update(ssh_at=timezone.now())
    Readiness.objects.get(vm=first).move(ReadinessState.READY)
    second.move(VmState.FAILED, reason="No room.")
    tell_of_batches()
    sent = [json.loads(one.body) for one in Delivery.objects.order_by("pk")]
    assert [one["kind"] for one in sent] == kinds
    assert [one["about"]["name"] for one in sent] == ["web-1", "web-2", "web"]
    assert len({one["id"] for one in sent}) == 3
    assert [kind for kind, _ in of(batch)] == ["batch_ready"]


def test_the_machines_of_a_cluster_are_told_of_with_it():
    owner = UserFactory()
    network = Network.objects.create(owner=owner, name="lab", cidr="10.1.2.0/24", cloud="local",
                                     create_key=uuid4())  # fmt: skip
    cluster = Cluster.objects.create(owner=owner, cloud="local", create_key=uuid4(), name="lab",
                                     network=network, state=ClusterState.WIRING)  # fmt: skip
    batch = batch_of(RUNNING, RUNNING, owner=owner, ready=(1,), cluster=cluster)
    _, lost = machines(batch)
    lost.move(VmState.UNKNOWN, reason="Its host is gone.")
    tell_of_batches()
    assert of(batch) == []
    cluster.move(ClusterState.FAILED, reason="node2 has halted.")
    why = "The cluster lab was not set up. node2 has halted."
    assert of(batch) == [("cluster_failed", why)]

"""What may be asked of machines, and what is refused with which words."""

from datetime import timedelta
from uuid import uuid4

import pytest
from django.utils import timezone

from core.errors import Refused
from core.models import Event
from marketplace.tests.factories import EntryFactory
from registration.tests.factories import UserFactory
from vms import actions
from vms.models import VM, CloudStatus, InstanceType
from vms.states import VM_VERBS, VmState
from vms.tests.factories import VMFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def alice():
    return UserFactory()


def order(**fields):
    size = {"type_name": "m1.small", "vcpus": 1, "memory_mib": 512}
    return actions.Order(**{"entry": fields.pop("entry", None) or EntryFactory(), "name": "web",
                            **size, **fields})  # fmt: skip


def refusal(owner, **fields):
    with pytest.raises(Refused) as refused:
        actions.launch(owner=owner, order=order(**fields))
    return refused.value


def test_a_launched_machine_is_pending_due_and_in_the_history(alice):
    vm = actions.launch(owner=alice, order=order())
    assert vm.state == VmState.PENDING
    assert VM.objects.get().next_tick_at <= timezone.now()
    assert Event.objects.get(subject=vm.uuid).by == alice


def test_the_same_order_twice_is_one_machine(alice):
    twice = order(launch_key=uuid4())
    assert actions.launch(owner=alice, order=twice) == actions.launch(owner=alice, order=twice)
    assert VM.objects.count() == 1


def test_the_quota_of_machines_names_the_numbers(alice):
    alice.quota_machines = 2
    alice.save()
    VMFactory.create_batch(2, owner=alice)
    refused = refusal(alice)
    assert refused.code == "quota_machines"
    assert "Your quota is 2 machines: you hold 2" in str(refused)


def test_done_machines_hold_nothing_and_failed_ones_do(alice):
    alice.quota_machines = 1
    alice.save()
    vm = VMFactory(owner=alice, state=VmState.DONE)
    assert actions.over_quota(actions.quota_use(alice), order()) is None
    VM.objects.filter(pk=vm.pk).update(state=VmState.FAILED)
    assert refusal(alice).code == "quota_machines"


def test_the_quotas_of_cpus_and_memory(alice):
    assert refusal(alice, vcpus=9).code == "quota_vcpus"
    assert refusal(alice, memory_mib=16385).code == "quota_memory"


def test_a_machine_larger_than_the_site_is_refused_with_the_numbers(alice):
    CloudStatus.objects.create(cloud="local", largest_vcpus=2, largest_memory_mib=1000)
    refused = refusal(alice, memory_mib=1001)
    assert (refused.code, refused.field) == ("too_large", "type_name")
    assert "1001 MiB" in str(refused)
    assert "1000 MiB" in str(refused)
    assert refusal(alice, vcpus=3).code == "too_large"


def test_an_expired_image_is_not_launched(alice):
    assert refusal(alice, entry=EntryFactory(expired=True)).code == "image_expired"


def test_who_is_not_active_launches_nothing():
    assert refusal(UserFactory(applied=True)).code == "not_active"


@pytest.mark.parametrize("verb", list(actions.VERBS))
@pytest.mark.parametrize("state", VmState.values)
def test_a_verb_works_exactly_where_its_button_shows(verb, state):
    until = timezone.now() + timedelta(hours=1)
    vm = VMFactory(state=state, expires_at=until, lease_since=timezone.now())
    if state in VM_VERBS[verb]:
        actions.VERBS[verb](vm, by=vm.owner)
        vm.refresh_from_db()
        assert vm.state != state or vm.expires_at != until
    else:
        with pytest.raises(Refused) as refused:
            actions.VERBS[verb](vm, by=vm.owner)
        assert refused.value.code == "vm_state"


@pytest.mark.parametrize("verb", list(actions.VERBS))
def test_nobody_else_can_ask_and_the_attempt_is_recorded(verb):
    vm, mallory = VMFactory(running=True), UserFactory()
    with pytest.raises(Refused) as refused:
        actions.VERBS[verb](vm, by=mallory)
    assert refused.value.code == "not_yours"
    event = Event.objects.get(subject=vm.uuid, outcome="denied")
    assert (event.by, event.verb, event.owner) == (mallory, verb, vm.owner)


def test_an_administrator_can_and_the_history_says_so():
    vm, admin = VMFactory(running=True), UserFactory(admin=True)
    actions.kill(vm, by=admin)
    event = Event.objects.of(vm.uuid).last()
    assert event.by == admin
    assert f"administrator {admin.username}" in event.reason


def test_of_two_who_ask_at_once_the_second_is_told():
    vm = VMFactory(running=True)
    stale = VM.objects.get(pk=vm.pk)
    actions.kill(vm, by=vm.owner)
    with pytest.raises(Refused, match="is Epilog"):
        actions.shut_down(stale, by=vm.owner)


def test_a_kill_is_not_lost_on_a_machine_that_went_on_meanwhile():
    vm = VMFactory()
    seen = VM.objects.get(pk=vm.pk)
    vm.move(VmState.PROLOG)
    actions.kill(seen, by=vm.owner)
    assert VM.objects.get(pk=vm.pk).state == VmState.EPILOG
    assert [(e.was, e.now) for e in Event.objects.of(vm.uuid)][-1] == ("prolog", "epilog")


def test_asking_many_says_what_was_done_and_why_the_rest_was_not():
    alice = UserFactory()
    vms = [VMFactory(running=True, owner=alice), VMFactory(state=VmState.DONE, owner=alice)]
    done, refusals = actions.ask_many(vms, "kill", by=alice)
    assert done == 1
    assert [refused.code for refused in refusals] == ["vm_state"]


def test_a_new_default_size_replaces_the_old_one():
    admin = UserFactory(admin=True)
    size = InstanceType(name="big", vcpus=2, memory_mib=2048, is_default=True)
    actions.save_type(size, by=admin)
    assert list(InstanceType.objects.filter(is_default=True)) == [size]
    assert timezone.now() - Event.objects.get(kind="instance_type").at < timedelta(minutes=1)


def test_what_may_be_launched_is_decided_here_and_not_by_the_page(alice):
    assert refusal(alice, entry=EntryFactory(kind="disk")).code == "image_kind"
    private = EntryFactory(visibility="private", owner=UserFactory())
    assert refusal(alice, entry=private).code == "image_unknown"


def test_an_image_gets_the_memory_that_it_needs(alice):
    refused = refusal(alice, entry=EntryFactory(min_memory_mib=1024), memory_mib=512)
    assert (refused.code, refused.field) == ("too_small", "memory_mib")
    assert "needs 1024 MiB" in str(refused)


def test_swap_is_bounded_by_the_memory(alice):
    assert "more than 2 times" in str(refusal(alice, memory_mib=512, swap_mib=1025))

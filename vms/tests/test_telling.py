"""What owners of machines are told, and what not."""

import pytest

from registration.models import Notification
from vms import actions
from vms.models import Readiness
from vms.states import ReadinessState, VmState
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

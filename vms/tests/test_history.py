"""A machine's history is told in words."""

import pytest
from django.urls import reverse

from vms.states import VmState
from vms.tests.factories import VMFactory

pytestmark = pytest.mark.django_db


def test_the_history_of_a_machine_says_in_words_what_was_asked(client):
    vm = VMFactory(state=VmState.RUNNING)
    vm.record_event("lease_set", by=vm.owner)
    vm.record_event("attach_nic", by=vm.owner)
    client.force_login(vm.owner)
    shown = client.get(reverse("vms:detail", args=[vm.uuid])).content.decode()
    assert "End set" in shown
    assert "Put on a private network" in shown
    assert "lease_set" not in shown


def test_what_was_denied_is_not_told_as_done(client):
    vm = VMFactory(state=VmState.RUNNING)
    vm.record_denial("kill", by=vm.owner)
    client.force_login(vm.owner)
    shown = client.get(reverse("vms:detail", args=[vm.uuid])).content.decode()
    assert "Denied: Kill asked for" in shown

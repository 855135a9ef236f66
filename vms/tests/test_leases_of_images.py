"""Leases that end on machines whose disk is to become an image: shut down, saved, and told."""

from datetime import timedelta

import pytest
import time_machine
from django.core import mail
from django.utils import timezone

from cloud.types import VmPhase
from marketplace.tests.factories import EntryFactory
from registration import outbox
from registration.models import Notification
from registration.tests.factories import UserFactory
from vms import actions
from vms.actions import Image
from vms.lifecycle import look_at_leases
from vms.models import VM
from vms.reconcile import sweep
from vms.states import SavingState, VmState
from vms.tests.factories import VMFactory
from volumes.models import Volume

pytestmark = pytest.mark.django_db

NOW = timezone.now().replace(microsecond=0)
DAY, HOUR = timedelta(days=1), timedelta(hours=1)
IMAGE = Image(title="With R", comment="Has R.", author="Ada", email="ada@lab.example", version="1")


@pytest.fixture
def clock():
    with time_machine.travel(NOW, tick=False) as found:
        yield found


@pytest.fixture
def vm(clock, cloud):
    """It runs, has a day left, and is to become an image. Its owner has no key: a draft waits."""
    owner = UserFactory(email_confirmed_at=None)
    entry = EntryFactory(virtual_size_bytes=2 << 20)
    cloud.put_image(entry.identifier, size_bytes=1 << 20)
    vm = VMFactory(owner=owner, entry=entry, name="web-1", running=True, expires_at=NOW + DAY,
                   lease_since=NOW - 9 * DAY, expiry_told_at=NOW)  # fmt: skip
    cloud.create_vm(vm.spec(), token=vm.token)
    cloud.set_phase(vm.cloud_ref, VmPhase.RUNNING)
    actions.plan_saving(vm, IMAGE, by=owner)
    return vm


def fresh(vm):
    return VM.objects.select_related("owner", "saving__volume").get(pk=vm.pk)


def told(vm):
    rows = Notification.objects.filter(owner=vm.owner).order_by("pk")
    return list(rows.values_list("kind", "sentence"))


def settle(vm, worker, clock, *, to):
    """Let workers look each second until it is there."""
    for _ in range(300):
        worker.step()
        if fresh(vm).state == to:
            return
        clock.shift(timedelta(seconds=1))
    pytest.fail(f"{vm} is {fresh(vm).state}, not {to}")


ENDED = "The lease of web-1 has ended: it is being shut down, and it is saved as the image With R."


def test_it_is_shut_down_and_saved_and_the_mail_says_so(vm, cloud, worker, clock):
    clock.move_to(NOW + DAY)
    assert [look_at_leases(), look_at_leases()] == [1, 0]
    assert told(vm) == [("lease_ending", ENDED)]
    settle(vm, worker, clock, to=VmState.DONE)
    saving = fresh(vm).saving
    assert saving.state == SavingState.DONE
    assert saving.draft.identifier == saving.volume.identifier
    assert cloud.find_vm(vm.token) is None
    assert [kind for kind, _ in told(vm)] == ["lease_ending", "image_created"]
    outbox.deliver()
    (sent,) = [one for one in mail.outbox if "Lease ending" in one.subject]
    assert "saved as the image With R" in " ".join(sent.body.split())
    assert any("New image created" in one.subject for one in mail.outbox)
    clock.shift(30 * DAY)
    assert look_at_leases() == 0


def test_the_warning_says_what_becomes_of_it(vm, clock):
    VM.objects.update(expiry_told_at=None)
    assert look_at_leases() == 1
    ((kind, sentence),) = told(vm)
    assert kind == "lease_ending"
    assert "it is then shut down and saved as the image With R. Extend it" in sentence


def test_a_guest_that_ignores_the_button_is_switched_off_and_saved_in_the_end(
    vm, cloud, worker, clock, settings
):
    settings.PORTAL_LEASE_GRACE_HOURS = 2
    cloud.ignore_power_button(vm.cloud_ref)
    clock.move_to(NOW + DAY)
    for _ in range(2):  # at once, and an hour later
        assert look_at_leases() == 1
        settle(vm, worker, clock, to=VmState.RUNNING)
        assert fresh(vm).saving.state == SavingState.PLANNED
        clock.shift(HOUR)
    assert look_at_leases() == 1
    assert "is switched off" in fresh(vm).reason
    settle(vm, worker, clock, to=VmState.DONE)
    assert fresh(vm).saving.state == SavingState.DONE
    assert [kind for kind, _ in told(vm)] == ["lease_ending", "image_created"]


def test_one_that_is_halted_is_saved_at_once_and_that_is_told(vm, cloud, worker, clock):
    cloud.set_phase(vm.cloud_ref, VmPhase.STOPPED, "The guest has powered off.")
    clock.shift(HOUR)
    sweep("local")
    assert fresh(vm).state == VmState.UNKNOWN
    clock.move_to(NOW + DAY)
    assert [look_at_leases(), look_at_leases()] == [1, 0]
    settle(vm, worker, clock, to=VmState.DONE)
    assert fresh(vm).saving.state == SavingState.DONE
    ended = ("lease_ending", "The lease of web-1 has ended: it is saved as the image With R.")
    assert ended in told(vm)
    assert [kind for kind, _ in told(vm)] == ["machine_failed", "lease_ending", "image_created"]


def test_an_image_that_does_not_fit_leaves_the_disk_for_the_grace(vm, cloud, worker, clock):
    type(vm.owner).objects.filter(pk=vm.owner.pk).update(quota_images=0)
    clock.move_to(NOW + DAY)
    look_at_leases()
    settle(vm, worker, clock, to=VmState.UNKNOWN)
    assert fresh(vm).saving.state == SavingState.FAILED
    assert not Volume.objects.exists()
    assert look_at_leases() == 1
    assert [kind for kind, _ in told(vm)] == ["lease_ending", "image_failed", "lease_ended"]
    assert "Its disk is kept until" in told(vm)[-1][1]
    assert look_at_leases() == 0


def test_one_that_is_extended_while_it_goes_down_is_saved_all_the_same(vm, worker, clock):
    """Its owner planned that: whoever shuts it down, the disk becomes the image."""
    clock.move_to(NOW + DAY)
    look_at_leases()
    actions.extend(fresh(vm), by=vm.owner)
    settle(vm, worker, clock, to=VmState.DONE)
    assert fresh(vm).saving.state == SavingState.DONE

"""Several people want the same disk in the same moment, with real threads and commits."""

import pytest
from django.db import IntegrityError, transaction

from registration.models import User
from registration.tests.factories import UserFactory
from registration.tests.test_at_once import at_once
from vms import actions as machines
from vms import disks
from vms.lifecycle import VM_STEPS
from vms.models import VM
from vms.states import VmState
from vms.tests.factories import VMFactory
from volumes import actions as volumes
from volumes.models import Attachment, Volume
from volumes.states import AttachmentState, VolumeState
from volumes.tests.factories import AttachmentFactory, VolumeFactory

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow, pytest.mark.at_once]

A = AttachmentState


def wish(volume, vm, *, read_only=False):
    """As a request of its own would load and ask it."""

    def act():
        mine = VM.objects.get(pk=vm.pk)
        disks.attach(
            Volume.objects.get(pk=volume.pk), mine,
            by=User.objects.get(pk=mine.owner_id), read_only=read_only,
        )  # fmt: skip

    return act


def test_of_six_who_would_write_one_gets_it():
    bob = UserFactory()
    volume = VolumeFactory(owner=bob)
    boxes = [VMFactory(owner=bob, running=True) for _ in range(6)]
    outcome = at_once(*(wish(volume, vm) for vm in boxes))
    assert outcome == [*["disk_in_use"] * 5, "done"]
    assert volume.attachments.holding().count() == 1


def test_six_may_read():
    bob = UserFactory()
    volume = VolumeFactory(owner=bob)
    boxes = [VMFactory(owner=bob, running=True) for _ in range(6)]
    assert at_once(*(wish(volume, vm, read_only=True) for vm in boxes)) == ["done"] * 6


def test_readers_and_a_writer_are_never_together():
    bob = UserFactory()
    volume = VolumeFactory(owner=bob)
    boxes = [VMFactory(owner=bob, running=True) for _ in range(6)]
    at_once(*(wish(volume, vm, read_only=number % 2 == 0) for number, vm in enumerate(boxes)))
    modes = list(volume.attachments.holding().values_list("read_only", flat=True))
    assert modes == [False] or all(modes)


def test_a_button_pressed_six_times_attaches_once():
    bob = UserFactory()
    volume, vm = VolumeFactory(owner=bob), VMFactory(owner=bob, running=True)
    outcome = at_once(*[wish(volume, vm, read_only=True)] * 6)
    assert outcome == [*["disk_twice"] * 5, "done"]


def test_a_machine_does_not_get_a_27th_disk():
    bob = UserFactory()
    vm = VMFactory(owner=bob, running=True)
    for _ in range(24):
        AttachmentFactory(volume__owner=bob, vm=vm)
    outcome = at_once(*(wish(VolumeFactory(owner=bob), vm) for _ in range(5)))
    assert outcome == ["done", "done", *["too_many_disks"] * 3]


def test_the_last_two_readers_who_leave_at_once_free_the_disk():
    bob = UserFactory()
    volume = VolumeFactory(owner=bob, state=VolumeState.IN_USE)
    rows = [
        AttachmentFactory(volume=volume, vm__owner=bob, read_only=True, state=A.DETACHING)
        for _ in range(4)
    ]
    at_once(*(lambda row=row: Attachment.objects.get(pk=row.pk).move(A.DETACHED) for row in rows))
    assert Volume.objects.get(pk=volume.pk).state == VolumeState.AVAILABLE


def test_a_disk_and_the_end_of_its_machine(cloud):
    """Either the machine takes no disk any more, or its end frees it."""
    bob = UserFactory()
    volume = VolumeFactory(owner=bob)
    vm = VMFactory(owner=bob, running=True)

    def end():
        mine = VM.objects.get(pk=vm.pk)
        machines.kill(mine, by=bob)
        go = VM_STEPS[VmState.EPILOG](mine, cloud)
        mine.move(go.to, alongside=go.alongside, **go.fields)

    at_once(wish(volume, vm), end)
    assert not volume.attachments.holding().exists()
    assert Volume.objects.get(pk=volume.pk).state == VolumeState.AVAILABLE


def test_machines_that_are_ordered_with_the_same_disk():
    bob = UserFactory()
    volume = VolumeFactory(owner=bob)
    boxes = [VMFactory(owner=bob) for _ in range(4)]

    def plan(vm):
        with transaction.atomic():
            volumes.plan(
                Volume.objects.get(pk=volume.pk), VM.objects.get(pk=vm.pk), by=bob, read_only=False
            )

    outcome = at_once(*(lambda vm=vm: plan(vm) for vm in boxes))
    assert outcome == [*["disk_in_use"] * 3, "done"]


def test_the_database_has_the_last_word():
    row = AttachmentFactory()
    for twin in (
        {"volume": row.volume, "vm": row.vm, "read_only": True},
        {"volume": row.volume, "vm__owner": row.vm.owner},
    ):
        with pytest.raises(IntegrityError), transaction.atomic():
            AttachmentFactory(**twin)

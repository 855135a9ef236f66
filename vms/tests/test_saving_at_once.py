"""Machines, their images and their builds, asked for different things in the same moment.

What one transaction locks before another, that locks it the other way round, ends in a deadlock on
PostgreSQL: see ``docs/developers/locks.md``.
"""

import hashlib
from functools import cache
from uuid import uuid4

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from django.utils import timezone

from cloud.diskfiles.identifiers import identifier_of
from cloud.types import VmPhase
from core.machine import tick
from marketplace import certificates
from marketplace.models import Entry
from marketplace.tests.factories import EntryFactory
from registration.models import Notification, User
from registration.tests.factories import UserFactory
from registration.tests.test_at_once import at_once
from vms import actions
from vms.lifecycle import SAVING_STEPS
from vms.lifecycle.clusters import _kill
from vms.models import VM, Build, Saving
from vms.states import BuildState, SavingState, VmState
from vms.tests.factories import VMFactory
from vms.tests.test_saving import IMAGE
from volumes.models import Volume
from volumes.states import VolumeState
from volumes.tests.factories import VolumeFactory

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow, pytest.mark.at_once]

ROUNDS = range(3)
SHA1 = hashlib.sha1(b"a saved disk").hexdigest()  # noqa: S324


@pytest.fixture(autouse=True)
def _one_key(monkeypatch):
    """A key takes a second to make."""
    monkeypatch.setattr(certificates, "new_private_key", _private_key)


@cache
def _private_key():
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@pytest.fixture
def ada():
    return UserFactory(
        username="ada", email="ada@example.org", email_confirmed_at=timezone.now(), state="active"
    )


def machine(owner, cloud, **fields) -> VM:
    vm = VMFactory(owner=owner, entry=EntryFactory(), running=True, **fields)
    cloud.put_image(vm.entry.identifier)
    cloud.create_vm(vm.spec(), token=vm.token)
    cloud.set_phase(vm.cloud_ref, VmPhase.RUNNING)
    return vm


def in_epilog(owner, cloud, state, disk_state) -> Saving:
    """A machine that is off, and whose disk is on its way to be an image."""
    vm = machine(owner, cloud)
    actions.plan_saving(vm, IMAGE, by=owner)
    disk = VolumeFactory(
        owner=owner, state=disk_state, sha1=SHA1, sha256="0" * 64, sha512="0" * 128,
        identifier=identifier_of(SHA1),
    )  # fmt: skip
    now = timezone.now()
    Saving.objects.filter(vm=vm).update(state=state, volume=disk, next_tick_at=now)
    VM.objects.filter(pk=vm.pk).update(state=VmState.EPILOG, next_tick_at=now)
    return Saving.objects.get(vm=vm)


def seen(vm) -> VM:
    """As another request would load it."""
    return VM.objects.select_related("owner").get(pk=vm.pk)


def person(who) -> User:
    return User.objects.get(pk=who.pk)


def sign(saving) -> None:
    row = Saving.objects.select_related("vm__owner", "vm__entry", "volume").get(pk=saving.pk)
    tick(row, SAVING_STEPS)


@pytest.mark.parametrize("_", ROUNDS)
def test_an_image_that_is_signed_while_its_machine_is_killed_and_planned_anew(ada, cloud, _):
    saving = in_epilog(ada, cloud, SavingState.SIGNING, VolumeState.AVAILABLE)
    one, other, third = seen(saving.vm), seen(saving.vm), seen(saving.vm)
    at_once(
        lambda: sign(saving),
        lambda: actions.kill(one, by=person(ada)),
        lambda: actions.drop_saving(other, by=person(ada)),
        lambda: actions.plan_saving(third, IMAGE, by=person(ada)),
    )
    saving.refresh_from_db()
    assert saving.state == SavingState.DONE
    assert Entry.objects.filter(identifier=saving.volume.identifier).count() == 1
    assert Notification.objects.filter(kind="image_created").count() == 1


@pytest.mark.parametrize("_", ROUNDS)
def test_a_kill_that_loses_an_image_while_its_owner_plans_another(ada, cloud, _):
    saving = in_epilog(ada, cloud, SavingState.COPYING, VolumeState.SAVING)
    one, other, third = seen(saving.vm), seen(saving.vm), seen(saving.vm)
    at_once(
        lambda: actions.kill(one, by=person(ada)),
        lambda: actions.save(other, IMAGE, by=person(ada)),
        lambda: actions.kill(third, by=person(ada)),
    )
    saving.refresh_from_db()
    assert saving.state == SavingState.DROPPED
    assert Volume.objects.get(pk=saving.volume_id).state == VolumeState.CLEARING


@pytest.mark.parametrize("_", ROUNDS)
def test_a_cluster_ends_a_machine_whose_image_is_called_off(ada, cloud, _):
    vm = machine(ada, cloud)
    actions.plan_saving(vm, IMAGE, by=ada)
    one, other, third = seen(vm), seen(vm), seen(vm)
    at_once(
        lambda: _kill(one, "Its cluster was given up."),
        lambda: actions.drop_saving(other, by=person(ada)),
        lambda: actions.kill(third, by=person(ada)),
    )
    assert VM.objects.get(pk=vm.pk).state == VmState.EPILOG
    assert Saving.objects.get(vm=vm).state == SavingState.DROPPED


@pytest.mark.parametrize("verb", ["cancel_build", "save_build"])
def test_a_machine_is_given_away_while_its_build_is_asked(ada, cloud, verb):
    admin, heir = UserFactory(admin=True), UserFactory()
    vm = machine(ada, cloud)
    actions.plan_saving(vm, IMAGE, by=ada)
    about = {name: getattr(IMAGE, name) for name in ("title", "comment", "author", "email")}
    row = Build.objects.create(
        owner=ada, vm=vm, base=vm.entry, create_key=uuid4(), state=BuildState.KEPT,
        recipe={**about, "version": "1"},
    )  # fmt: skip
    one = Build.objects.select_related("vm__owner", "owner").get(pk=row.pk)
    given = seen(vm)
    outcome = at_once(
        lambda: getattr(actions, verb)(one, by=person(ada)),
        lambda: actions.hand_over([given], to=person(heir), by=person(admin)),
    )
    assert "done" in outcome
    row.refresh_from_db()
    vm.refresh_from_db()
    if vm.owner == heir and vm.state == VmState.RUNNING:
        assert row.state == BuildState.CANCELLED
    else:
        assert row.state in (BuildState.SAVING, BuildState.CANCELLED)

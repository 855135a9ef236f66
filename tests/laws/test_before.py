"""Lines from before the audit, and accounts from before confirmed addresses, after an upgrade."""

import importlib
from datetime import timedelta
from types import SimpleNamespace

import pytest
from django.apps import apps
from django.db import DatabaseError, connection, transaction
from django.utils import timezone

from core.models import Event, record
from registration.tests.factories import UserFactory
from vms.tests.factories import VMFactory

pytestmark = pytest.mark.django_db


def fill_in() -> None:
    migration = importlib.import_module("core.migrations.0004_owners_of_before")
    migration.fill_in(apps, SimpleNamespace(connection=connection))


def test_old_lines_get_their_owner_and_name():
    alice, vm, other = UserFactory(username="alice"), VMFactory(name="web"), UserFactory()
    about_alice = record("account", alice.uuid, "moved", by=other)
    about_vm = record("vm", vm.uuid, "moved")
    fill_in()
    about_alice.refresh_from_db()
    about_vm.refresh_from_db()
    assert (about_alice.owner, about_alice.subject_name) == (alice, "alice")
    assert (about_vm.owner, about_vm.subject_name) == (vm.owner, "web")
    assert about_alice in Event.objects.visible_to(alice)


def test_lines_that_know_their_owner_and_those_of_others_stay():
    alice, bob = UserFactory(), UserFactory()
    now = record("account", alice.uuid, "moved", owner=bob.pk, label="as it was")
    handed_over = record("vm", VMFactory(owner_since=timezone.now()).uuid, "moved")
    nothing = record("image", alice.uuid, "moved")
    fill_in()
    for event, said in (
        (now, (bob, "as it was")),
        (handed_over, (None, "")),
        (nothing, (None, "")),
    ):
        event.refresh_from_db()
        assert (event.owner, event.subject_name) == said


def test_nobody_can_change_a_line_afterwards():
    event = record("account", UserFactory().uuid, "moved")
    fill_in()
    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
        Event.objects.filter(pk=event.pk).update(verb="other")


def test_whom_an_administrator_let_in_before_has_an_address_that_counts():
    long_ago = timezone.now() - timedelta(days=400)
    before = {"email_confirmed_at": None, "created_at": long_ago}
    old, suspended = UserFactory(**before), UserFactory(suspended=True, **before)
    waiting, elsewhere = UserFactory(confirmed=True, **before), UserFactory(source="x", **before)
    migration = importlib.import_module("registration.migrations.0012_addresses_of_before")
    migration.vouch(apps, None)
    for user, expected in (
        (old, long_ago), (suspended, long_ago), (waiting, None), (elsewhere, None),
    ):  # fmt: skip
        user.refresh_from_db()
        assert user.email_confirmed_at == expected

"""The audit: nothing in it changes, nothing in it is a secret, and who asked is told."""

import uuid

import pytest
from django.db import IntegrityError, connection, transaction

from core.audit import WITHHELD, without_secrets
from core.caller import Caller, called
from core.models import NOTHING, Event, Outcome, deny, record
from registration.tests.factories import UserFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def event():
    return record("thing", uuid.uuid4(), "done")


def refuses(sql, *values):
    refused = pytest.raises(IntegrityError, match="append-only")
    with refused, transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(sql, values)


def test_the_database_refuses_to_change_a_line(event):
    refuses("UPDATE core_event SET verb = 'other' WHERE id = %s", event.pk)
    with pytest.raises(IntegrityError), transaction.atomic():
        Event.objects.update(reason="")
    event.verb = "other"
    with pytest.raises(IntegrityError), transaction.atomic():
        event.save()


def test_the_database_refuses_to_delete_a_line(event):
    refuses("DELETE FROM core_event WHERE id = %s", event.pk)
    with pytest.raises(IntegrityError), transaction.atomic():
        Event.objects.all().delete()
    with pytest.raises(IntegrityError), transaction.atomic():
        event.delete()
    assert Event.objects.get() == event


@pytest.mark.skipif(connection.vendor != "sqlite", reason="a way that only SQLite has")
def test_a_line_is_not_replaced(event):
    columns = [field.column for field in Event._meta.fields]
    names = ", ".join(f'"{name}"' for name in columns)
    refuses(f"INSERT OR REPLACE INTO core_event ({names}) SELECT {names} FROM core_event")  # noqa: S608


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has no TRUNCATE")
def test_the_table_is_not_truncated(event):
    refuses("SET CONSTRAINTS ALL IMMEDIATE; TRUNCATE core_event")


@pytest.mark.django_db(transaction=True)
def test_between_tests_the_table_is_emptied_and_guarded_again():
    """The other half is every test that commits: it would leave its lines to the next."""
    assert not Event.objects.exists()
    refuses_after = record("thing", uuid.uuid4(), "done")
    refuses("DELETE FROM core_event WHERE id = %s", refuses_after.pk)


@pytest.mark.parametrize(
    "detail",
    [
        {"password": "open sesame"},
        {"new_password": "open sesame"},
        {"after": {"api-token": "open sesame"}},
        {"recovery_codes": ["open sesame"]},
        {"TOTP secret": "open sesame"},
        {"private_key": "open sesame"},
        {"note": "-----BEGIN OPENSSH PRIVATE KEY-----\nopen sesame"},
        {"list": [{"text": "slp_0123456789open sesame"}]},
        {"url": "otpauth://totp/open sesame"},
    ],
)
def test_what_looks_like_a_secret_is_left_out(detail):
    event = record("thing", uuid.uuid4(), "done", **detail)
    event.refresh_from_db()
    assert "open sesame" not in str(event.detail)
    assert WITHHELD in str(event.detail)


def test_what_is_no_secret_stays():
    detail = {
        "before": {"name": "a", "is_default": None}, "tokens": ["for the cluster"],
        "hint": "slp_abcd", "keyboard": "de", "has_password": True, "of_session": "192.0.2.1",
    }  # fmt: skip
    assert without_secrets(detail) == detail


def test_a_reason_holds_no_private_key_either():
    event = record("thing", uuid.uuid4(), "done", reason="-----BEGIN PRIVATE KEY----- abc")
    assert "abc" not in event.reason


def test_the_same_denial_is_written_once_a_minute(time_machine):
    bob, thing = UserFactory(), uuid.uuid4()
    time_machine.move_to("2026-01-01T12:00:00+00:00", tick=False)
    for _ in range(5):
        deny("thing", thing, "opened", by=bob)
    assert Event.objects.count() == 1
    deny("thing", thing, "removed", by=bob)
    deny("thing", thing, "opened", by=UserFactory())
    deny("thing", uuid.uuid4(), "opened", by=bob)
    assert Event.objects.count() == 4
    time_machine.shift(61)
    deny("thing", thing, "opened", by=bob)
    assert Event.objects.filter(outcome=Outcome.DENIED).count() == 5


def test_denials_of_visitors_are_told_apart_by_their_address():
    for address in ("192.0.2.1", "192.0.2.2", "192.0.2.1"):
        with called(Caller(door="page", address=address)):
            deny("page", NOTHING, "opened")
    assert Event.objects.count() == 2


def test_who_acts_for_somebody_is_named_with_them():
    administrator, alice = UserFactory(admin=True), UserFactory()
    known = Caller("page", "192.0.2.1", administrator=administrator.pk, acts_as=alice.pk)
    with called(known):
        event = record("thing", uuid.uuid4(), "done", by=alice, owner=alice.pk, label="a thing")
        deny("thing", event.subject, "opened", by=alice)
        deny("thing", event.subject, "opened", by=alice)
    assert (event.by, event.on_behalf_of) == (administrator, alice)
    assert (event.door, event.address, event.subject_name) == ("page", "192.0.2.1", "a thing")
    assert Event.objects.filter(outcome=Outcome.DENIED).count() == 1

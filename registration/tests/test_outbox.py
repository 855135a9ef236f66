"""Mails on their way: not lost, not blocked by each other, and given up in the end."""

import json
import logging
import os
import signal
import smtplib
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
import time_machine
from django.core import mail
from django.db import connection, transaction
from django.utils import timezone

from conftest import wait_for
from core.errors import Refused
from core.models import Event
from registration import actions, emails, outbox, tasks
from registration.models import OutgoingMail
from registration.sealing import seal, unseal
from registration.tests.factories import UserFactory
from registration.tests.postman import Postman, postman

pytestmark = pytest.mark.django_db

LINK = "http://portal.example/reset/a-secret/"


@pytest.fixture
def server(settings):
    with postman() as server:
        settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
        settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", server.port
        yield server


@pytest.fixture
def nobody_listens(settings):
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 9  # discard


def written(*addresses: str) -> list[OutgoingMail]:
    for address in addresses:
        emails.confirm(UserFactory(email=address), LINK)
    return list(OutgoingMail.objects.filter(to__in=addresses))


def test_a_mail_is_written_with_what_it_tells_of():
    with transaction.atomic():
        emails.received(UserFactory())
        transaction.set_rollback(True)
    assert not OutgoingMail.objects.exists()


def test_a_row_is_gone_when_its_mail_has_left():
    written("a@example.org")
    assert outbox.deliver() == 1
    assert [letter.to for letter in mail.outbox] == [["a@example.org"]]
    assert not OutgoingMail.objects.exists()


def test_what_opens_doors_is_sealed_in_the_table():
    (row,) = written("a@example.org")
    with connection.cursor() as cursor:
        cursor.execute("SELECT * FROM registration_outgoingmail")
        assert "a-secret" not in str(cursor.fetchall())
    assert LINK in json.loads(unseal(row.sealed))["text"]


def test_a_mail_to_nobody_is_written_as_any_other_and_not_sent():
    emails.reset(UserFactory(), "a-token", is_known=False)
    assert OutgoingMail.objects.count() == 1
    assert outbox.deliver() == 0
    assert mail.outbox == []
    assert not OutgoingMail.objects.exists()


def test_many_mails_take_one_connection_and_each_has_a_name_of_its_own(server):
    written(*(f"{number}@example.org" for number in range(5)))
    assert outbox.deliver() == 5
    assert server.sessions == 1
    assert len({letter["Message-ID"] for letter in server.taken}) == 5


def test_a_mail_server_that_is_down_loses_nothing(nobody_listens, settings, caplog):
    written("a@example.org", "b@example.org")
    assert outbox.deliver() == 0
    assert [record.message for record in caplog.records] == ["mail.failed"]
    tried, untried = OutgoingMail.objects.order_by("-tries")
    assert (tried.tries, untried.tries) == (1, 0)
    assert "refused" in tried.error.lower()
    with postman() as server, time_machine.travel(timezone.now() + timedelta(minutes=5)):
        settings.EMAIL_PORT = server.port
        assert outbox.deliver() == 2
    assert not OutgoingMail.objects.exists()


def test_pauses_grow_and_in_half_a_day_a_mail_is_given_up(nobody_listens):
    (row,) = written("a@example.org")
    began = timezone.now()
    pauses = []
    with time_machine.travel(began, tick=False) as clock:
        while row.next_try_at:
            outbox.deliver()
            row.refresh_from_db()
            if row.next_try_at:
                pauses.append(row.next_try_at - timezone.now())
                clock.move_to(row.next_try_at)
        took = timezone.now() - began
    assert pauses[:3] == [timedelta(seconds=30), timedelta(minutes=1), timedelta(minutes=2)]
    assert timedelta(hours=8) < took < timedelta(hours=24)
    assert row.tries == outbox.MOST_TRIES


def test_of_what_was_given_up_nothing_is_kept_that_opens_a_door(server):
    server.answers["gone@example.org"] = "550 no such mailbox"
    written("gone@example.org")
    outbox.deliver()
    (row,) = OutgoingMail.objects.given_up()
    assert (row.sealed, row.error) == ("", "550 no such mailbox")


def test_an_address_that_is_refused_holds_nobody_up(server):
    server.answers["gone@example.org"] = "550 no such mailbox"
    server.answers["full@example.org"] = "452 mailbox full"
    written("gone@example.org", "full@example.org", "fine@example.org")
    assert outbox.deliver() == 1
    assert [letter["To"] for letter in server.taken] == ["fine@example.org"]
    assert [row.to for row in OutgoingMail.objects.waiting()] == ["full@example.org"]


def test_a_mail_that_was_sealed_with_another_key_is_given_up(settings):
    written("a@example.org")
    settings.SECRET_KEY = "another one"
    assert outbox.deliver() == 0
    (row,) = OutgoingMail.objects.given_up()
    assert "secret key" in row.error


def test_who_took_a_mail_and_was_killed_leaves_it_to_the_next():
    written("a@example.org")
    taken = outbox._take()
    assert outbox.deliver() == 0
    with time_machine.travel(timezone.now() + outbox.LEASE + timedelta(seconds=1)):
        assert outbox.deliver() == 1
    assert mail.outbox[0].extra_headers["Message-ID"].startswith(f"<{taken.uuid}@")


def test_a_mail_that_kills_every_worker_is_given_up():
    (row,) = written("a@example.org")
    OutgoingMail.objects.update(tries=outbox.MOST_TRIES)
    assert outbox.deliver() == 0
    row.refresh_from_db()
    assert row.next_try_at is None


def test_two_that_look_at_once_send_once():
    written("a@example.org")
    first = outbox._take()
    assert first is not None
    assert outbox._take() is None


def test_what_was_given_up_is_forgotten_after_a_month():
    written("a@example.org")
    OutgoingMail.objects.update(next_try_at=None)
    tasks.tidy()
    assert OutgoingMail.objects.exists()
    with time_machine.travel(timezone.now() + timedelta(days=31)):
        tasks.tidy()
    assert not OutgoingMail.objects.exists()


def test_the_tasks_name_no_more_than_an_id(settings, django_capture_on_commit_callbacks, caplog):
    caplog.set_level(logging.WARNING)
    with django_capture_on_commit_callbacks(execute=True) as callbacks:
        (row,) = written("a@example.org")
    (callback,) = callbacks
    assert callback.args[1] == row.pk
    assert "a-secret" not in str(callback.args)


# What administrators see ------------------------------------------------------------------


@pytest.fixture
def refused(server):
    server.answers["gone@example.org"] = "550 no such mailbox"
    server.answers["full@example.org"] = "452 mailbox full"
    written("gone@example.org", "full@example.org")
    outbox.deliver()


def test_undelivered_mails_are_listed_tried_again_and_forgotten(
    refused, server: Postman, admin, signed_in
):
    client = signed_in(admin)
    assert "2 mails could not be delivered" in client.get("/mails/texts/").content.decode()
    page = client.get("/mails/undelivered/").content.decode()
    assert "550 no such mailbox" in page
    assert "given up" in page
    assert "a-secret" not in page
    server.answers.clear()
    assert client.post("/mails/undelivered/", {"act": "retry"}).status_code == 302
    assert outbox.deliver() == 1
    assert client.post("/mails/undelivered/", {"act": "forget"}).status_code == 302
    assert not OutgoingMail.objects.exists()
    assert "Every mail was delivered" in client.get("/mails/undelivered/").content.decode()
    verbs = list(Event.objects.filter(kind="mail").values_list("verb", flat=True))
    assert verbs == ["mails_retried", "mails_forgotten"]


@pytest.mark.parametrize("act", [actions.retry_mails, actions.forget_mails])
def test_only_administrators_touch_them(refused, alice, act):
    with pytest.raises(Refused):
        act(by=alice)


# A kill -----------------------------------------------------------------------------------

HANGS = """
import django; django.setup()
from registration import outbox
print("ready", flush=True)
outbox.deliver()
"""


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_a_worker_that_is_killed_in_the_middle_of_a_mail_loses_none(server, settings):
    (row,) = written("a@example.org")
    server.answers["a@example.org"] = "250-wait"  # and never a last line
    database = connection.settings_dict["NAME"]
    if connection.vendor != "sqlite":
        pytest.skip("The other process is told of the database by its file.")
    env = os.environ | {
        "DJANGO_SETTINGS_MODULE": "portal.settings",
        "DATABASE_URL": f"sqlite://{database}",
        "PORTAL_SECRET_KEY": settings.SECRET_KEY,
        "EMAIL_HOST": "127.0.0.1",
        "EMAIL_PORT": str(server.port),
    }
    process = subprocess.Popen(
        [sys.executable, "-c", HANGS], env=env, cwd=Path(__file__).parents[2]
    )
    wait_for(lambda: OutgoingMail.objects.get(pk=row.pk).tries == 1, within_s=30)
    process.send_signal(signal.SIGKILL)
    process.wait(10)
    server.answers.clear()
    assert outbox.deliver() == 0  # the dead one's lease
    with time_machine.travel(timezone.now() + outbox.LEASE + timedelta(seconds=1)):
        assert outbox.deliver() == 1
    assert [letter["To"] for letter in server.taken] == ["a@example.org"]
    assert not OutgoingMail.objects.exists()


def test_what_smtplib_says_is_told_in_words():
    error = smtplib.SMTPAuthenticationError(535, b"bad credentials")
    assert outbox._in_words(error) == "535 bad credentials"


@pytest.mark.parametrize("fields", [
    {"to": "bad\n@example.org"}, {"to": "two@at@example.org"},
    {"subject": "Two\nlines"}, {"reply_to": "a\rb@example.org"}, {"sealed": seal("no JSON")},
])  # fmt: skip
def test_a_mail_that_none_can_be_made_of_keeps_no_other_waiting(server, fields):
    bad, _ = written("bad@example.org", "good@example.org")
    OutgoingMail.objects.filter(pk=bad.pk).update(**fields)
    assert outbox.deliver() == 1
    assert [letter["To"] for letter in server.taken] == ["good@example.org"]
    bad.refresh_from_db()
    assert bad.next_try_at is None
    assert bad.error.startswith("No mail could be made of it: ")


@pytest.mark.parametrize(("name", "value"), [
    ("DEFAULT_FROM_EMAIL", "two@at@example.org"), ("EMAIL_USE_TLS", True),
])  # fmt: skip
def test_wrong_settings_cost_no_mail(server, settings, name, value):
    settings.EMAIL_USE_SSL = name == "EMAIL_USE_TLS"
    setattr(settings, name, value)
    (row,) = written("a@example.org")
    assert outbox.deliver() == 0
    row.refresh_from_db()
    assert row.next_try_at is not None
    assert row.error

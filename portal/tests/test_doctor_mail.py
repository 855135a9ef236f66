"""What the self-test says of mails that do not leave."""

from datetime import timedelta

import pytest
import time_machine
from django.core.exceptions import ImproperlyConfigured
from django.utils import timezone

from portal import env
from portal.doctor import Status, services
from registration.models import OutgoingMail

pytestmark = pytest.mark.django_db


def outgoing(**more):
    return OutgoingMail.objects.create(kind="received", to="a@example.org", **more)


def status() -> tuple[Status, str]:
    (check,) = services.outgoing_mail()
    return check.status, check.sentence


def test_mails_that_leave_at_once_are_no_trouble():
    outgoing()
    assert status()[0] == Status.OK


def test_mails_that_wait_long_are_a_fault_in_the_mail_servers_words():
    outgoing(error="452 mailbox full")
    with time_machine.travel(timezone.now() + timedelta(minutes=6)):
        found, sentence = status()
    assert found == Status.FAULT
    assert "452 mailbox full" in sentence


def test_mails_that_no_worker_tried_point_at_the_worker():
    outgoing()
    with time_machine.travel(timezone.now() + timedelta(minutes=6)):
        found, sentence = status()
    assert found == Status.FAULT
    assert "No worker" in sentence


def test_mails_that_were_given_up_are_a_warning():
    outgoing(next_try_at=None, error="550 no such mailbox")
    assert status()[0] == Status.WARNING


def test_how_administrators_are_told_has_two_words(monkeypatch):
    monkeypatch.setenv("PORTAL_REGISTRATION_MAILS", "weekly")
    with pytest.raises(ImproperlyConfigured, match="'weekly'; write each or daily"):
        env.choice("PORTAL_REGISTRATION_MAILS", "each", "daily")
    monkeypatch.delenv("PORTAL_REGISTRATION_MAILS")
    assert env.choice("PORTAL_REGISTRATION_MAILS", "each", "daily") == "each"

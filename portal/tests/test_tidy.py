"""Mails that stay in files do not stay for ever: they hold links, and what people wrote."""

from datetime import timedelta

import pytest
import time_machine
from django.core.mail import send_mail
from django.test import Client
from django.utils import timezone

from portal.tasks import tidy
from registration import mailbox
from registration.tests.factories import UserFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def files(settings, tmp_path):
    settings.EMAIL_BACKEND = "registration.filebased.EmailBackend"
    settings.EMAIL_FILE_PATH = tmp_path / "mails"
    return settings.EMAIL_FILE_PATH


def write(subject: str, days_ago: float) -> None:
    with time_machine.travel(timezone.now() - timedelta(days=days_ago)):
        send_mail(subject, "text", None, ["alice@example.org"])


def test_old_mails_are_deleted_and_others_stay(files, settings):
    settings.PORTAL_MAIL_DAYS = 10
    for subject, days_ago in (("old", 10.1), ("older", 400), ("young", 9.9), ("new", 0)):
        write(subject, days_ago)
    (files / "notes.txt").write_text("an administrator's own")
    tidy()
    assert [head.subject for head in mailbox.newest()] == ["new", "young"]
    assert len(list(files.iterdir())) == 3


def test_a_site_that_never_wrote_a_mail_is_tidied(files):
    tidy()
    assert not files.exists()


def test_the_page_says_how_long_mails_are_kept(files, settings):
    settings.PORTAL_MAIL_DAYS = 12
    write("hello", 0)
    client = Client()
    client.force_login(UserFactory(admin=True))
    assert "deleted after 12 days" in client.get("/mails/").text

"""One mail a day about who waits, instead of one for each."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from django.db import connections

from registration import digest, emails, tasks
from registration.models import Digest, OutgoingMail, QuotaWish
from registration.tests.factories import UserFactory

pytestmark = pytest.mark.django_db

MORNING = datetime(2026, 3, 2, 6, 5, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _daily(settings):
    settings.PORTAL_REGISTRATION_MAILS = "daily"


@pytest.fixture
def waiting(admin):
    with time_machine.travel(MORNING - timedelta(days=2), tick=False):
        QuotaWish.objects.create(owner=UserFactory(), machines=20, message="For a course.")
        return UserFactory(confirmed=True, given_name="Zoë", username="zoe")


def texts(posted) -> list[str]:
    """What a beat's ring has sent."""
    with posted() as mails:
        tasks.send_digest()
    return [mail.body for mail in mails]


@time_machine.travel(MORNING, tick=False)
def test_it_tells_every_administrator_who_waits_and_since_when(waiting, posted):
    UserFactory(admin=True)
    first, second = texts(posted)
    assert first == second
    assert "1 person waits for an account, and 1 wish for quota waits:" in first
    assert "- Zoë Zoe (zoe), zoe@example.org: for 2 days" in first
    assert "asks for 20 machines: for 2 days" in first
    assert "/registrations/" in first


def test_it_is_sent_once_a_day_whoever_rings(waiting, posted):
    with time_machine.travel(MORNING, tick=False) as clock:
        assert len(texts(posted)) == 1
        assert texts(posted) == []
        clock.shift(timedelta(hours=12))
        assert texts(posted) == []
        clock.shift(timedelta(hours=12))
        assert len(texts(posted)) == 1


def test_before_the_morning_and_when_nobody_waits_there_is_none(waiting, posted):
    with time_machine.travel(MORNING - timedelta(hours=1), tick=False):
        assert texts(posted) == []
    waiting.delete()
    QuotaWish.objects.all().delete()
    with time_machine.travel(MORNING, tick=False):
        assert texts(posted) == []


def test_a_beat_that_was_down_in_the_morning_sends_it_later(waiting, posted):
    with time_machine.travel(MORNING + timedelta(hours=9), tick=False):
        assert len(texts(posted)) == 1


@time_machine.travel(MORNING, tick=False)
def test_of_many_the_first_are_named_and_the_rest_counted(waiting, posted):
    UserFactory.create_batch(60, confirmed=True)
    (text,) = texts(posted)
    assert "61 people wait" in text
    assert "- and 12 more" in text
    assert text.index("Zoë") < text.index("and 12 more")


@pytest.mark.parametrize(("how", "count"), [("daily", 0), ("each", 1)])
def test_each_request_is_told_at_once_or_in_the_morning(settings, posted, admin, how, count):
    settings.PORTAL_REGISTRATION_MAILS = how
    wish = QuotaWish(owner=UserFactory(), machines=20, message="For a course.")
    with posted() as mails:
        emails.requested(UserFactory(confirmed=True), [admin])
    with posted() as more:
        emails.wish_asked(wish, [admin])
    assert (len(mails), len(more)) == (count, count)


@time_machine.travel(MORNING, tick=False)
def test_a_site_that_wants_each_mail_gets_no_digest(settings, waiting, posted):
    settings.PORTAL_REGISTRATION_MAILS = "each"
    assert texts(posted) == []


@pytest.mark.slow
@pytest.mark.at_once
@pytest.mark.django_db(transaction=True)
@time_machine.travel(MORNING, tick=True)
def test_two_beats_at_once_write_one(waiting):
    def write(_: int) -> int:
        try:
            return len(digest.write())
        finally:
            connections.close_all()

    with ThreadPoolExecutor(4) as threads:
        assert sorted(threads.map(write, range(4))) == [0, 0, 0, 1]
    assert OutgoingMail.objects.count() == 1


def test_days_long_past_are_forgotten():
    Digest.objects.create(day=MORNING.date() - timedelta(days=90))
    with time_machine.travel(MORNING, tick=False):
        tasks.tidy()
    assert not Digest.objects.exists()

"""What people are told, and how."""

import re
from datetime import timedelta

import pytest
import time_machine
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from core.errors import Refused
from core.models import Event
from registration import actions
from registration.lifecycle import forget_notifications
from registration.models import NoticeChoice, Notification, OutgoingMail
from registration.notices import NOTICES, Mail
from registration.tests.factories import UserFactory

pytestmark = pytest.mark.django_db

READY = "The machine web-1 is ready."


def tell(user, kind="machine_ready", sentence=READY, **more):
    with transaction.atomic():
        return actions.notify(user, kind, sentence=sentence, **more)


def tell_and_break(user):
    with transaction.atomic():
        actions.notify(user, "lease_ending", sentence="Its lease ends.")
        raise ZeroDivisionError


def test_a_notification_is_told_once_and_to_its_person_alone(alice, admin):
    note = tell(alice, url="/vms/", about=alice, boots=1)
    assert list(Notification.objects.visible_to(alice)) == [note]
    assert not Notification.objects.visible_to(admin).exists()
    assert (note.about_kind, note.about, note.data) == ("account", alice.uuid, {"boots": 1})
    assert not OutgoingMail.objects.exists()  # nobody asked for this kind by mail


def test_what_is_rolled_back_was_never_told(alice):
    with pytest.raises(ZeroDivisionError):
        tell_and_break(alice)
    assert not Notification.objects.exists()
    assert not OutgoingMail.objects.exists()


def test_mails_come_as_the_person_chose(alice, posted):
    with posted() as mails:
        tell(alice)
        tell(alice, "image_failed", "The disk of web-1 could not be saved.", url="/vms/")
    (mail,) = mails
    assert mail.to == [alice.email]
    assert "The disk of web-1 could not be saved." in mail.body
    assert "/profile/notifications/" in mail.body
    actions.choose_mails(alice, ["machine_ready"])
    with posted() as mails:
        tell(alice)
        tell(alice, "image_failed")
        tell(alice, "lease_ended", "It is halted.")
    assert sorted(mail.subject for mail in mails) == [
        "StratusLab: Lease ended",
        "StratusLab: Machine ready",
    ]


def test_a_kind_whose_mail_is_a_letter_of_its_own_sends_none(alice):
    tell(alice, "image_created")
    assert not OutgoingMail.objects.exists()
    assert actions.wants_mail(alice, "image_created")


def test_whoever_is_not_let_in_is_told_in_the_portal_alone():
    gone = UserFactory(suspended=True)
    tell(gone, "image_failed")
    assert Notification.objects.filter(owner=gone).exists()
    assert not OutgoingMail.objects.exists()


def test_choices_are_kept_as_differences_and_told_to_the_audit(alice):
    usual = [one.name for one in NOTICES.values() if one.mail == Mail.YES]
    actions.choose_mails(alice, usual)
    assert not NoticeChoice.objects.exists()
    actions.choose_mails(alice, usual[1:])
    assert list(NoticeChoice.objects.values_list("kind", "by_mail")) == [(usual[0], False)]
    assert Event.objects.filter(verb="notices_chosen", by=alice).count() == 1
    with pytest.raises(Refused, match="no notification called spam"):
        actions.choose_mails(alice, ["spam"])


def test_old_notifications_are_forgotten(alice, settings):
    settings.PORTAL_NOTIFICATION_DAYS = 30
    with time_machine.travel(timezone.now() - timedelta(days=31)):
        tell(alice)
    young = tell(alice)
    forget_notifications()
    assert list(Notification.objects.all()) == [young]


class TestPages:
    def test_the_bell_is_one_query_whatever_there_is(self, alice, signed_in):
        client = signed_in(alice)
        client.get("/notifications/bell/")
        with CaptureQueriesContext(
            connection,
        ) as before:
            assert "none unread" in client.get("/notifications/bell/").text
        for number in range(20):
            tell(alice, sentence=f"The machine web-{number} is ready.")
        with CaptureQueriesContext(connection) as after:
            page = client.get("/notifications/bell/").text
        assert len(after) == len(before)
        assert "20 unread. The latest: The machine web-19 is ready." in page
        assert page.count("bell-item") == 6

    def test_every_page_has_the_bell_for_one_query(self, alice, signed_in):
        client = signed_in(alice)
        tell(alice)
        with CaptureQueriesContext(connection) as queries:
            page = client.get("/profile/keys/").text
        assert 'aria-label="Notifications, 1 unread"' in page
        mine = [query for query in queries if "registration_notification" in query["sql"]]
        assert len(mine) == 1

    def test_the_history_is_filtered_and_has_pages(self, alice, signed_in):
        client = signed_in(alice)
        assert "Nothing to tell yet" in client.get("/notifications/").text
        for number in range(30):
            tell(alice, sentence=f"The machine web-{number} is ready.")
        old = tell(alice, "image_failed", "It failed.")
        actions.read_notifications(alice, only=old)
        assert "It failed." in client.get("/notifications/").text
        page = client.get("/notifications/?kind=image_failed").text.partition("<main")[2]
        assert len(re.findall(r'id="note-', page)) == 1
        page = client.get("/notifications/?unread=on&page=2").text.partition("<main")[2]
        assert len(re.findall(r'id="note-', page)) == 5
        filtered = client.get("/notifications/?unread=on&kind=image_failed").text
        assert "No notifications match" in filtered
        assert client.get("/notifications/?kind=nonsense&page=x").status_code == 200

    def test_the_history_asks_as_often_for_many_as_for_few(self, alice, signed_in):
        client = signed_in(alice)
        tell(alice)
        client.get("/notifications/")
        with CaptureQueriesContext(connection) as few:
            client.get("/notifications/")
        for _ in range(20):
            tell(alice)
        with CaptureQueriesContext(connection) as many:
            client.get("/notifications/")
        assert len(many) == len(few)

    def test_opening_one_reads_it_and_leads_on(self, alice, signed_in):
        note = tell(alice, url="/profile/", about=alice)
        answer = signed_in(alice).post(f"/notifications/{note.uuid}/open/")
        assert answer.url == "/profile/"
        note.refresh_from_db()
        assert note.read_at

    def test_what_is_gone_is_said_and_no_dead_end(self, alice, signed_in):
        other = UserFactory(username="bob")
        note = tell(alice, url="/users/gone/", about=other)
        answer = signed_in(alice).post(f"/notifications/{note.uuid}/open/", follow=True)
        assert answer.status_code == 200
        assert "bob is no longer there" in answer.text

    def test_marking_reads_one_or_all(self, alice, signed_in):
        client = signed_in(alice)
        one, two = tell(alice), tell(alice)
        client.post(f"/notifications/{one.uuid}/read/")
        assert list(Notification.objects.unread()) == [two]
        answer = client.post("/notifications/read/", {"next": "https://evil.example/"})
        assert answer.url == "/notifications/"
        assert not Notification.objects.unread().exists()

    def test_others_do_not_see_them(self, alice, admin, signed_in):
        note = tell(alice)
        assert signed_in(admin).post(f"/notifications/{note.uuid}/open/").status_code == 404
        with pytest.raises(Refused):
            actions.read_notifications(admin, only=note)

    def test_choosing_mails_on_the_page(self, alice, signed_in):
        client = signed_in(alice)
        page = client.get("/profile/notifications/").text
        assert re.search(r'value="image_failed"[^>]* checked', page)
        assert 'value="lease_ended"' not in page  # always
        client.post("/profile/notifications/", {"mail": ["machine_ready"]})
        page = client.get("/profile/notifications/").text
        assert re.search(r'value="machine_ready"[^>]* checked', page)
        assert not re.search(r'value="image_failed"[^>]* checked', page)

"""What endorsers and users of images are told by mail, once each."""

from datetime import timedelta

import pytest
import time_machine
from django.utils import timezone

from marketplace.actions import note_launch
from marketplace.lifecycle import reminders, telling
from marketplace.models import Entry, Reminder, Use
from marketplace.tests.factories import EntryFactory
from registration import emails
from registration.actions import choose_mails
from registration.tests.factories import UserFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def alice():
    return person("alice")


def person(name: str, **more):
    known = {"username": name, "email": f"{name}@example.org", "given_name": name.title()}
    return UserFactory(**known, email_confirmed_at=timezone.now(), **more)


def in_days(days: float):
    return timezone.now() + timedelta(days=days)


def sent(mailoutbox) -> list[tuple[str, str]]:
    """Addresses and subjects of what has left."""
    emails.settle()
    return [(mail.to[0], mail.subject.partition(": ")[2]) for mail in mailoutbox]


class TestEnds:
    def test_an_endorser_is_told_three_days_before_and_once(self, alice, mailoutbox):
        entry = EntryFactory(title="Debian 12", valid_until=in_days(10))
        assert reminders.remind() == 0
        with time_machine.travel(in_days(7.5)):
            assert reminders.remind() == 1
            assert reminders.remind() == 0
            assert [to for to, _ in sent(mailoutbox)] == ["alice@example.org"]
        body = mailoutbox[0].body
        assert "Dear Alice" in body
        assert f"Debian 12, until {entry.valid_until:%-d %B %Y}" in body
        assert entry.permalink in body

    def test_several_images_are_one_mail(self, alice, mailoutbox):
        for n in range(60):
            EntryFactory(title=f"Image no. {n}", valid_until=in_days(2))
        assert reminders.remind() == 1
        assert len(sent(mailoutbox)) == 1
        assert "and 10 more" in mailoutbox[0].body

    def test_what_was_extended_ends_anew(self, alice, mailoutbox):
        EntryFactory(content=b"one", valid_until=in_days(2))
        assert reminders.remind() == 1
        EntryFactory(content=b"one", valid_until=in_days(100), created_at=timezone.now())
        assert reminders.remind() == 0
        with time_machine.travel(in_days(98)):
            assert reminders.remind() == 1

    def test_what_is_over_deprecated_or_undated_is_no_news(self, alice):
        EntryFactory(valid_until=in_days(2), deprecated="Old.")
        EntryFactory(expired=True)
        EntryFactory(valid_until=None)
        assert reminders.remind() == 0

    def test_what_was_meant_to_end_soon_needs_no_mail(self, alice):
        EntryFactory(created_at=timezone.now().replace(microsecond=0), valid_until=in_days(2))
        assert reminders.remind() == 0

    def test_the_administrators_are_told_of_the_sites_own(self, alice, mailoutbox):
        person("admin", is_staff=True)
        EntryFactory(official=True, valid_until=in_days(2))
        assert reminders.remind() == 1
        assert [to for to, _ in sent(mailoutbox)] == ["admin@example.org"]

    def test_who_has_no_account_is_told_at_their_address(self, mailoutbox):
        EntryFactory(endorser_email="grid@example.net", valid_until=in_days(2))
        assert reminders.remind() == 1
        assert [to for to, _ in sent(mailoutbox)] == ["grid@example.net"]
        assert "Hello," in mailoutbox[0].body

    def test_who_no_longer_has_the_address_is_told_at_the_new_one(self, mailoutbox):
        EntryFactory(
            endorser_email="old@example.net", owner=person("carol"), valid_until=in_days(2)
        )
        assert reminders.remind() == 1
        assert [to for to, _ in sent(mailoutbox)] == ["carol@example.org"]

    def test_who_has_the_address_now_hears_of_no_private_image(self, mailoutbox):
        person("old")
        EntryFactory(
            endorser_email="old@example.org", owner=person("carol"), visibility="private",
            title="Secret", valid_until=in_days(2),
        )  # fmt: skip
        assert reminders.remind() == 1
        assert [to for to, _ in sent(mailoutbox)] == ["carol@example.org"]

    def test_an_account_that_is_suspended_is_not_told(self):
        EntryFactory(
            endorser_email="old@example.net", valid_until=in_days(2),
            owner=person("carol", state="suspended"),
        )  # fmt: skip
        assert reminders.remind() == 0

    def test_a_link_in_a_title_is_not_sent(self, alice, mailoutbox):
        entry = EntryFactory(title="See https://evil.example.com/", valid_until=in_days(2))
        reminders.remind()
        sent(mailoutbox)
        assert "evil" not in mailoutbox[0].body
        assert entry.identifier in mailoutbox[0].body


class TestLists:
    def test_nobody_gets_one_unless_the_site_wants_it(self, alice):
        EntryFactory()
        with time_machine.travel(in_days(60)):
            assert reminders.remind() == 0

    def test_it_comes_again_and_again(self, alice, settings, mailoutbox):
        settings.PORTAL_ENDORSER_DAYS = 30
        EntryFactory(title="Debian 12", valid_until=in_days(300))
        EntryFactory(title="Debian 13", valid_until=in_days(300))
        assert reminders.remind() == 0  # they have said it just now
        for days in (31, 62):
            with time_machine.travel(in_days(days)):
                assert reminders.remind() == 1
                assert reminders.remind() == 0
        with time_machine.travel(in_days(80)):
            assert reminders.remind() == 0
            assert len(sent(mailoutbox)) == 2
        assert "Debian 12" in mailoutbox[0].body
        assert "Debian 13" in mailoutbox[0].body


class TestDeprecated:
    def deprecate(self, entry: Entry, **more) -> Entry:
        known = {"identifier": entry.identifier, "endorser_email": entry.endorser_email}
        said = known | {"deprecated": "A hole in OpenSSH.", "title": entry.title} | more
        return EntryFactory(created_at=timezone.now().replace(microsecond=0), **said)

    def test_who_used_the_image_is_told_once(self, mailoutbox):
        entry = EntryFactory(title="Debian 12")
        note_launch(entry, person("bob"))
        note_launch(entry, person("carol"))
        assert telling.tell() == 0
        new = self.deprecate(entry, endorser_name="Alice Example")
        assert telling.tell() == 2
        assert telling.tell() == 0
        assert sorted(sent(mailoutbox)) == [
            ("bob@example.org", "The image Debian 12 is deprecated"),
            ("carol@example.org", "The image Debian 12 is deprecated"),
        ]
        body = mailoutbox[0].body
        assert "> A hole in OpenSSH." in body
        assert "Alice Example (alice@example.org)" in body
        assert new.permalink in body

    def test_who_used_it_long_ago_is_not_told(self):
        entry = EntryFactory()
        note_launch(entry, person("bob"))
        Use.objects.update(last_at=in_days(-91))
        self.deprecate(entry)
        assert telling.tell() == 0

    def test_what_replaces_it_is_named(self, mailoutbox):
        entry, other = EntryFactory(), EntryFactory(title="Debian 13")
        note_launch(entry, person("bob"))
        self.deprecate(entry, is_replaced_by=other.identifier)
        telling.tell()
        sent(mailoutbox)
        assert "recommends Debian 13" in mailoutbox[0].body

    def test_a_stranger_who_changes_their_mind_is_no_news(self):
        entry = EntryFactory()
        note_launch(entry, person("bob"))
        mallory = "mallory@example.com"
        theirs = EntryFactory(identifier=entry.identifier, endorser_email=mallory)
        self.deprecate(theirs)
        assert telling.tell() == 0
        self.deprecate(entry)
        assert telling.tell() == 1

    def test_only_who_launched_it_by_their_word_hears_of_it(self):
        entry = EntryFactory(expired=True)
        note_launch(entry, person("bob"))
        other = EntryFactory(identifier=entry.identifier, endorser_email="carol@example.org")
        note_launch(other, person("dave"))
        self.deprecate(other)
        assert telling.tell() == 1
        assert Reminder.objects.get().to.username == "dave"

    def test_who_deprecates_again_and_again_is_one_mail_a_week(self):
        entry = EntryFactory()
        note_launch(entry, person("bob"))
        for day in range(10):
            with time_machine.travel(in_days(day)):
                self.deprecate(entry, deprecated=f"Reason {day}.")
                assert telling.tell() == (1 if day in (0, 7) else 0)

    def test_a_link_in_a_reason_is_not_sent(self, mailoutbox):
        entry = EntryFactory()
        note_launch(entry, person("bob"))
        self.deprecate(entry, deprecated="Get the good one at https://evil.example.com/x")
        telling.tell()
        sent(mailoutbox)
        assert "evil" not in mailoutbox[0].body
        assert "read it on the page of the image" in mailoutbox[0].body

    def test_who_may_not_see_it_is_not_told_of_it(self):
        alice = person("alice")
        entry = EntryFactory(owner=alice, visibility="private")
        note_launch(entry, alice)
        note_launch(entry, person("bob"))
        self.deprecate(entry, owner=alice, visibility="private")
        assert telling.tell() == 1
        assert Reminder.objects.get().to == alice

    def test_old_news_is_no_news(self):
        entry = EntryFactory()
        self.deprecate(entry)
        note_launch(entry, person("bob"))
        with time_machine.travel(in_days(8)):
            assert telling.tell() == 0


class TestNotifications:
    def test_who_wants_no_mail_is_told_in_the_portal(self, alice, mailoutbox):
        EntryFactory(endorser_email=alice.email, valid_until=in_days(2), created_at=in_days(-9))
        choose_mails(alice, [])
        reminders.remind()
        assert sent(mailoutbox) == []
        (note,) = alice.notifications.all()
        assert note.kind == "entry_expiring"
        assert "What you vouch for ends soon" in note.sentence
        reminders.remind()
        assert alice.notifications.count() == 1

"""The owner of an address says yes, no or abuse to a document in their name."""

import re
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
import time_machine
from django.core import mail
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from core.errors import Refused
from core.machine import tick
from core.models import Event
from marketplace import pdisk
from marketplace.actions import Reader, confirming
from marketplace.judging import submit
from marketplace.lifecycle import PENDING_STEPS
from marketplace.models import Entry, Inspection, Pending
from marketplace.states import PENDING_FOR, PendingState, Visibility
from marketplace.tests.publishing import published, signed
from marketplace.tests.test_open_disks import SECRET, reported
from registration import emails
from registration.tests.factories import GroupFactory, MembershipFactory, UserFactory
from volumes.models import DiskType
from volumes.tests.factories import VolumeFactory

pytestmark = pytest.mark.django_db

ALICE = "alice@example.org"
NOW = timezone.now().replace(microsecond=0) - timedelta(days=1)
LINK = re.compile(r"/marketplace/confirm/([0-9a-f-]{36})/([\w-]+)/")


def link_sent_to(email: str) -> tuple[UUID, str]:
    """What the newest mail to this address leads to."""
    emails.settle()
    letter = next(one for one in reversed(mail.outbox) if one.to == [email])
    found = LINK.search(letter.body)
    assert found
    return UUID(found[1]), found[2]


@pytest.fixture
def link():
    assert isinstance(submit(signed(at=NOW), by=None, address="192.0.2.1"), Pending)
    return link_sent_to(ALICE)


@pytest.fixture
def page(link):
    return reverse("marketplace:confirm", args=link)


def test_the_mail_says_who_and_what_and_none_of_the_documents_words(link):
    letter = mail.outbox[-1]
    assert "\nSomebody without an account here (from 192.0.2.1) sent" in letter.body
    assert letter.subject.endswith("A document endorses an image in your name: is it yours?")
    assert f"signed on {NOW.day} {NOW:%B %Y, %H:%M:%S} UTC" in " ".join(letter.body.split())
    assert "endorses the image PcW9GNhE3-YFGQ0hPFsSrRla7Sb" in letter.body
    assert "Debian" not in letter.body + letter.subject
    pending = Pending.objects.get()
    assert link[1] not in pending.token_hash
    assert pending.state == PendingState.WAITING


def test_a_mail_about_a_deprecation_says_so():
    submit(signed(at=NOW, deprecated="Broken"), by=UserFactory(username="bob"))
    link_sent_to(ALICE)
    assert "It deprecates the image" in mail.outbox[-1].body
    assert "deprecates an image" in mail.outbox[-1].subject
    assert "Jane Bob (bob) sent" in mail.outbox[-1].body


def test_looking_at_the_link_changes_nothing(client, page):
    for _ in range(2):
        answer = client.get(page)
        assert answer.status_code == 200
        assert b"Is this endorsement yours?" in answer.content
        assert b"Debian 12 minimal" in answer.content
    assert "no-store" in answer["Cache-Control"]
    assert not Entry.objects.exists()


def test_who_confirms_is_told_that_the_validity_is_over(client):
    submit(signed(at=NOW, valid=NOW - timedelta(days=2)), by=None, address="192.0.2.1")
    answer = client.get(reverse("marketplace:confirm", args=link_sent_to(ALICE)))
    assert b"Its validity is over" in answer.content


def test_yes_publishes_it_for_everybody(client, page):
    answer = client.post(page, {"answer": "yes"})
    assert b"It is published" in answer.content
    entry = Entry.objects.get()
    assert Pending.objects.get().entry == entry
    assert (entry.visibility, entry.owner) == ("public", None)
    assert Event.objects.filter(verb="confirmed_by_endorser").count() == 1
    assert b"It is published" in client.get(page).content  # and once more, nothing happens
    assert b"already" in client.post(page, {"answer": "no"}).content
    assert Pending.objects.get().state == PendingState.CONFIRMED


def test_the_entry_is_theirs_who_have_the_address(link):
    bob, alice = UserFactory(username="bob"), UserFactory(email="Alice@Example.org")
    Pending.objects.update(owner=bob)
    assert confirming.confirm_document(*link).owner == alice


def test_what_its_sender_took_back_has_no_question_left(client, page):
    Pending.objects.update(state=PendingState.WITHDRAWN)
    assert b"It was taken back" in client.get(page).content
    assert client.post(page, {"answer": "yes"}).status_code == 422
    assert not Entry.objects.exists()


def test_no_publishes_nothing(client, page):
    assert b"It is not published" in client.post(page, {"answer": "no"}).content
    assert not Entry.objects.exists()
    assert client.post(page, {"answer": "yes"}).status_code == 422
    assert not Entry.objects.exists()


def test_abuse_publishes_nothing_and_tells_the_administrators(client, page):
    admin = UserFactory(admin=True)
    assert b"The administrators know" in client.post(page, {"answer": "abuse"}).content
    emails.settle()
    letter = mail.outbox[-1]
    assert letter.to == [admin.email]
    assert ALICE in letter.subject
    assert str(Pending.objects.get().uuid) in letter.body
    assert not Entry.objects.exists()


def test_another_answer_is_none(client, page):
    assert client.post(page, {"answer": "perhaps"}).status_code == 404
    assert Pending.objects.get().state == PendingState.WAITING


def test_a_link_of_our_own_making_opens_nothing(client, link):
    key, token = link
    for wrong in ((key, "x" * 43), (uuid4(), token)):
        answer = client.post(reverse("marketplace:confirm", args=wrong), {"answer": "yes"})
        assert answer.status_code == 404
        assert b"no longer good" in answer.content
    assert not Entry.objects.exists()


def test_the_link_is_good_for_three_days(client, page):
    with time_machine.travel(timezone.now() + PENDING_FOR + timedelta(minutes=1)):
        assert b"time to answer is over" in client.get(page).content
        assert client.post(page, {"answer": "yes"}).status_code == 422
        assert not Entry.objects.exists()
        tick(Pending.objects.get(), PENDING_STEPS)
    pending = Pending.objects.get()
    assert pending.state == PendingState.LAPSED
    assert "Nobody confirmed it within" in pending.reason
    assert b"time to answer is over" in client.get(page).content


def test_a_document_that_waits_goes_on_waiting(page):
    tick(Pending.objects.get(), PENDING_STEPS)
    assert Pending.objects.get().state == PendingState.WAITING


def test_a_later_word_that_came_meanwhile_is_told_and_it_waits_still(client, page):
    published(at=NOW + timedelta(hours=1))
    answer = client.post(page, {"answer": "yes"})
    assert answer.status_code == 422
    assert b"older than latest entry" in answer.content
    assert Pending.objects.get().state == PendingState.WAITING


def test_the_same_document_again_sends_no_second_mail_at_once(link):
    submit(signed_again(), by=None, address="192.0.2.9")
    emails.settle()
    assert Pending.objects.count() == len(mail.outbox) == 1


def test_a_mail_that_got_lost_is_sent_again_later_and_its_link_is_the_one(link):
    xml = signed_again()
    with time_machine.travel(timezone.now() + timedelta(minutes=11)):
        submit(xml, by=None, address="192.0.2.9")
        fresh = link_sent_to(ALICE)
        assert fresh[0] == link[0]
        with pytest.raises(Refused, match="newer mail"):
            confirming.confirm_document(*link)
        confirming.confirm_document(*fresh)


def signed_again() -> bytes:
    return bytes(Pending.objects.get().xml)


def test_strangers_cannot_flood_an_address():
    for number in range(10):
        submit(signed(f"image {number}".encode(), at=NOW), by=None, address=f"192.0.2.{number}")
    with pytest.raises(Refused, match="10 mails") as refused:
        submit(signed(b"one more", at=NOW), by=None, address="192.0.2.200")
    assert refused.value.code == "too_many_mails"


def test_a_sender_who_is_refused_uses_up_nobodys_mails():
    def send(content: str, to: str, address: str = "192.0.2.1", by=None) -> None:
        submit(signed(content.encode(), at=NOW, email=to), by=by, address=address)

    for number in range(10):
        send(f"spam {number}", "spam@example.org")
    for number in range(11):
        with pytest.raises(Refused, match="were sent by you"):
            send(f"image {number}", ALICE)
    send("image", ALICE, address="192.0.2.2")


def test_strangers_do_not_keep_people_from_asking():
    for number in range(10):
        submit(signed(f"image {number}".encode(), at=NOW), by=None, address=f"192.0.2.{number}")
    assert isinstance(submit(signed(at=NOW), by=UserFactory(username="bob")), Pending)


def test_a_person_without_an_account_is_led_through(client, page):
    text = client.get(page).content.decode()
    assert "Somebody without an account here" in text
    assert text.count("csrfmiddlewaretoken") >= 3


class TestOfTheirOwnDisk:
    """What everybody would get with the document is looked into, and read, before."""

    @pytest.fixture
    def disk(self):
        holder = UserFactory(username="alice", email=ALICE)
        return VolumeFactory(owner=holder, type=DiskType.MACHINE_IMAGE_ORIGIN)

    @staticmethod
    def page_for(disk, **more) -> str:
        xml = signed(at=NOW, kind="machine", locations=(pdisk.address_of(disk.uuid),), **more)
        assert isinstance(submit(xml, by=None, address="192.0.2.1"), Pending)
        return reverse("marketplace:confirm", args=link_sent_to(ALICE))

    def test_it_is_theirs_alone_until_they_have_read_the_report(self, client, disk):
        page = self.page_for(disk)
        answer = client.post(page, {"answer": "yes"})
        entry = Entry.objects.get()
        assert (entry.visibility, entry.owner) == ("private", disk.owner)
        assert Inspection.objects.get(volume=disk).is_moving
        said = answer.content.decode()
        assert "It is published" in said
        assert "Everybody can read it." not in said
        assert reverse("marketplace:readers", args=[entry.uuid]) in said
        assert Pending.objects.get().state == PendingState.CONFIRMED

    def test_what_was_found_keeps_it_so(self, client, disk):
        reported(disk, findings=SECRET)
        client.post(self.page_for(disk), {"answer": "yes"})
        assert Entry.objects.get().visibility == "private"

    def test_of_a_clean_disk_nothing_is_told(self, client, disk):
        reported(disk)
        answer = client.post(self.page_for(disk), {"answer": "yes"})
        assert Entry.objects.get().visibility == "public"
        assert b"Everybody can read it." in answer.content

    def test_what_a_group_reads_already_it_goes_on_to_read(self, client, disk):
        group = GroupFactory()
        MembershipFactory(group=group, user=disk.owner)
        readers = Reader(visibility=Visibility.GROUP, group=group)
        published(at=NOW - timedelta(days=1), owner=disk.owner, readers=readers)
        client.post(self.page_for(disk), {"answer": "yes"})
        entry = Entry.objects.get(is_latest=True)
        assert (entry.visibility, entry.group) == ("group", group)

    def test_where_everybody_reads_their_last_word_it_waits(self, client, disk):
        """It cannot be for them alone: everybody would go on with what they stand by no more."""
        published(at=NOW - timedelta(days=1))
        page = self.page_for(disk)
        answer = client.post(page, {"answer": "yes"})
        assert answer.status_code == 422
        assert b"looks into it first" in answer.content
        assert b'name="knows"' not in answer.content
        report = reported(disk, findings=SECRET)
        answer = client.post(page, {"answer": "yes"})
        assert b'name="knows"' in answer.content
        assert report.get_absolute_url() in answer.content.decode()
        assert Entry.objects.count() == 1
        client.post(page, {"answer": "yes", "knows": "on"})
        assert Entry.objects.get(is_latest=True).visibility == "public"

    def test_who_waits_for_an_administrator_is_told(self, client, disk, settings):
        settings.PORTAL_PUBLISH_APPROVAL = True
        reported(disk)
        answer = client.post(self.page_for(disk), {"answer": "yes"})
        assert b"This site asks an administrator" in answer.content
        assert b"Everybody can read it." not in answer.content


def test_an_answer_needs_its_page(page):
    strict = Client(enforce_csrf_checks=True)
    assert strict.post(page, {"answer": "yes"}).status_code == 403
    assert not Entry.objects.exists()

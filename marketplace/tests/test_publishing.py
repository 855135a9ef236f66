"""The one way into the catalogue, and what it says no to."""

from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.hashes import SHA256
from django.template.loader import render_to_string
from django.utils import timezone

from core.errors import Refused
from core.models import Event
from marketplace import documents
from marketplace.documents import Broken
from marketplace.models import Document, Entry, SigningKey
from marketplace.publishing import Reader, common_name, publish_document
from marketplace.states import Trust, Visibility
from marketplace.tests.publishing import metadata_about, published, signed, signer_named
from registration.tests.factories import GroupFactory, MembershipFactory, UserFactory

pytestmark = pytest.mark.django_db

NOW = timezone.now().replace(microsecond=0) - timedelta(days=1)


def test_a_signed_document_is_an_entry_to_the_byte():
    xml = signed(at=NOW, title="Debian", description="Small. Really.")
    entry = publish_document(xml, owner=None)
    assert (entry.title, entry.description) == ("Debian", "Small. Really.")
    assert entry.created_at == NOW
    assert entry.is_latest
    assert entry.trust == Trust.UNTRUSTED
    assert bytes(entry.document.xml) == xml
    assert entry.document.algorithm == "rsa-sha256"
    assert entry.document.not_after
    event = Event.objects.get(subject=entry.uuid)
    assert event.verb == "endorsed"


def test_the_same_bytes_again_are_the_same_entry():
    xml = signed(at=NOW)
    entry = publish_document(xml, owner=None)
    assert publish_document(xml, owner=None) == entry
    assert Entry.objects.count() == Document.objects.count() == 1


def test_the_same_bytes_are_the_same_entry_after_a_later_word_too():
    xml = signed(at=NOW)
    first = publish_document(xml, owner=None)
    published(at=NOW + timedelta(hours=1))
    assert publish_document(xml, owner=None) == first
    assert Entry.objects.count() == 2


def test_what_is_around_the_signed_document_makes_no_other_entry():
    xml = signed(at=NOW)
    first = publish_document(xml, owner=None)
    (alone,) = documents.split_list(b"".join(documents.wrap_list([xml])))
    assert alone != xml
    assert publish_document(alone, owner=None) == first
    assert publish_document(xml + b"<!-- by mail -->", owner=None) == first
    assert bytes(first.document.xml) == xml


def test_a_later_word_replaces_and_the_earlier_one_stays():
    first = published(at=NOW)
    second = published(at=NOW + timedelta(seconds=1), title="New")
    first.refresh_from_db()
    assert (first.is_latest, second.is_latest) == (False, True)
    assert [one.title for one in Entry.objects.history()] == ["New", "Debian 12 minimal"]


def test_an_older_word_is_refused():
    published(at=NOW)
    with pytest.raises(Refused, match="older than latest entry") as refused:
        published(at=NOW - timedelta(seconds=1))
    assert refused.value.code == "older"
    assert Entry.objects.get().is_latest


def test_other_words_at_the_same_second_are_refused():
    published(at=NOW)
    with pytest.raises(Refused, match="a second of its own") as refused:
        published(at=NOW, title="Another")
    assert refused.value.code == "taken"


def test_two_endorsers_have_a_last_word_each():
    for email in ("alice@example.org", "bob@example.org"):
        published(email=email, at=NOW)
    assert Entry.objects.filter(is_latest=True).count() == 2


def test_a_word_of_tomorrow_would_silence_its_endorser_and_is_refused():
    with pytest.raises(Refused, match="still to come") as refused:
        published(at=timezone.now().replace(microsecond=0) + timedelta(hours=2))
    assert refused.value.code == "in_future"
    published(at=timezone.now().replace(microsecond=0) + timedelta(minutes=10))  # a clock is ahead


def test_a_changed_letter_is_not_published():
    xml = signed(at=NOW).replace(b"debian", b"gentoo", 1)
    with pytest.raises(Broken):
        publish_document(xml, owner=None)
    assert not Entry.objects.exists()


def test_an_unsigned_document_is_not_published():
    with pytest.raises(Broken, match="no signature"):
        publish_document(documents.write(metadata_about(b"hello")), owner=None)


def test_private_and_shared_entries_are_seen_by_their_readers_alone():
    alice, bob, carol = UserFactory(), UserFactory(), UserFactory()
    group = GroupFactory()
    MembershipFactory(group=group, user=bob)
    readers = Reader(visibility=Visibility.PRIVATE)
    private = published(b"one", owner=alice, readers=readers, at=NOW)
    readers = Reader(visibility=Visibility.GROUP, group=group)
    shared = published(b"two", owner=alice, readers=readers, at=NOW)
    assert set(Entry.objects.visible_to(alice)) == {private, shared}
    assert set(Entry.objects.visible_to(bob)) == {shared}
    assert not Entry.objects.visible_to(carol).exists()


def test_what_a_key_of_the_site_has_signed_is_trusted():
    signer = signer_named("alice@example.org")
    xml = signed(signer=signer, at=NOW)
    assert publish_document(xml, owner=None).trust == Trust.UNTRUSTED
    SigningKey.objects.create(
        slot="site", email="alice@example.org", certificate="", sealed="", subject="CN=Site",
        fingerprint=signer.certificate.fingerprint(SHA256()).hex(), not_after=timezone.now(),
    )  # fmt: skip
    entry = published(signer=signer, at=NOW + timedelta(seconds=1))
    assert entry.trust == Trust.TRUSTED
    assert entry.document.detail == "The key is kept by this site for itself."


@pytest.mark.parametrize(
    ("subject", "name"),
    [
        ("CN=Alice Example,O=Example Lab", "Alice Example"),
        (r"O=Lab,CN=Doe\, Jane", "Doe, Jane"),
        ("cn=Bob+UID=7,O=Lab", "Bob"),
        ("O=Lab", ""),
    ],
)
def test_the_name_of_an_endorser_is_the_certificates(subject, name):
    assert common_name(subject) == name


def test_the_name_in_a_certificate_is_shown_without_what_nobody_sees():
    assert common_name("CN=Strat\u202eus\u200bLab,O=Lab") == "Strat us Lab"


def test_a_name_that_nobody_vouches_for_is_not_shown_for_the_address():
    """Anybody can write any name into a certificate of their own."""
    signer = signer_named("m@example.org", name="Official (this site)")
    entry = published(signer=signer, email="m@example.org")
    told = render_to_string("marketplace/_trust.html", {"entry": entry})
    assert "m@<wbr>example.org <span" in told
    assert "certificate unknown" in told
    assert "Official" not in told


def test_two_spellings_of_an_address_are_one_endorser():
    first = published(at=NOW, email="Alice@example.org")
    later = published(at=NOW + timedelta(hours=1), email="alice@example.org")
    first.refresh_from_db()
    assert (first.endorser_email, first.is_latest) == ("alice@example.org", False)
    assert b"Alice@example.org" in bytes(first.document.xml)
    assert later.is_latest


def test_the_last_word_reaches_all_who_read_the_one_before():
    group = GroupFactory()
    of_group = Reader(visibility=Visibility.GROUP, group=group)
    only_mine = Reader(visibility=Visibility.PRIVATE)
    published(at=NOW, readers=only_mine)
    published(at=NOW + timedelta(hours=1), readers=of_group)
    for readers in (only_mine, Reader(visibility=Visibility.GROUP, group=GroupFactory())):
        with pytest.raises(Refused) as refusal:
            published(at=NOW + timedelta(hours=2), readers=readers)
        assert refusal.value.code == "fewer_readers"
    published(at=NOW + timedelta(hours=2), readers=of_group)
    published(at=NOW + timedelta(hours=3))
    with pytest.raises(Refused, match="Everybody can read what"):
        published(at=NOW + timedelta(hours=4), readers=of_group)

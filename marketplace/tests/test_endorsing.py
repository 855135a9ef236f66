"""What endorsers say of images, signed: with a kept key, a file of theirs, the site's own."""

import logging
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.serialization import pkcs12
from django.utils import timezone

from core.caller import Caller, called
from core.errors import Refused
from core.models import Event
from marketplace import actions, documents
from marketplace.actions import endorsing
from marketplace.actions.endorsing import deprecate
from marketplace.models import Entry
from marketplace.states import EntryStatus, Trust, Visibility
from marketplace.tests.drafting import endorser
from marketplace.tests.factories import EntryFactory
from registration.tests.factories import GroupFactory, MembershipFactory, UserFactory

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.slow,
    pytest.mark.usefixtures("quick_keys"),
]
SOON = timedelta(days=30)


@pytest.fixture
def ada(db):
    user = endorser()
    actions.new_key(user, user)
    return user


@pytest.fixture
def bob(db):
    user = endorser("bob")
    actions.new_key(user, user)
    return user


@pytest.fixture
def boss(db):
    return UserFactory(username="boss", admin=True)


@pytest.fixture
def said(ada):
    """A signed entry of Ada's."""
    return publish(ada)


def publish(user, **columns) -> Entry:
    unsigned = EntryFactory.build(locations=["https://images.example.org/x.img"], **columns)
    pen = actions.pen_of_key(user)
    return actions.sign_and_publish(
        endorsing.metadata_of(unsigned), signer=pen.signer, email=pen.email, owner=user, by=user
    )


def p12_of(user, password: bytes = b"secret") -> bytes:
    """A file as people have it: here, of the key that the portal made."""
    signer = actions.signer_of(actions.key_of(user))
    how = serialization.BestAvailableEncryption(password)
    return pkcs12.serialize_key_and_certificates(b"me", signer.key, signer.certificate, None, how)


def test_what_is_signed_is_an_entry_with_its_document(ada, said):
    assert said.endorser_email == ada.email
    assert said.endorser_name == "Ada Lovelace"
    assert said.trust == Trust.TRUSTED
    assert said.owner == ada
    xml = bytes(said.document.xml)
    assert documents.verify(xml).fingerprint == actions.key_of(ada).fingerprint
    assert said.created_at.microsecond == 0


def test_a_second_word_is_a_second_later_at_least(ada, said):
    again = [
        endorsing.extend(said, by=ada, until=timezone.now() + SOON, pen=actions.pen_of_key(ada))
    ]
    again.append(
        endorsing.extend(again[0], by=ada, until=timezone.now() + SOON, pen=actions.pen_of_key(ada))
    )
    moments = [entry.created_at for entry in (said, *again)]
    assert moments == sorted(set(moments))
    said.refresh_from_db()
    assert not said.is_latest
    assert again[1].is_latest


def test_a_deprecated_image_says_why_and_its_history_stays(ada, said):
    pen = actions.pen_of_key(ada)
    over = deprecate(said, by=ada, reason="  It has a hole.\n Use the newer one. ", pen=pen)
    assert over.status is EntryStatus.DEPRECATED
    assert over.deprecated == "It has a hole. Use the newer one."
    assert b"slterms:deprecated" in bytes(over.document.xml)
    assert Entry.objects.filter(identifier=said.identifier).count() == 2
    assert Event.objects.of(over.uuid).get().verb == "deprecated"


def test_a_deprecation_needs_a_reason_and_happens_once(ada, said):
    pen = actions.pen_of_key(ada)
    with pytest.raises(Refused) as refused:
        deprecate(said, by=ada, reason="  ", pen=pen)
    assert refused.value.field == "reason"
    over = deprecate(said, by=ada, reason="Old.", pen=pen)
    with pytest.raises(Refused) as refused:
        deprecate(over, by=ada, reason="Older.", pen=pen)
    assert refused.value.code == "deprecated"
    said.refresh_from_db()
    with pytest.raises(Refused) as refused:
        deprecate(said, by=ada, reason="Older.", pen=pen)
    assert refused.value.code == "not_latest"


def test_validity_is_extended_to_a_day_ahead(ada, said):
    pen, until = actions.pen_of_key(ada), timezone.now() + timedelta(days=183)
    longer = endorsing.extend(said, by=ada, until=until, pen=pen)
    assert longer.valid_until == until.replace(microsecond=0)
    assert (longer.title, longer.sha512) == (said.title, said.sha512)
    for never in (timezone.now() - SOON, timezone.now() + timedelta(days=3650)):
        with pytest.raises(Refused) as refused:
            endorsing.extend(longer, by=ada, until=never, pen=pen)
        assert refused.value.code == "until"


def test_nobody_speaks_for_another_endorser(ada, bob, boss, said):
    pen = actions.pen_of_key(bob)
    for act in (
        lambda: deprecate(said, by=bob, reason="Mine is better.", pen=pen),
        lambda: endorsing.extend(said, by=bob, until=timezone.now() + SOON, pen=pen),
        lambda: deprecate(said, by=boss, reason="No.", pen=actions.pen_of_site(boss)),
        lambda: deprecate(said, by=bob, reason="No.", pen=actions.pen_of_key(ada)),
    ):
        with pytest.raises(Refused) as refused:
            act()
        assert refused.value.code == "not_the_endorser"


def test_somebody_elses_image_is_endorsed_beside_its_first_entry(ada, bob, said):
    pen = actions.pen_of_key(bob)
    second = endorsing.endorse_again(said, by=bob, until=timezone.now() + SOON, pen=pen)
    assert second.endorser_email == bob.email
    assert second.identifier == said.identifier
    assert second.owner == bob
    said.refresh_from_db()
    assert said.is_latest
    with pytest.raises(Refused) as refused:
        endorsing.endorse_again(second, by=bob, until=timezone.now() + SOON, pen=pen)
    assert refused.value.code == "own_entry"


def test_what_a_group_reads_is_not_opened_by_endorsing_it_again(ada, bob, said):
    group = GroupFactory()
    for user in (ada, bob):
        MembershipFactory(group=group, user=user)
    readers = actions.reader(Visibility.GROUP, group, by=ada)
    actions.set_readers(said, by=ada, readers=readers)
    pen = actions.pen_of_key(bob)
    second = endorsing.endorse_again(said, by=bob, until=timezone.now() + SOON, pen=pen)
    assert (second.visibility, second.group) == (Visibility.GROUP, group)


def test_an_entry_without_a_document_is_said_again_from_what_is_known(bob):
    shown = EntryFactory(title="Imported", min_memory_mib=512, inbound_ports=[22, 80])
    pen = actions.pen_of_key(bob)
    second = endorsing.endorse_again(shown, by=bob, until=timezone.now() + SOON, pen=pen)
    same = ("title", "os", "sha1", "size_bytes", "min_memory_mib", "inbound_ports", "default_user")
    assert [getattr(second, name) for name in same] == [getattr(shown, name) for name in same]


def test_an_entry_that_states_no_sha1_cannot_be_signed(bob):
    shown = EntryFactory(identifier="_" + "a" * 26, sha1="")
    with pytest.raises(Refused) as refused:
        endorsing.endorse_again(
            shown, by=bob, until=timezone.now() + SOON, pen=actions.pen_of_key(bob)
        )
    assert refused.value.code == "no_sha1"


# Pens -----------------------------------------------------------------------------------


def test_the_sites_key_makes_official_entries_in_an_administrators_hand(ada, boss, said):
    with pytest.raises(Refused):
        actions.pen_of_site(ada)
    pen = actions.pen_of_site(boss)
    entry = endorsing.endorse_again(said, by=boss, until=timezone.now() + SOON, pen=pen)
    assert entry.is_official
    assert entry.owner is None
    assert entry.endorser_email == actions.site_address()
    over = deprecate(entry, by=boss, reason="Old.", pen=actions.pen_of_site(boss))
    assert over.is_official
    assert over.deprecated == "Old."


def test_a_file_signs_and_is_forgotten(ada, said, caplog):
    with caplog.at_level(logging.DEBUG):
        pen = actions.pen_of_file(p12_of(ada), "secret", user=ada)
        over = deprecate(said, by=ada, reason="Old.", pen=pen)
    assert over.status is EntryStatus.DEPRECATED
    assert "secret" not in caplog.text
    assert "secret" not in repr(pen)
    assert "PRIVATE" not in repr(pen)


@pytest.mark.parametrize(
    ("data", "password", "code"),
    [
        (b"", "", "file_missing"),
        (b"not a certificate", "", "file_unreadable"),
        (b"x" * (300 << 10), "", "file_large"),
    ],
)
def test_a_file_that_is_none_is_refused(ada, data, password, code):
    with pytest.raises(Refused) as refused:
        actions.pen_of_file(data, password, user=ada)
    assert refused.value.code == code


def test_a_wrong_password_is_refused(ada):
    with pytest.raises(Refused) as refused:
        actions.pen_of_file(p12_of(ada), "wrong", user=ada)
    assert refused.value.code == "file_unreadable"
    assert "password" in str(refused.value)


def test_a_key_of_a_former_address_signs_nothing(ada):
    ada.email = "countess@example.org"
    ada.save()
    with pytest.raises(Refused) as refused:
        actions.pen_of_key(ada)
    assert refused.value.code == "key_address"


def test_whoever_has_no_key_is_told_how_to_get_one():
    with pytest.raises(Refused) as refused:
        actions.pen_of_key(endorser("eve"))
    assert refused.value.code == "key_missing"


def test_nobody_signs_in_anothers_place(ada, boss):
    acting = Caller(administrator=boss.pk, acts_as=ada.pk)
    with called(acting), pytest.raises(Refused) as refused:
        actions.pen_of_key(ada)
    assert refused.value.code == "acting"
    with called(acting), pytest.raises(Refused) as refused:
        actions.pen_of_file(p12_of(ada), "secret", user=ada)
    assert refused.value.code == "acting"


def test_certificates_of_the_site_lead_to_its_own(ada, said):
    signature = documents.verify(bytes(said.document.xml))
    site = x509.load_pem_x509_certificate(actions.site_key().certificate.encode())
    signature.certificate.verify_directly_issued_by(site)


# Readers --------------------------------------------------------------------------------


def test_an_entry_is_closed_and_opened_with_its_history(ada, bob, said):
    newer = endorsing.extend(said, by=ada, until=timezone.now() + SOON, pen=actions.pen_of_key(ada))
    private = actions.reader(Visibility.PRIVATE, None, by=ada)
    actions.set_readers(newer, by=ada, readers=private)
    assert not Entry.objects.visible_to(bob).filter(identifier=said.identifier).exists()
    event = Event.objects.of(newer.uuid).last()
    assert event.verb == "readers_changed"
    assert event.detail["after"] == {"visibility": "private", "group": ""}
    actions.set_readers(newer, by=ada, readers=actions.EVERYBODY)
    assert Entry.objects.visible_to(bob).filter(identifier=said.identifier).count() == 2


def test_what_is_said_later_has_the_same_readers(ada, said):
    actions.set_readers(said, by=ada, readers=actions.reader("private", None, by=ada))
    said.refresh_from_db()
    pen = actions.pen_of_key(ada)
    newer = endorsing.extend(said, by=ada, until=timezone.now() + SOON, pen=pen)
    assert newer.visibility == Visibility.PRIVATE


def test_only_an_entrys_owner_says_who_reads_it(ada, bob, boss, said):
    for other in (bob, boss):
        with pytest.raises(Refused) as refused:
            actions.set_readers(said, by=other, readers=actions.EVERYBODY)
        assert refused.value.code == "not_yours"


def test_a_group_is_one_that_one_is_in(ada):
    with pytest.raises(Refused) as refused:
        actions.reader(Visibility.GROUP, GroupFactory(), by=ada)
    assert refused.value.code == "group_strange"
    with pytest.raises(Refused) as refused:
        actions.reader(Visibility.GROUP, None, by=ada)
    assert refused.value.code == "group_missing"
    with pytest.raises(Refused) as refused:
        actions.reader("nobody", None, by=ada)
    assert refused.value.code == "visibility"

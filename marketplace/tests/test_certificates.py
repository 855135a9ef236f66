"""Administrators list the certificates that the site trusts."""

from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse
from django.utils import timezone

from core.errors import Refused
from core.models import Event
from marketplace import documents, trusting
from marketplace.actions.certificates import (
    change_certificate,
    distrust_certificate,
    trust_certificate,
)
from marketplace.documents import Signer
from marketplace.judging import Outcome, judge
from marketplace.models import Entry, TrustedCertificate
from marketplace.publishing import publish_document
from marketplace.tasks import weigh
from marketplace.tests.publishing import metadata_about, published, signed, signer_named
from registration.tests.factories import UserFactory

pytestmark = pytest.mark.django_db

NOW = timezone.now().replace(microsecond=0) - timedelta(days=1)
URL = "/marketplace/certificates/"


@pytest.fixture
def admin():
    return UserFactory(admin=True)


@pytest.fixture
def signed_in(client, admin):
    client.force_login(admin)
    return client


def pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(Encoding.PEM)


class Authority:
    """It issues certificates."""

    def __init__(self, name: str = "Grid CA", *, above: "Authority | None" = None, ca=True) -> None:
        self.key = rsa.generate_private_key(65537, 2048)
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        issuer = above or self
        self.certificate = issuer.issue(self.name, self.key.public_key(), ca=ca)

    def issue(
        self, subject, public_key, *, ca=False, emails=(), ends=datetime(2040, 1, 1, tzinfo=UTC)
    ) -> x509.Certificate:
        made = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self.name)
            .public_key(public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(datetime(2020, 1, 1, tzinfo=UTC))
            .not_valid_after(ends)
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        )
        if emails:
            names = x509.SubjectAlternativeName([x509.RFC822Name(email) for email in emails])
            made = made.add_extension(names, critical=False)
        return made.sign(self.key, hashes.SHA256())

    def signer(self, *emails: str, **more) -> Signer:
        key = rsa.generate_private_key(65537, 2048)
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Alice")])
        issued = self.issue(name, key.public_key(), emails=emails, **more)
        return Signer(key=key, certificate=issued)


def signed_by(signer: Signer, content: bytes = b"hello", email: str = "alice@example.org"):
    return documents.sign(documents.write(metadata_about(content)), signer, at=NOW, email=email)


def test_what_a_listed_certificate_signed_is_trusted_from_then_on(admin):
    signer = signer_named("alice@example.org")
    entry = published(signer=signer, at=NOW)
    assert entry.trust == "untrusted"
    row = trust_certificate(pem(signer.certificate), by=admin, note="Known from the lab")
    weigh()
    entry.refresh_from_db()
    assert entry.trust == "trusted"
    assert entry.document.detail == "The certificate is on this site's list of trusted ones."
    assert row.subject == "CN=Alice Example,O=Example Lab"

    distrust_certificate(row, by=admin)
    weigh()
    entry = Entry.objects.get()
    assert entry.trust == "untrusted"
    assert "nobody vouches" in entry.document.detail


@pytest.mark.slow
def test_what_an_authority_issued_is_trusted_through_those_in_between(admin):
    root = Authority()
    between = Authority("Grid CA 2", above=root)
    trust_certificate(pem(root.certificate), by=admin, is_authority=True)
    direct = publish_document(signed_by(root.signer("alice@example.org")), owner=None)
    assert direct.trust == "trusted"
    assert "CN=Grid CA" in direct.document.detail
    far = between.signer("alice@example.org")
    with_chain = Signer(key=far.key, certificate=far.certificate, chain=(between.certificate,))
    assert publish_document(signed_by(with_chain, b"2"), owner=None).trust == "trusted"
    assert publish_document(signed_by(far, b"3"), owner=None).trust == "untrusted"
    stranger = Authority().signer("alice@example.org")  # of the same name, with another key
    assert publish_document(signed_by(stranger, b"4"), owner=None).trust == "untrusted"


@pytest.mark.slow
def test_an_authority_skips_the_mail_for_addresses_that_its_certificates_name(admin):
    root = Authority()
    trust_certificate(pem(root.certificate), by=admin, is_authority=True, skips_mail=True)
    named, unnamed = root.signer("alice@example.org"), root.signer()
    assert judge(signed_by(named)).outcome is Outcome.PUBLISHED
    assert judge(signed_by(unnamed)).outcome is Outcome.MAILED


@pytest.mark.slow
def test_what_a_certificate_signs_when_it_is_over_is_worth_nothing(admin):
    root = Authority()
    trust_certificate(pem(root.certificate), by=admin, is_authority=True, skips_mail=True)
    over = root.signer("alice@example.org", ends=timezone.now() - timedelta(hours=1))
    xml = signed_by(over)  # of yesterday, it says: it was good then
    assert judge(xml).outcome is Outcome.MAILED
    entry = publish_document(xml, owner=None)
    assert entry.trust == "untrusted"
    assert "its certificate was not" in entry.document.detail
    weigh()
    assert Entry.objects.get().trust == "untrusted"


def test_what_was_trusted_stays_so_when_its_certificate_ends(admin):
    signer = signer_named("alice@example.org", ends=timezone.now() + timedelta(days=1))
    trust_certificate(pem(signer.certificate), by=admin)
    assert published(signer=signer, at=NOW).trust == "trusted"
    with time_machine.travel(timezone.now() + timedelta(days=30)):
        weigh()
        assert Entry.objects.get().trust == "trusted"
        assert published(b"another", signer=signer, at=NOW).trust == "untrusted"


@pytest.mark.slow
def test_somebodys_certificate_issues_none_that_count(admin):
    root = Authority()
    alice = Authority("Alice", above=root, ca=False)
    trust_certificate(pem(root.certificate), by=admin, is_authority=True)
    made = alice.signer("bob@example.org")
    with_chain = Signer(key=made.key, certificate=made.certificate, chain=(alice.certificate,))
    xml = signed_by(with_chain, email="bob@example.org")
    assert publish_document(xml, owner=None).trust == "untrusted"


def refused(act, *args, **more) -> str:
    with pytest.raises(Refused) as refusal:
        act(*args, **more)
    return refusal.value.code


def test_what_is_no_certificate_is_refused(admin):
    one = pem(signer_named("alice@example.org").certificate)
    other = pem(signer_named("bob@example.org").certificate)
    for file, code in (
        (b"", "certificate_invalid"),
        (b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----", "certificate_invalid"),
        (one + other, "certificate_invalid"),
        (b"x" * (65 << 10), "certificate_invalid"),
        (one + b"-----BEGIN PRIVATE KEY-----\nAAAA\n", "certificate_private"),
    ):
        assert refused(trust_certificate, file, by=admin) == code
    assert refused(trust_certificate, one, by=admin, is_authority=True) == "no_authority"
    over = signer_named("a@example.org", ends=NOW)
    assert refused(trust_certificate, pem(over.certificate), by=admin) == "certificate_over"
    assert not TrustedCertificate.objects.exists()


def test_a_key_that_signs_no_metadata_is_refused(admin):
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Curve")])
    made = (
        x509.CertificateBuilder()
        .subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(1)
        .not_valid_before(datetime(2020, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2040, 1, 1, tzinfo=UTC))
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    assert refused(trust_certificate, pem(made), by=admin) == "certificate_invalid"


def test_der_will_do_and_twice_is_once(admin):
    certificate = signer_named("alice@example.org").certificate
    trust_certificate(certificate.public_bytes(Encoding.DER), by=admin)
    assert refused(trust_certificate, pem(certificate), by=admin) == "certificate_known"
    assert TrustedCertificate.objects.count() == 1


def test_the_list_is_the_administrators_alone(client):
    bob = UserFactory()
    certificate = pem(signer_named("alice@example.org").certificate)
    assert refused(trust_certificate, certificate, by=bob) == "not_administrator"
    client.force_login(bob)
    assert client.get(URL).status_code == 404
    assert client.post(URL, {"pem": certificate.decode()}).status_code == 404
    assert not TrustedCertificate.objects.exists()


def test_each_change_is_in_the_audit(admin):
    row = trust_certificate(pem(signer_named("alice@example.org").certificate), by=admin)
    change_certificate(row, by=admin, is_authority=False, skips_mail=True, note="")
    distrust_certificate(row, by=admin)
    distrust_certificate(row, by=admin)  # another tab
    events = Event.objects.filter(subject=row.uuid).order_by("pk")
    assert [event.verb for event in events] == ["added", "changed", "removed"]
    assert events[1].detail["after"] == {"is_authority": False, "skips_mail": True}
    assert (
        refused(change_certificate, row, by=admin, is_authority=False, skips_mail=False, note="")
        == "certificate_gone"
    )


def test_pages_list_add_change_and_remove(signed_in):
    certificate = signer_named("alice@example.org").certificate
    assert b"No certificate is listed" in signed_in.get(URL).content
    said = {"pem": pem(certificate).decode(), "skips_mail": "on", "note": "From Alice <herself>"}
    assert signed_in.post(URL, said).status_code == 302
    row = TrustedCertificate.objects.get()
    text = signed_in.get(URL).content.decode()
    assert "CN=Alice Example,O=Example Lab" in text
    assert "From Alice &lt;herself&gt;" in text
    own = reverse("marketplace:certificate", args=[row.uuid])
    assert row.fingerprint in signed_in.get(own).content.decode()
    assert signed_in.post(own, {"is_authority": "on"}).status_code == 422
    assert signed_in.post(own, {"note": "Other"}).status_code == 302
    row.refresh_from_db()
    assert (row.skips_mail, row.note) == (False, "Other")
    signed_in.post(reverse("marketplace:certificate_remove", args=[row.uuid]))
    assert not TrustedCertificate.objects.exists()


def test_a_file_will_do(signed_in):
    certificate = signer_named("alice@example.org").certificate
    file = SimpleUploadedFile("alice.crt", certificate.public_bytes(Encoding.DER))
    assert signed_in.post(URL, {"file": file}).status_code == 302
    assert TrustedCertificate.objects.get().created_by


def test_what_was_typed_is_not_lost(signed_in):
    answer = signed_in.post(URL, {"pem": "-----BEGIN nothing", "note": "Why"})
    assert answer.status_code == 422
    assert b"-----BEGIN nothing</textarea>" in answer.content
    assert b"This is no certificate" in answer.content
    answer = signed_in.post(URL, {"note": "Why"})
    assert b"Paste a certificate, or choose its file." in answer.content


def test_the_list_asks_as_often_for_many(signed_in, admin, django_assert_max_num_queries):
    for number in range(6):
        certificate = signer_named(f"{number}@example.org").certificate
        trust_certificate(pem(certificate), by=admin)
    with django_assert_max_num_queries(12):
        signed_in.get(URL)


def test_an_entry_whose_bytes_are_not_valid_any_more_is_left_as_it_is(admin):
    entry = published(at=NOW)
    type(entry.document).objects.update(xml=signed(at=NOW)[:-20])
    weigh()
    entry.refresh_from_db()
    assert entry.trust == "untrusted"


@pytest.mark.parametrize("many", [1, 6])
def test_to_weigh_many_documents_asks_as_often_as_for_one(many, django_assert_num_queries):
    for number in range(many):
        published(b"%d" % number, email=f"{number}@example.org")
    # which documents, keys, the list, documents
    with django_assert_num_queries(4):
        assert trusting.weigh() == 0

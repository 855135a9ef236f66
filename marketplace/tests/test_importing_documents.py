"""Signed documents come from other catalogues, and stay as they were signed."""

import hashlib
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa

from core.tests.webserver import Server, says
from marketplace import documents
from marketplace.documents import Metadata, Signer
from marketplace.feeds import SignedDocument
from marketplace.identifiers import identifier_of
from marketplace.imports import Import, is_wanted
from marketplace.models import Document, Entry, PolicyLine, Source, TrustedCertificate
from marketplace.publishing import publish_document
from marketplace.states import SourceKind
from marketplace.tests.factories import EntryFactory
from marketplace.tests.sourcing import run, server, source_at
from marketplace.trusting import pem_of
from registration.tests.factories import UserFactory

__all__ = ["server"]
pytestmark = pytest.mark.django_db


@pytest.fixture(scope="module")
def alice() -> Signer:
    return signer("Alice", "alice@example.org")


@pytest.fixture(scope="module")
def mallory() -> Signer:
    return signer("Alice", "alice@example.org")


def signer(name: str, email: str) -> Signer:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    called = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime(2026, 1, 1, tzinfo=UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(called)
        .issuer_name(called)
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=3650))
        .add_extension(x509.SubjectAlternativeName([x509.RFC822Name(email)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    return Signer(key=key, certificate=certificate)


def document(signer: Signer, *, content=b"image", at=None, **more) -> bytes:
    sha1 = hashlib.sha1(content).hexdigest()  # noqa: S324
    said = Metadata(**{
        "identifier": identifier_of(sha1), "size_bytes": len(content),
        "checksums": {"SHA-1": sha1}, "title": "Signed", "os": "debian", "os_arch": "x86_64",
        "valid": datetime(2099, 1, 1, tzinfo=UTC), "format": "qcow2",
        "locations": ("https://example.org/x.qcow2",), **more,
    })  # fmt: skip
    return documents.sign(
        documents.write(said), signer, at=at or datetime(2026, 2, 1, 12, tzinfo=UTC)
    )


@pytest.fixture
def marketplace(server, cloud) -> Source:
    return source_at(server.url("/"), SourceKind.STRATUSLAB)


def publish_list(server: Server, *listed: bytes) -> None:
    body = b"".join(documents.wrap_list(listed))
    path = "/metadata?media=xml&status=all&iDisplayStart=0&iDisplayLength=500"
    server.answers[path] = says(200, body)


def test_documents_are_kept_to_the_byte_with_their_signature(server, marketplace, alice):
    xml = document(alice)
    publish_list(server, xml, document(alice, content=b"other"))
    source = run(marketplace)
    assert (source.seen, source.added, source.refused, source.reason) == (2, 2, [], "")
    entry = Entry.objects.get(sha1=hashlib.sha1(b"image").hexdigest())  # noqa: S324
    assert bytes(entry.document.xml) in xml  # but for the XML declaration
    documents.verify(bytes(entry.document.xml))
    assert (entry.source, entry.owner, entry.trust) == (source, None, "untrusted")
    assert (entry.visibility, entry.is_official, entry.is_kept_here) == ("public", False, False)
    assert run(source).added == 0
    assert Entry.objects.count() == 2


def test_a_document_that_was_uploaded_here_before_is_that_entry(server, marketplace, alice):
    xml = document(alice)
    entry = publish_document(xml, owner=None)
    publish_list(server, xml)
    source = run(marketplace)
    assert (source.added, source.refused) == (0, [])
    assert Entry.objects.get() == entry


def test_an_invalid_signature_is_refused_and_listed(server, marketplace, alice):
    xml = document(alice).replace(b">Signed<", b">Signet<")
    publish_list(server, xml, document(alice, content=b"other"))
    source = run(marketplace)
    assert source.added == 1
    ((what, sentence),) = source.refused
    assert what == "Signet by alice@example.org"
    assert "signature" in sentence.lower()


def test_a_deprecation_elsewhere_holds_here(server, marketplace, alice):
    publish_list(server, document(alice))
    run(marketplace)
    later = datetime(2026, 3, 1, tzinfo=UTC)
    publish_list(server, document(alice, deprecated="Has a hole.", at=later))
    run(marketplace)
    assert Entry.objects.newest().get().deprecated == "Has a hole."
    assert Entry.objects.count() == 2
    assert run(marketplace).added == 0


def test_what_is_over_already_is_not_taken(server, marketplace, alice):
    over = datetime(2026, 2, 2, tzinfo=UTC)
    publish_list(
        server, document(alice, valid=over), document(alice, content=b"b", deprecated="Bad.")
    )
    source = run(marketplace)
    assert (source.seen, source.added, source.refused) == (2, 0, [])


def test_filters_and_policy_hold_for_documents_too(server, marketplace, alice):
    Source.objects.update(wanted={"os": ["debian"]})
    PolicyLine.objects.create(subject="endorser", colour="black", value="alice@example.org")
    publish_list(server, document(alice), document(alice, content=b"b", os="centos"))
    source = run(marketplace)
    ((what, sentence),) = source.refused
    assert what == "Signed by alice@example.org"
    assert sentence.startswith("Not allowed here:")


def test_nobody_speaks_elsewhere_for_people_of_this_site(server, marketplace, alice):
    UserFactory(email="alice@example.org")
    publish_list(server, document(alice))
    source = run(marketplace)
    assert not Entry.objects.exists()
    assert "is an address of this site" in source.refused[0][1]


def test_nobody_deprecates_an_entry_of_here_with_another_key(server, marketplace, alice, mallory):
    publish_document(document(alice), owner=None)
    later = datetime(2026, 3, 1, tzinfo=UTC)
    publish_list(server, document(mallory, deprecated="Use mine.", at=later))
    source = run(marketplace)
    assert Entry.objects.get().deprecated == ""
    assert "with another key" in source.refused[0][1]
    publish_list(server, document(alice, title="Signed again", at=later))
    assert run(marketplace).refused == []
    assert Entry.objects.newest().get().title == "Signed again"


def test_a_certificate_that_is_trusted_speaks_for_the_addresses_in_it(
    server, marketplace, alice, mallory
):
    UserFactory(email="alice@example.org")
    certificate = alice.certificate
    TrustedCertificate.objects.create(
        certificate=pem_of(certificate), subject="CN=Alice",
        fingerprint=certificate.fingerprint(hashes.SHA256()).hex(),
        not_after=certificate.not_valid_after_utc,
    )  # fmt: skip
    publish_list(server, document(alice), document(mallory, content=b"b"))
    source = run(marketplace)
    assert (source.added, len(source.refused)) == (1, 1)
    assert Entry.objects.get().trust == "trusted"


def test_certificates_of_a_sources_own_endorsers_may_be_renewed(
    server, marketplace, alice, mallory
):
    publish_list(server, document(alice))
    run(marketplace)
    publish_list(server, document(mallory, at=datetime(2026, 3, 1, tzinfo=UTC)))
    assert run(marketplace).refused == []
    assert Entry.objects.count() == 2


def test_signed_entries_end_by_their_own_words_alone(server, marketplace, alice):
    publish_list(server, document(alice), document(alice, content=b"b"))
    run(marketplace)
    publish_list(server, document(alice))
    run(marketplace)
    assert Entry.objects.launchable().count() == 2


def test_a_list_that_is_no_xml_is_said_to_be_none(server, marketplace):
    path = "/metadata?media=xml&status=all&iDisplayStart=0&iDisplayLength=500"
    server.answers[path] = says(200, b"<html><p>hello")
    assert "The list is none" in run(marketplace).reason


def test_a_list_is_read_page_by_page(server, marketplace, alice, monkeypatch):
    from marketplace.feeds import stratuslab  # noqa: PLC0415

    monkeypatch.setattr(stratuslab, "PAGE", 2)
    listed = [document(alice, content=bytes([n])) for n in range(5)]
    for start in (0, 2, 4):
        path = f"/metadata?media=xml&status=all&iDisplayStart={start}&iDisplayLength=2"
        server.answers[path] = says(200, b"".join(documents.wrap_list(listed[start : start + 2])))
    assert run(marketplace).added == 5


def test_a_server_that_knows_no_pages_is_not_asked_for_ever(
    server, marketplace, alice, monkeypatch
):
    from marketplace.feeds import stratuslab  # noqa: PLC0415

    monkeypatch.setattr(stratuslab, "PAGE", 2)
    body = b"".join(documents.wrap_list([document(alice), document(alice, content=b"b")]))
    for start in (0, 2):
        path = f"/metadata?media=xml&status=all&iDisplayStart={start}&iDisplayLength=2"
        server.answers[path] = says(200, body)
    source = run(marketplace)
    assert (source.seen, source.added) == (2, 2)


def test_a_source_elsewhere_cannot_lead_into_this_network(server, marketplace, settings):
    settings.PORTAL_FETCH_NETWORKS = []
    source = run(marketplace)
    assert "private network" in source.reason


def test_documents_that_were_taken_cost_one_query_each(
    server, marketplace, alice, django_assert_max_num_queries
):
    listed = [document(alice, content=bytes([n])) for n in range(6)]
    work = Import(marketplace)
    work.take([SignedDocument(xml) for xml in listed])
    with django_assert_max_num_queries(6):
        work.take([SignedDocument(xml) for xml in listed])


def test_filters_without_values_let_everything_in():
    assert is_wanted(EntryFactory.build(), {})
    assert is_wanted(EntryFactory.build(), {"os": [], "words": ""})


def test_what_one_of_these_portals_lists_another_takes_to_the_byte(
    server, marketplace, alice, client, cloud
):
    listed = [document(alice, content=bytes([n]), title=f"Image {n}") for n in range(3)]
    for xml in listed:
        publish_document(xml, owner=None)
    query = "?media=xml&status=all&iDisplayStart=0&iDisplayLength=500"
    body = client.get(f"/marketplace/metadata{query}").getvalue()
    Document.objects.all().delete()
    Entry.objects.all().delete()
    source = source_at(server.url("/marketplace/"), SourceKind.STRATUSLAB)
    server.answers[f"/marketplace/metadata{query}"] = says(200, body)
    source = run(source)
    assert (source.seen, source.added, source.refused) == (3, 3, [])
    for entry in Entry.objects.select_related("document"):
        assert any(bytes(entry.document.xml) in xml for xml in listed)
        documents.verify(bytes(entry.document.xml))

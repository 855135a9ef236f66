"""Entries come from other catalogues, from a real server, again and again."""

import hashlib
import json
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from django.utils import timezone

from core.machine import tick
from core.models import Event
from core.tests.webserver import Server, says
from marketplace import documents
from marketplace.documents import Metadata, Signer
from marketplace.feeds import READERS, SignedDocument
from marketplace.identifiers import identifier_of
from marketplace.imports import Import, is_wanted
from marketplace.lifecycle import SOURCE_STEPS, importing
from marketplace.models import Document, Entry, PolicyLine, Source, TrustedCertificate
from marketplace.publishing import publish_document
from marketplace.states import SourceKind, SourceState
from marketplace.tests.factories import EntryFactory
from marketplace.trusting import pem_of
from registration.tests.factories import UserFactory

pytestmark = pytest.mark.django_db

INDEX = {"index": {"i": {"datatype": "image-downloads", "format": "products:1.0",
                         "path": "streams/v1/images.json"}}}  # fmt: skip


@pytest.fixture
def server(settings):
    settings.PORTAL_FETCH_NETWORKS = ["127.0.0.0/8"]
    one = Server()
    settings.PORTAL_FETCH_PORTS = [one.http.server_port]
    yield one
    one.close()


@pytest.fixture
def source(server, cloud) -> Source:
    return source_at(server.url("/"))


def source_at(url: str, kind: str = SourceKind.SIMPLESTREAMS, **more) -> Source:
    more = {"name": f"Images {Source.objects.count()}", **more}
    return Source.objects.create(
        kind=kind, url=url, cloud="local", state=SourceState.IMPORTING,
        next_tick_at=timezone.now(), due_at=timezone.now() + timedelta(hours=24), **more,
    )  # fmt: skip


def serve(server: Server, products) -> None:
    server.answers["/streams/v1/index.json"] = says(200, json.dumps(INDEX).encode())
    listed = json.dumps({"products": products}).encode()
    server.answers["/streams/v1/images.json"] = says(200, listed)


def product(version="20260321", sha="1" * 64, arch="amd64", folder="x", **more):
    item = {"ftype": "disk1.img", "sha256": sha, "size": 7, "path": f"{folder}/{version}.img"}
    return {
        "os": "ubuntu", "version": "24.04", "release_title": "24.04 LTS", "arch": arch,
        "support_eol": "2099-05-31", "supported": True,
        "versions": {version: {"items": {"disk1.img": item}}}, **more,
    }  # fmt: skip


def run(source: Source) -> Source:
    Source.objects.filter(pk=source.pk).update(
        state=SourceState.IMPORTING, next_tick_at=timezone.now(), lease_until=None
    )
    tick(Source.objects.get(pk=source.pk), SOURCE_STEPS, is_long=False)
    return Source.objects.get(pk=source.pk)


def test_an_index_becomes_entries_that_say_where_they_are_from(server, source):
    serve(server, {"noble": product()})
    source = run(source)
    assert (source.state, source.reason) == (SourceState.DUE, "")
    assert (source.seen, source.added, source.refused) == (1, 1, [])
    assert source.imported_at is not None
    entry = Entry.objects.get()
    assert entry.identifier.startswith("_")
    assert (entry.sha1, entry.sha256, entry.size_bytes) == ("", "1" * 64, 7)
    assert (entry.source, entry.endorser_email) == (source, "images@127.0.0.1")
    assert (entry.trust, entry.endorser_name, entry.is_kept_here) == (
        "unsigned",
        source.name,
        False,
    )
    assert entry.locations == [server.url("/x/20260321.img")]
    assert (entry.title, entry.alternative) == ("Ubuntu 24.04 LTS", "ubuntu-24.04-x86-64")
    assert entry.valid_until == datetime(2099, 5, 31, 23, 59, 59, tzinfo=UTC)
    assert entry.default_user == "ubuntu"
    assert not hasattr(entry, "document")
    assert Event.objects.of(entry.uuid).get().verb == "imported"


def test_the_same_again_changes_nothing(server, source):
    serve(server, {"noble": product(), "old": product(sha="2" * 64, support_eol="2013-01-01")})
    run(source)
    before = list(Entry.objects.values())
    source = run(source)
    assert list(Entry.objects.values()) == before
    assert (source.seen, source.added) == (2, 0)


def test_the_figures_of_an_import_add_up(server, source):
    Source.objects.filter(pk=source.pk).update(wanted={"arch": ["x86_64"]})
    serve(server, {"kept": product()})
    run(source)
    PolicyLine.objects.create(subject="checksum", colour="black", value="5" * 64)
    listed = {
        "kept": product(), "new": product(sha="2" * 64), "again": product(sha="2" * 64),
        "arm": product(sha="3" * 64, arch="arm64"),
        "old": product(sha="4" * 64, support_eol="2013-01-01"),
        "forbidden": product(sha="5" * 64), "broken": product(sha="none"),
    }  # fmt: skip
    serve(server, listed)
    source = run(source)
    assert (source.seen, source.added, len(source.refused)) == (7, 1, 2)
    told = {words: number for number, words in source.not_added}
    assert told == {
        "here already": 1, "the same file as another": 1, "left out by the filters": 1,
        "over already": 1, "refused": 2,
    }  # fmt: skip
    assert source.added + sum(told.values()) == source.seen == len(listed)
    *_, event = Event.objects.of(source.uuid).filter(verb="imported")
    figures = {"known": 1, "new": 1, "twice": 1, "unwanted": 1, "over": 1, "refused": 2}
    assert event.detail == {"listed": 7, "expired": 0, **figures}


def test_products_of_one_file_are_one_entry_however_often_they_are_read(
    server, source, monkeypatch
):
    monkeypatch.setattr(importing, "BATCH", 1)
    serve(server, {"a": product(), "b": product(folder="other")})
    for _ in range(3):
        run(source)
    assert Entry.objects.get().locations == [server.url("/x/20260321.img")]


def test_an_index_of_faults_alone_changes_nothing(server, source):
    serve(server, {"a": product()})
    run(source)
    serve(server, {"a": product(sha="none")})
    assert "lists no image" in run(source).reason
    assert Entry.objects.get().status == "valid"


def test_what_is_not_said_until_when_is_good_for_half_a_year_and_is_renewed(server, source):
    one = product()
    del one["support_eol"]
    serve(server, {"a": one})
    run(source)
    first = Entry.objects.get().valid_until
    assert timedelta(days=182) < first - timezone.now() < timedelta(days=184)
    with time_machine.travel(timezone.now() + timedelta(days=3)):
        run(source)
        assert Entry.objects.get().valid_until == first
    with time_machine.travel(timezone.now() + timedelta(days=30)):
        run(source)
        assert Entry.objects.get().valid_until > first + timedelta(days=29)


def test_a_new_version_replaces_the_old_one_which_expires(server, source):
    serve(server, {"noble": product()})
    old = run(source).entries.get()
    serve(server, {"noble": product("20260401", "2" * 64)})
    source = run(source)
    old.refresh_from_db()
    assert (old.status, source.added) == ("expired", 1)
    assert Entry.objects.launchable().get().version == "20260401"
    assert [event.verb for event in Event.objects.of(old.uuid)] == ["imported", "expired"]


def test_what_vanishes_expires_and_comes_back_as_a_new_entry_never_deleted(server, source):
    serve(server, {"a": product(), "b": product(sha="2" * 64)})
    run(source)
    serve(server, {"b": product(sha="2" * 64)})
    run(source)
    gone = Entry.objects.get(sha256="1" * 64)
    assert gone.status == "expired"
    serve(server, {"a": product(), "b": product(sha="2" * 64)})
    run(source)
    gone.refresh_from_db()
    assert gone.status == "valid"
    assert Entry.objects.count() == 2


def test_an_index_that_says_something_new_of_an_image_makes_a_new_entry(server, source):
    serve(server, {"a": product()})
    run(source)
    serve(server, {"a": product(folder="y")})
    run(source)
    first, second = Entry.objects.order_by("created_at")
    assert (first.is_latest, second.is_latest) == (False, True)
    assert second.locations == [server.url("/y/20260321.img")]
    assert first.identifier == second.identifier


@pytest.mark.parametrize(
    ("wanted", "arches"),
    [
        ({}, {"x86_64", "aarch64"}),
        ({"arch": ["amd64"]}, {"x86_64"}),
        ({"arch": ["X86_64", "arm64"]}, {"x86_64", "aarch64"}),
        ({"os": ["debian"]}, set()),
        ({"os": ["Ubuntu"]}, {"x86_64", "aarch64"}),
        ({"words": "lts AARCH64"}, {"aarch64"}),
        ({"endorser": ["images@127.0.0.1"]}, {"x86_64", "aarch64"}),
        ({"endorser": ["bob@example.org"]}, set()),
    ],
)
def test_an_administrators_filters_hold(server, source, wanted, arches):
    Source.objects.filter(pk=source.pk).update(wanted=wanted)
    serve(server, {"a": product(), "b": product(sha="2" * 64, arch="arm64")})
    source = run(source)
    assert set(Entry.objects.values_list("os_arch", flat=True)) == arches
    assert source.refused == []


def test_what_a_changed_filter_leaves_out_expires(server, source):
    serve(server, {"a": product(), "b": product(sha="2" * 64, arch="arm64")})
    run(source)
    Source.objects.filter(pk=source.pk).update(wanted={"arch": ["arm64"]})
    run(source)
    assert Entry.objects.launchable().get().os_arch == "aarch64"


def test_the_sites_policy_is_asked_and_said(server, source):
    PolicyLine.objects.create(subject="checksum", colour="black", value="1" * 64)
    serve(server, {"a": product(), "b": product(sha="2" * 64)})
    source = run(source)
    assert Entry.objects.get().sha256 == "2" * 64
    ((what, sentence),) = source.refused
    assert what == "Ubuntu 24.04 LTS"
    assert sentence.startswith("Not allowed here:")


def test_broken_items_are_listed_and_the_list_ends(server, source):
    broken = {f"b{n}": product(sha="beef") for n in range(150)}
    serve(server, {**broken, "a": product()})
    source = run(source)
    assert source.added == 1
    assert len(source.refused) == 101
    assert source.refused[0][1] == "The index states no SHA-256 of it."
    assert source.refused[-1][1] == "And 50 more."


def test_a_server_that_is_away_is_asked_again_in_an_hour(server, source):
    server.answers["/streams/v1/index.json"] = says(503)
    source = run(source)
    assert source.state == SourceState.DUE
    assert source.reason == "The server answers 503: not now."
    assert source.due_at < timezone.now() + timedelta(hours=1, minutes=1)
    assert source.imported_at is None


def test_an_index_that_is_none_changes_nothing_here(server, source):
    serve(server, {"a": product()})
    run(source)
    server.answers["/streams/v1/images.json"] = says(200, b"<html>we moved</html>")
    source = run(source)
    assert "no JSON" in source.reason
    assert source.due_at > timezone.now() + timedelta(hours=23)
    serve(server, {})
    assert "lists no image" in run(source).reason
    assert Entry.objects.get().status == "valid"


def test_an_import_that_broke_off_goes_on_where_it_was(server, source, monkeypatch):
    monkeypatch.setattr(importing, "BATCH", 2)
    many = {str(n): product(sha=f"{n:02x}" * 32) for n in range(1, 8)}
    serve(server, many)
    Import(source).take(list(READERS[source.kind](source.url, importing.get))[:3])
    assert Entry.objects.count() == 3
    source = run(source)
    assert Entry.objects.count() == 7
    assert source.seen == 7


def test_a_source_that_is_switched_off_meanwhile_stops(server, source, monkeypatch):
    monkeypatch.setattr(importing, "BATCH", 1)
    serve(server, {str(n): product(sha=f"{n:02x}" * 32) for n in range(1, 20)})
    looked = Import.take

    def take(self, batch):
        looked(self, batch)
        Source.objects.filter(pk=source.pk).update(state=SourceState.OFF)

    monkeypatch.setattr(Import, "take", take)
    assert run(source).state == SourceState.OFF
    assert Entry.objects.count() == 1


def test_two_sources_of_one_server_share_an_image(server, source):
    serve(server, {"a": product()})
    run(source)
    other = run(source_at(server.url("/streams/v1/index.json")))
    assert Entry.objects.get().source == source
    assert (other.seen, other.added) == (1, 0)


def test_imports_begin_when_their_hour_has_come(server, source):
    serve(server, {"a": product()})
    source = run(source)
    assert list(importing.begin_due(["local"])) == []
    with time_machine.travel(timezone.now() + timedelta(hours=25), tick=False):
        assert list(importing.begin_due(["elsewhere"])) == []
        (begun,) = importing.begin_due(["local"])
        assert (begun.pk, begun.state) == (source.pk, SourceState.IMPORTING)
        assert begun.due_at == timezone.now() + timedelta(hours=24)
        assert list(importing.begin_due(["local"])) == []


# Signed documents


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

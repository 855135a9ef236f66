"""Programs send documents: in StratusLab's words, by nobody, by token and by session."""

import json
import re
from datetime import timedelta

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.utils import timezone

from marketplace.actions import uploads
from marketplace.models import Entry, Pending
from marketplace.tests.publishing import published, signed
from registration.models import Scope
from registration.tests.factories import UserFactory
from volumes.tests.uploading import token_of

pytestmark = pytest.mark.django_db

NOW = timezone.now().replace(microsecond=0) - timedelta(days=1)
URLS = ["/marketplace/metadata", "/marketplace/metadata/"]
URL = URLS[0]


@pytest.fixture
def alice():
    return UserFactory(username="alice", email="alice@example.org")


@pytest.fixture
def strict():
    """As outside of tests: a page of ours has to prove that it asks."""
    return Client(enforce_csrf_checks=True)


def send(client, xml: bytes, url: str = URL, kind: str = "application/rdf+xml", **more):
    return client.post(url, xml, content_type=kind, **more)


def bearer(owner, scope=Scope.WRITE) -> dict[str, str]:
    return {"HTTP_AUTHORIZATION": f"Bearer {token_of(owner, scope)}"}


@pytest.mark.parametrize("url", URLS)
@pytest.mark.parametrize("kind", ["application/xml", "application/rdf+xml; charset=utf-8"])
def test_nobodys_document_waits_for_its_endorser(strict, url, kind):
    answer = send(strict, signed(at=NOW), url, kind)
    assert answer.status_code == 202
    assert answer.content == b"confirmation email sent for new metadata entry"
    assert Pending.objects.get().address == "127.0.0.1"
    assert not Entry.objects.exists()


def test_ones_own_token_publishes_at_once(strict, alice):
    xml = signed(at=NOW)
    answer = send(strict, xml, **bearer(alice))
    assert answer.status_code == 201
    assert answer.content == b"metadata entry created"
    entry = Entry.objects.get()
    assert answer["Location"] == f"http://testserver{entry.permalink}"
    assert entry.owner == alice
    again = send(strict, xml, **bearer(alice))
    assert (again.status_code, again["Location"]) == (201, answer["Location"])


def test_where_it_says_the_original_bytes_are(strict, alice):
    xml = signed(at=NOW)
    answer = send(strict, xml, **bearer(alice))
    found = strict.get(answer["Location"], headers={"accept": "application/rdf+xml"})
    assert b"".join(found) == xml


def test_a_token_that_may_only_read_publishes_nothing(strict, alice):
    answer = send(strict, signed(at=NOW), **bearer(alice, Scope.READ))
    assert answer.status_code == 403
    assert not Entry.objects.exists()


def test_a_wrong_token_is_nobodys_document_neither(strict):
    answer = send(strict, signed(at=NOW), HTTP_AUTHORIZATION="Bearer slp_wrong")
    assert answer.status_code == 401
    assert not Pending.objects.exists()


def test_passwords_of_old_clients_are_not_looked_at(strict):
    answer = send(strict, signed(at=NOW), HTTP_AUTHORIZATION="Basic YWxpY2U6c2VjcmV0")
    assert answer.status_code == 202


def test_a_page_elsewhere_cannot_publish_in_the_name_of_who_visits_it(strict, alice):
    strict.force_login(alice)
    assert send(strict, signed(at=NOW)).status_code == 403
    assert not Entry.objects.exists()
    page = strict.get("/marketplace/upload").content.decode()
    token = re.findall(r'name="csrfmiddlewaretoken" value="(\w+)"', page)[0]
    assert send(strict, signed(at=NOW), HTTP_X_CSRFTOKEN=token).status_code == 201


def test_the_first_file_of_a_form(strict, alice):
    files = {
        "file": SimpleUploadedFile("one.xml", signed(b"one", at=NOW)),
        "other": SimpleUploadedFile("two.xml", signed(b"two", at=NOW)),
    }
    answer = strict.post(URL, files, **bearer(alice))
    assert answer.status_code == 201
    assert Entry.objects.count() == 1


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        ({"data": b"", "content_type": "application/xml"}, b"post with null entity"),
        ({"data": {"title": "no file"}}, b"no valid file uploaded"),
        ({"data": {"file": SimpleUploadedFile("empty.xml", b"")}}, b"no valid file uploaded"),
    ],
    ids=["nothing", "no file", "an empty file"],
)
def test_nothing_is_no_document(strict, sent, said):
    answer = strict.post(URL, **sent)
    assert (answer.status_code, answer.content) == (400, said)


def test_what_is_wrong_is_said_in_the_form_that_is_wanted(strict):
    answer = send(strict, b"<rdf:RDF>")
    assert answer.status_code == 400
    assert answer.content.startswith(b"invalid metadata: ")
    assert answer["Content-Type"] == "text/plain; charset=utf-8"
    answer = send(strict, b"<rdf:RDF>", headers={"accept": "application/xml"})
    assert b"<error>invalid metadata: " in answer.content
    answer = send(strict, b"<rdf:RDF>", headers={"accept": "application/json"})
    assert json.loads(answer.content)["400"].startswith("invalid metadata: ")


def test_each_fault_has_a_line_and_says_where_it_is(strict):
    answer = send(strict, b"<rdf:RDF>\n<oops")
    assert answer.content.startswith(b"invalid metadata: line 2: The document is not well-formed")
    xml = signed(at=NOW).replace(b">debian<", b">" + b"x" * 99 + b"<")
    faults = send(strict, xml).content.decode().splitlines()
    assert len(faults) == 2
    assert "slterms:os" in faults[0]
    assert faults[1].startswith("The signature is not valid")


def test_an_older_word_is_invalid(strict):
    published(at=NOW)
    answer = send(strict, signed(at=NOW - timedelta(hours=1)))
    assert answer.status_code == 400
    assert answer.content.startswith(b"invalid metadata: older than latest entry")


def test_a_document_that_is_too_large_is_refused_at_its_first_word(strict, settings):
    settings.PORTAL_METADATA_KIB = 1
    answer = send(strict, b"x" * (70 << 10))
    assert answer.status_code == 400
    assert b"a document has at most 1 KiB" in answer.content
    answer = send(strict, b"<" + b"x" * 2000)
    assert answer.status_code == 400
    answer = strict.post(URL, {"file": SimpleUploadedFile("large.xml", b"x" * 2000)})
    assert answer.status_code == 400


def test_documents_of_one_address_are_counted(strict, monkeypatch):
    monkeypatch.setattr(uploads, "MOST_OF_AN_ADDRESS", 2)
    for _ in range(2):
        assert send(strict, b"<a>").status_code == 400
    assert send(strict, b"<a>").status_code == 429


def test_a_table_that_is_asked_for_by_post_is_no_document(strict):
    answer = strict.post(URL, "sEcho=3", content_type="application/x-www-form-urlencoded")
    assert answer.status_code == 200

"""A metadata document comes from an address that a person gave."""

from datetime import timedelta

import pytest
import time_machine
from django.core import mail
from django.utils import timezone

from core.errors import Refused
from core.machine import tick
from core.tests.webserver import Server, says
from marketplace import documents
from marketplace.actions import uploads
from marketplace.actions.arrivals import MOST_AT_ONCE, fetch_again, fetch_document
from marketplace.lifecycle import DOCUMENT_STEPS
from marketplace.models import DocumentArrival, Entry, Pending
from marketplace.states import ArrivalState
from marketplace.tests.publishing import published, signed
from registration import emails
from registration.tests.factories import UserFactory

pytestmark = pytest.mark.django_db

NOW = timezone.now().replace(microsecond=0) - timedelta(days=1)
XML = {"content_type": "application/rdf+xml"}


@pytest.fixture
def server(settings):
    settings.PORTAL_FETCH_NETWORKS = ["127.0.0.0/8"]
    one = Server()
    settings.PORTAL_FETCH_PORTS = [one.http.server_port]
    yield one
    one.close()


@pytest.fixture
def alice():
    return UserFactory(username="alice", email="alice@example.org")


def step(arrival: DocumentArrival) -> DocumentArrival:
    DocumentArrival.objects.filter(pk=arrival.pk).update(
        next_tick_at=timezone.now(), lease_until=None
    )
    tick(DocumentArrival.objects.get(pk=arrival.pk), DOCUMENT_STEPS)
    return DocumentArrival.objects.get(pk=arrival.pk)


def brought(server, owner, body: bytes, **more) -> DocumentArrival:
    server.answers["/it"] = says(200, body, **XML)
    return step(fetch_document(server.url("/it"), owner=owner, **more))


def test_ones_own_document_becomes_an_entry(server, cloud, alice, client):
    xml = signed(at=NOW)
    arrival = brought(server, alice, xml)
    assert arrival.state == ArrivalState.DONE
    assert (arrival.entry, arrival.entry.owner) == (Entry.objects.get(), alice)
    assert bytes(arrival.entry.document.xml) == xml
    assert "application/rdf+xml" in server.asked[0]["accept"]
    client.force_login(alice)
    assert client.get(arrival.get_absolute_url())["Location"] == arrival.entry.permalink


def test_what_was_to_be_launched_leads_to_its_launch(server, cloud, alice, client):
    arrival = brought(server, alice, signed(at=NOW), to_launch=True)
    client.force_login(alice)
    there = f"/vms/launch/?image={arrival.entry.identifier}"
    assert client.get(arrival.get_absolute_url())["Location"] == there
    fragment = client.get(f"{arrival.get_absolute_url()}progress/").content.decode()
    assert "data-goes-on" in fragment
    assert there in fragment


def test_redirects_are_followed_as_aliases_do(server, cloud, alice):
    server.answers["/tag/alice/debian"] = says(302, location="/metadata/x")
    server.answers["/metadata/x"] = says(200, signed(at=NOW), **XML)
    arrival = step(fetch_document(server.url("/tag/alice/debian"), owner=alice))
    assert arrival.state == ArrivalState.DONE


def test_of_a_list_the_newest_that_can_be_used_is_taken(server, cloud, alice):
    xmls = [
        signed(at=NOW - timedelta(hours=1)),
        signed(at=NOW, title="This one"),
        signed(b"other", at=NOW + timedelta(hours=2), deprecated="Broken"),
        signed(b"third", at=NOW + timedelta(hours=3), valid=NOW),
    ]
    arrival = brought(server, alice, b"".join(documents.wrap_list(xmls)))
    assert arrival.entry.title == "This one"
    assert arrival.entry.document.verified_at


def test_a_list_of_too_many_is_not_gone_through(server, cloud, alice, client):
    arrival = brought(server, alice, b"<metadata>" + b"<a>1</a>" * 501 + b"</metadata>")
    assert arrival.state == ArrivalState.FAILED
    client.force_login(alice)
    assert (
        b"The list has 501 documents; 500 are most."
        in client.get(arrival.get_absolute_url()).content
    )


def test_an_entry_that_is_here_already_is_found(server, cloud):
    entry = published(at=NOW)
    arrival = brought(server, UserFactory(), bytes(entry.document.xml))
    assert arrival.entry == entry
    assert not Pending.objects.exists()


def test_in_another_name_its_endorser_is_asked_and_the_page_waits(server, cloud, client):
    bob = UserFactory(username="bob")
    arrival = brought(server, bob, signed(at=NOW), to_launch=True)
    assert (arrival.state, arrival.entry) == (ArrivalState.DONE, None)
    emails.settle()
    assert mail.outbox[-1].to == ["alice@example.org"]
    client.force_login(bob)
    text = client.get(arrival.get_absolute_url()).content.decode()
    assert "has been asked by mail" in text
    assert f'data-live="pending:{arrival.pending.uuid}"' in text

    entry = published(at=NOW)
    Pending.objects.update(state="confirmed", entry=entry)
    assert "/vms/launch/" in client.get(arrival.get_absolute_url())["Location"]

    Pending.objects.update(state="refused", entry=None)
    assert b"did not confirm it" in client.get(arrival.get_absolute_url()).content


def test_what_breaks_the_rules_is_told_rule_by_rule(server, cloud, alice, client):
    arrival = brought(server, alice, b"<rdf:RDF>\n<oops")
    assert arrival.state == ArrivalState.FAILED
    assert "breaks the rules of metadata" in arrival.reason
    client.force_login(alice)
    page = client.get(arrival.get_absolute_url())
    assert b"Line 2:" in page.content

    server.answers["/it"] = says(200, signed(at=NOW), **XML)
    client.post(f"{arrival.get_absolute_url()}again/")
    assert step(arrival).state == ArrivalState.DONE


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (says(404), "no such file"),
        (says(200, b"<!DOCTYPE html><html>"), "a web page, not to metadata"),
        (says(200, b"x" * 5000, content_length="5000"), "larger than the 4 KiB"),
        (says(302, location="http://169.254.169.254/latest"), "private network"),
        (says(302, location="http://127.0.0.2:22/"), "Port 22"),
        (says(200, b""), "breaks the rules"),
    ],
    ids=["missing", "page", "large", "inside", "port", "empty"],
)
def test_what_cannot_be_had_is_said_in_words(server, cloud, alice, settings, answer, said):
    settings.PORTAL_METADATA_KIB = 4
    server.answers["/it"] = answer
    arrival = step(fetch_document(server.url("/it"), owner=alice))
    assert arrival.state == ArrivalState.FAILED
    assert said in arrival.reason
    assert not Entry.objects.exists()


def test_a_server_that_is_busy_is_asked_again_for_a_while(server, cloud, alice):
    server.answers["/it"] = says(503)
    arrival = step(fetch_document(server.url("/it"), owner=alice))
    assert arrival.state == ArrivalState.FETCHING
    assert "tries again" in arrival.reason
    with time_machine.travel(timezone.now() + timedelta(minutes=6)):
        assert step(arrival).state == ArrivalState.FAILED


def test_for_an_account_that_is_closed_nothing_is_fetched(server, cloud, alice):
    arrival = fetch_document(server.url("/it"), owner=alice)
    type(alice).objects.filter(pk=alice.pk).update(state="suspended")
    assert step(arrival).state == ArrivalState.FAILED
    assert server.asked == []


@pytest.mark.parametrize("url", ["ftp://example.org/x", "/etc/passwd", "http://u:p@example.org/x"])
def test_an_address_that_is_none_is_refused(cloud, alice, client, url):
    with pytest.raises(Refused) as refused:
        fetch_document(url, owner=alice)
    assert refused.value.code == "url"
    client.force_login(alice)
    answer = client.post("/marketplace/upload/fetch/", {"url": url})
    assert answer.status_code == 422
    assert url in answer.content.decode()  # nothing is lost


def test_the_upload_page_has_one_fetched(cloud, alice, client):
    client.force_login(alice)
    answer = client.post("/marketplace/upload/fetch/", {"url": "https://example.org/x.xml"})
    arrival = DocumentArrival.objects.get()
    assert answer["Location"] == arrival.get_absolute_url()
    text = client.get(answer["Location"]).content.decode()
    assert "Fetching" in text
    assert f'data-live="document:{arrival.uuid}"' in text


def test_only_so_many_are_fetched_at_a_time(cloud, alice):
    for number in range(MOST_AT_ONCE):
        fetch_document(f"https://example.org/{number}", owner=alice)
    with pytest.raises(Refused, match="the most at a time"):
        fetch_document("https://example.org/more", owner=alice)


def test_fetched_documents_count_as_documents_that_come_in(cloud, alice, monkeypatch):
    monkeypatch.setattr(uploads, "MOST_OF_A_PERSON", 1)
    arrival = fetch_document("https://example.org/1", owner=alice)
    with pytest.raises(Refused, match="1 documents came from you"):
        fetch_document("https://example.org/2", owner=alice)
    DocumentArrival.objects.update(state=ArrivalState.FAILED)
    arrival.refresh_from_db()
    with pytest.raises(Refused, match="1 documents came from you"):
        fetch_again(arrival, by=alice)


def test_somebody_elses_is_not_there(cloud, alice, client):
    arrival = fetch_document("https://example.org/x", owner=alice)
    client.force_login(UserFactory())
    for url in ("", "progress/"):
        assert client.get(f"{arrival.get_absolute_url()}{url}").status_code == 404
    assert client.post(f"{arrival.get_absolute_url()}again/").status_code == 404
    client.force_login(alice)
    client.post(f"{arrival.get_absolute_url()}again/")  # on its way: nothing to do
    assert DocumentArrival.objects.get().state == ArrivalState.FETCHING

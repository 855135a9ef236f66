"""Who vouches for images, and what each has said of late."""

import json
from datetime import timedelta

import pytest
from django.utils import timezone
from lxml.etree import fromstring

from marketplace.publishing import Reader
from marketplace.states import Visibility
from marketplace.tests.factories import EntryFactory
from marketplace.tests.publishing import published
from registration.tests.factories import UserFactory

pytestmark = pytest.mark.django_db

SPARQL = "{http://www.w3.org/2005/sparql-results#}"
ADDRESS = "/marketplace/endorsers"
ALICE = f"{ADDRESS}/alice@example.org"


def text_of(answer) -> str:
    return " ".join(answer.content.decode().split())


def rows_of(answer) -> list[dict[str, str]]:
    root = fromstring(answer.content)
    assert root.tag == f"{SPARQL}sparql"
    return [
        {binding.get("name"): binding[0].text for binding in result}
        for result in root.iter(f"{SPARQL}result")
    ]


class TestEndorsers:
    @pytest.mark.parametrize("address", [ADDRESS, f"{ADDRESS}/"])
    def test_everybody_can_read_it(self, client, address):
        EntryFactory(endorser_name="Alice Example")
        EntryFactory(expired=True)
        page = text_of(client.get(address))
        assert "Alice Example" in page
        assert "alice@example.org" in page

    def test_it_counts_what_each_vouches_for_now(self, client):
        EntryFactory()
        EntryFactory()
        EntryFactory(expired=True)
        EntryFactory(deprecated="Old.")
        EntryFactory(endorser_email="bob@example.org")
        lines = list(client.get(ADDRESS).context["page"])
        assert [(line["endorser_email"], line["valid"], line["images"]) for line in lines] == [
            ("alice@example.org", 2, 4), ("bob@example.org", 1, 1),
        ]  # fmt: skip

    def test_it_says_of_how_many_images_the_certificate_is_trusted(self, client):
        EntryFactory(trust="trusted")
        EntryFactory(trust="unsigned")
        EntryFactory(trust="trusted", expired=True)
        EntryFactory(trust="trusted", endorser_email="bob@example.org")
        page = text_of(client.get(ADDRESS))
        assert ">1 signed with a certificate that is trusted here<" in page
        assert page.count(">signed with a certificate that is trusted here<") == 1
        assert "text-bg-success" not in page

    def test_the_catalogue_knows_them_by_any_spelling(self, client):
        EntryFactory(title="Hers")
        page = client.get("/marketplace/?endorser=Alice@example.org")
        assert "Hers" in text_of(page)

    def test_a_tag_of_deprecated_images_is_none(self, client):
        EntryFactory(alternative="tides", deprecated="Old.")
        assert "No image of theirs that is in use has a tag." in text_of(client.get(ALICE))

    def test_programs_get_no_more_than_a_part(self, client, monkeypatch):
        monkeypatch.setattr("marketplace.views.endorsers.MOST_ENDORSERS", 2)
        for n in range(4):
            EntryFactory(endorser_email=f"e{n}@example.org")
        assert len(rows_of(client.get(f"{ADDRESS}?media=xml"))) == 2

    def test_the_site_itself_comes_first(self, client):
        EntryFactory()
        EntryFactory(official=True, endorser_email="portal@example.org")
        page = client.get(ADDRESS)
        assert page.context["page"][0]["endorser_email"] == "portal@example.org"
        assert "Official" in text_of(page)

    def test_it_is_searched(self, client):
        EntryFactory()
        EntryFactory(endorser_email="bob@example.org", endorser_name="Bob Builder")
        for words in ("builder", "BOB@"):
            found = client.get(ADDRESS, {"q": words}).context["page"]
            assert [line["endorser_email"] for line in found] == ["bob@example.org"]
        assert "No endorsers match" in text_of(client.get(ADDRESS, {"q": "nobody"}))

    def test_who_speaks_to_some_only_is_not_listed_for_others(self, client):
        alice = UserFactory(username="alice", email="alice@example.org")
        published(owner=alice, readers=Reader(visibility=Visibility.PRIVATE))
        assert "alice@example.org" not in text_of(client.get(ADDRESS))
        assert rows_of(client.get(f"{ADDRESS}?media=xml")) == []
        assert client.get(ALICE).status_code == 404

    def test_xml_is_results_of_sparql(self, client):
        published()
        published(b"another one")
        name = "CN=Alice Example,O=Example Lab"
        answer = client.get(ADDRESS, headers={"Accept": "application/xml"})
        assert rows_of(answer) == [
            {"email": "alice@example.org", "subject": name, "issuer": name},
        ]
        assert "Accept" in answer["Vary"]
        variables = [one.get("name") for one in fromstring(answer.content)[0]]
        assert variables == ["email", "subject", "issuer"]

    def test_json_is_results_of_sparql(self, client):
        EntryFactory()
        said = json.loads(client.get(f"{ADDRESS}?media=json").content)
        assert said["head"]["vars"] == ["email", "subject", "issuer"]
        email = {"type": "literal", "value": "alice@example.org"}
        assert said["results"]["bindings"] == [{"email": email}]

    def test_fifty_cost_as_many_queries_as_one(self, client, django_assert_num_queries):
        for n in range(50):
            EntryFactory(endorser_email=f"e{n}@example.org")
        with django_assert_num_queries(2):
            client.get(ADDRESS)

    def test_an_empty_list_says_so(self, client):
        assert "No endorser yet" in text_of(client.get(ADDRESS))


class TestEndorser:
    def test_it_shows_what_was_said_of_late(self, client):
        now = timezone.now().replace(microsecond=0)
        EntryFactory(title="new", created_at=now - timedelta(days=5))
        EntryFactory(title="middle", created_at=now - timedelta(days=50))
        EntryFactory(title="old", created_at=now - timedelta(days=80))
        EntryFactory(title="ancient", created_at=now - timedelta(days=100))
        for days, titles in (
            (30, {"new"}),
            (60, {"new", "middle"}),
            (90, {"new", "middle", "old"}),
        ):
            history = client.get(f"{ALICE}?range={days}").context["history"]
            assert {one.title for one in history} == titles

    @pytest.mark.parametrize("asked", ["", "?range=7", "?range=x", "?range=-30"])
    def test_it_is_thirty_days_unless_asked_otherwise(self, client, asked):
        EntryFactory()
        assert client.get(f"{ALICE}{asked}").context["days"] == 30

    def test_what_was_deprecated_says_why(self, client):
        EntryFactory(created_at=timezone.now().replace(microsecond=0), deprecated="A hole.")
        assert "Deprecated: A hole." in text_of(client.get(ALICE))

    def test_its_certificates_are_shown(self, client):
        entry = published()
        assert entry.document.fingerprint in text_of(client.get(ALICE))

    def test_a_stranger_is_not_found(self, client):
        assert client.get(ALICE).status_code == 404
        answer = client.get(f"{ALICE}?media=json")
        assert json.loads(answer.content) == {"404": "endorser not found."}

    def test_programs_read_the_same_history(self, client):
        at = timezone.now().replace(microsecond=0)
        entry = EntryFactory(created_at=at, title="Bell \x07", locations=["https://a/1"])
        [row] = rows_of(client.get(f"{ALICE}?media=xml"))
        assert row["identifier"] == entry.identifier
        assert row["title"] == "Bell \ufffd"
        assert row["location"] == "https://a/1"
        assert "deprecated" not in row

    def test_its_queries_do_not_grow(self, client, django_assert_max_num_queries):
        for n in range(20):
            at = timezone.now().replace(microsecond=0)
            EntryFactory(alternative=f"t{n}", created_at=at - timedelta(hours=n))
        with django_assert_max_num_queries(6):
            client.get(ALICE)


class TestTags:
    def test_each_leads_to_the_newest_image(self, client):
        EntryFactory(alternative="debian", title="Debian 12")
        EntryFactory(alternative="debian", title="Debian 13")
        EntryFactory(alternative="fedora", title="Fedora")
        EntryFactory(alternative="old", deprecated="Old.")
        answer = client.get(f"{ALICE}/tags")
        assert [one.title for one in answer.context["tags"]] == ["Debian 13", "Fedora"]
        rows = rows_of(client.get(f"{ALICE}/tags?media=xml"))
        assert [row["tag"] for row in rows] == ["debian", "fedora"]
        assert "Debian 13" in text_of(client.get(ALICE))

import json

import pytest
from asgiref.sync import sync_to_async
from django.db import connections
from django.test import AsyncClient, Client
from django.utils import timezone

from marketplace import documents
from marketplace.models import Document, Entry
from marketplace.tests.factories import EntryFactory

pytestmark = pytest.mark.django_db

LIST = "/marketplace/metadata"
XML = b'<?xml version="1.0" encoding="UTF-8"?>\n<rdf:RDF xmlns:rdf="urn:x">%d</rdf:RDF>\n'


def signed(**fields):
    entry = EntryFactory(**fields)
    Document.objects.create(entry=entry, xml=XML % entry.pk, verified_at=timezone.now())
    return entry


def table(client, query="", **headers):
    answer = client.get(f"{LIST}?media=json&{query}", **headers)
    assert answer.status_code == 200
    return json.loads(body(answer))


def titles(answer):
    return [row[10] for row in answer["aaData"]]


def body(answer):
    return b"".join(answer)


class TestTable:
    def test_a_row_has_the_columns_of_stratuslab(self, client):
        entry = EntryFactory(
            os="debian", title="Debian 12 minimal", description="Minimal.",
            locations=["https://images.example.org/d.img.gz", "https://else.example.org/d"],
        )  # fmt: skip
        answer = table(client, "sEcho=3")
        assert answer == {
            "sEcho": 3,
            "iTotalRecords": 1,
            "iTotalDisplayRecords": 1,
            "rMsg": "no metadata matching query found",
            "aaData": [[
                "", "debian", "12", "x86_64", "alice@example.org", "machine",
                entry.created_at.strftime("%Y-%m-%dT%H:%M:%SZ"), entry.identifier,
                "https://images.example.org/d.img.gz", "Minimal.", "Debian 12 minimal",
            ]],
        }  # fmt: skip

    def test_what_is_missing_is_blank(self, client):
        EntryFactory(os="", os_version="", title="", description="")
        assert table(client)["aaData"][0][1:3] == ["", ""]

    def test_it_is_asked_for_by_accept_and_by_a_form_too(self, client):
        EntryFactory(title="one")
        by_accept = client.get(LIST, headers={"accept": "application/json"})
        assert titles(json.loads(body(by_accept))) == ["one"]
        strict = Client(enforce_csrf_checks=True)
        form = "sSearch=one&iDisplayStart=0&iDisplayLength=5"
        answer = strict.post(LIST, form, content_type="application/x-www-form-urlencoded")
        assert titles(json.loads(body(answer))) == ["one"]

    def test_searches_sorts_and_pages(self, client):
        for n, system in enumerate(("Debian", "Fedora", "Ubuntu")):
            EntryFactory(title=str(n), os=system)
        page = "iDisplayStart=1&iDisplayLength=1&iSortCol_0=1&sSortDir_0="
        assert titles(table(client, f"{page}asc")) == ["1"]
        assert titles(table(client, "iDisplayStart=0&iDisplayLength=-1&iSortCol_0=10")) == list(
            "210"
        )
        found = table(client, "sSearch=x86_64&sSearch_1=EDOR")
        assert titles(found) == ["1"]
        assert (found["iTotalRecords"], found["iTotalDisplayRecords"]) == (3, 1)

    def test_no_hit_is_no_fault(self, client):
        assert table(client, "sSearch=nothing")["aaData"] == []

    @pytest.mark.parametrize(
        "odd",
        [
            "iDisplayStart=x&iDisplayLength=-7",
            "iSortCol_0=99&iDisplayStart=-1&iDisplayLength=1",
            "sEcho=<b>",
            "sSearch=%25%27",
            "iDisplayStart=99999999999999999999&iDisplayLength=1",
        ],
    )
    def test_odd_numbers_are_answered(self, client, odd):
        EntryFactory()
        assert table(client, odd)["iTotalRecords"] == 1

    def test_long_lists_are_sent_in_pieces(self, client, monkeypatch):
        monkeypatch.setattr("marketplace.views.lists.TOGETHER", 2)
        for n in range(5):
            EntryFactory(title=str(n), description="x" * 20_000)
        answer = client.get(f"{LIST}?media=json")
        pieces = list(answer)
        assert max(map(len, pieces)) < 5000
        said = json.loads(b"".join(pieces))
        assert titles(said) == list("43210")
        assert said["aaData"][0][9] == "x" * 1000

    def test_a_private_entry_is_in_its_owners_list_only(self, client, alice):
        EntryFactory(title="secret", owner=alice, visibility="private")
        assert titles(table(client)) == []
        client.force_login(alice)
        assert titles(table(client)) == ["secret"]

    def test_it_costs_the_same_queries_however_long(self, client, django_assert_num_queries):
        for _ in range(2):
            EntryFactory()
        with django_assert_num_queries(4):
            table(client, "sSearch=image&iDisplayStart=0&iDisplayLength=1")
        for _ in range(20):
            EntryFactory()
        with django_assert_num_queries(4):
            assert len(titles(table(client, "sSearch=image"))) == 22


class TestDocuments:
    def test_they_are_wrapped_to_the_byte_the_newest_first(self, client):
        entries = [signed() for _ in range(3)]
        answer = client.get(LIST, headers={"accept": "application/xml"})
        assert answer["Content-Type"].startswith("application/xml")
        split = documents.split_list(body(answer))
        said = [bytes(e.document.xml).split(b"\n", 1)[1].strip() for e in reversed(entries)]
        assert [one.strip() for one in split] == said

    async def test_they_are_sent_by_an_asynchronous_server_too(self, transactional_db):
        await sync_to_async(signed)()
        answer = await AsyncClient().get(LIST, headers={"accept": "application/xml"})
        pieces = [piece async for piece in answer]
        await sync_to_async(connections.close_all)()  # of the thread, which lives on
        assert len(documents.split_list(b"".join(pieces))) == 1

    def test_more_than_are_held_at_a_time(self, client, monkeypatch):
        monkeypatch.setattr("marketplace.views.lists.TOGETHER", 2)
        for _ in range(5):
            signed()
        assert len(documents.split_list(body(client.get(f"{LIST}?media=xml")))) == 5
        some = client.get(f"{LIST}?media=xml&iDisplayStart=3&iDisplayLength=10")
        assert len(documents.split_list(body(some))) == 2

    def test_the_parameters_of_stratuslab_choose(self, client):
        one = signed(endorser_email="bob@example.org", locations=["pdisk:x:1"])
        signed(expired=True)
        old = signed(content=b"x")
        signed(content=b"x", deprecated="Old.")
        for query, count in (
            ("", 1), ("status=expired", 1), ("status=all", 3), ("email=bob@example.org", 1),
            (f"identifier={one.identifier}", 1), ("location=pdisk", 1), ("location=all", 1),
            (f"status=all&created={old.created_at:%Y-%m-%dT%H:%M:%SZ}", 1),
        ):  # fmt: skip
            answer = client.get(f"{LIST}?media=xml&{query}")
            assert len(documents.split_list(body(answer))) == count, query

    @pytest.mark.parametrize(
        ("media", "said"),
        [("xml", b"<error>no metadata matching query found</error>")],
    )
    def test_nothing_found_is_said_in_stratuslabs_words(self, client, media, said):
        EntryFactory()  # it has no document
        for query in ("", "&email=nobody@example.org", "&created=yesterday"):
            answer = client.get(f"{LIST}?media={media}{query}")
            assert answer.status_code == 404
            assert said in answer.content


class TestAddresses:
    def test_people_are_led_to_the_catalogue(self, client):
        assert client.get(LIST)["Location"] == "/marketplace/"
        led = client.get(f"{LIST}?status=all&email=bob@example.org")["Location"]
        assert led == "/marketplace/?status=all&endorser=bob%40example.org"

    @pytest.mark.parametrize("slashes", ["", "/", "//"])
    @pytest.mark.parametrize("root", ["", "/marketplace"])
    def test_the_old_ones_answer_as_the_new_ones(self, client, root, slashes):
        EntryFactory(title="one")
        answer = client.get(f"{root}/metadata{slashes}?media=json")
        assert titles(json.loads(body(answer))) == ["one"]

    def test_the_old_upload_leads_on(self, client):
        assert client.get("/upload").status_code == 302
        assert client.get("/upload/").status_code == 302

    def test_an_entry_has_its_old_address_too(self, client):
        entry = signed()
        created = f"{entry.created_at:%Y-%m-%dT%H:%M:%SZ}"
        full = f"/metadata/{entry.identifier}/{entry.endorser_email}/{created}"
        answer = client.get(f"{full}?media=xml")
        assert answer.content == bytes(entry.document.xml)
        assert client.get(f"/metadata/{entry.identifier}").status_code == 200
        assert client.get("/endorsers").status_code == 200


class TestApi:
    URL = "/api/v1/entries"

    def test_it_needs_no_token_for_what_is_public(self, client, alice):
        EntryFactory(title="open")
        EntryFactory(title="secret", owner=alice, visibility="private")
        client.force_login(alice)  # a session counts for nothing here
        answer = client.get(self.URL)
        assert [one["title"] for one in answer.json()["items"]] == ["open"]

    def test_it_searches_as_the_catalogue_does(self, client):
        EntryFactory(title="Slurm", os="Debian")
        EntryFactory(title="Slurm", os="Fedora")
        found = client.get(f"{self.URL}?q=slurm&os=Fedora&official=false&sort=-date").json()
        assert (found["total"], found["pages"], found["page"]) == (1, 1, 1)
        assert {"value": "Debian", "count": 1} in found["facets"]["os"]
        [one] = found["items"]
        assert one["endorser"] == {"name": "", "email": "alice@example.org"}
        assert one["may_launch"]

    def test_a_page_that_is_not_there_is_empty(self, client):
        EntryFactory()
        assert client.get(f"{self.URL}?page=7").json()["items"] == []

    @pytest.mark.parametrize("odd", ["page=0", "page_size=101", "kind=bird", "status=no"])
    def test_what_it_does_not_know_is_refused(self, client, odd):
        assert client.get(f"{self.URL}?{odd}").status_code == 422

    def test_one_entry_and_all_that_is_said_of_an_image(self, client, alice):
        old = EntryFactory(content=b"x", title="old")
        new = EntryFactory(content=b"x", title="new")
        assert client.get(f"{self.URL}/{new.uuid}").json()["title"] == "new"
        said = client.get(f"/api/v1/images/{new.identifier}/entries").json()
        assert [(one["title"], one["may_launch"]) for one in said] == [
            ("new", True),
            ("old", False),
        ]
        Entry.objects.filter(pk=old.pk).update(visibility="private")
        assert client.get(f"{self.URL}/{old.uuid}").status_code == 404
        assert len(client.get(f"/api/v1/images/{new.identifier}/entries").json()) == 1

    def test_a_wrong_token_is_not_taken_for_none(self, client):
        answer = client.get(self.URL, headers={"authorization": "Bearer slp_wrong"})
        assert answer.status_code == 401

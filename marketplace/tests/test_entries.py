"""The addresses of entries, and what is answered there in each form."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from django.test import Client
from django.utils import timezone
from lxml.etree import fromstring

from core.models import Event
from marketplace.actions import note_launch, note_tested
from marketplace.models import Document, Entry, LocationCheck, PolicyLine, TestedSize, Use
from marketplace.publishing import Reader
from marketplace.states import Colour, Subject, Visibility
from marketplace.tests.factories import EntryFactory
from marketplace.tests.publishing import published, signed
from registration.tests.factories import UserFactory

pytestmark = pytest.mark.django_db

HELLO = "PcW9GNhE3-YFGQ0hPFsSrRla7Sb"
AT = datetime(2026, 1, 15, 10, tzinfo=UTC)
FULL = f"/marketplace/metadata/{HELLO}/alice@example.org/2026-01-15T10:00:00Z"
RDF = "application/rdf+xml"


def text_of(answer) -> str:
    return " ".join(answer.content.decode().split())


def signed_in(user) -> Client:
    client = Client()
    client.force_login(user)
    return client


class TestForms:
    def test_xml_is_the_document_to_the_byte(self, client):
        xml = signed(at=AT)
        entry = published(at=AT)
        Document.objects.filter(entry=entry).update(xml=xml)
        answer = client.get(FULL, headers={"Accept": RDF})
        assert answer.status_code == 200
        assert answer.content == xml
        assert answer["Content-Type"] == RDF
        assert answer["Content-Disposition"] == f'attachment; filename="{HELLO}.xml"'
        assert "Accept" in answer["Vary"]

    @pytest.mark.parametrize(
        ("accept", "query", "kind"),
        [
            ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "", "text/html"),
            ("*/*", "", "text/html"),
            ("application/xml", "", RDF),
            ("text/xml", "", RDF),
            ("application/json", "", "application/json"),
            ("application/json;q=0.5, application/rdf+xml", "", RDF),
            ("text/html", "?media=xml", RDF),
            (RDF, "?media=json", "application/json"),
            (RDF, "?media=html", "text/html"),
            ("application/json", "?media=nonsense", "application/json"),
            ("image/png", "", "text/html"),
        ],
    )
    def test_accept_and_media_choose_the_form(self, client, accept, query, kind):
        published(at=AT)
        answer = client.get(f"{FULL}{query}", headers={"Accept": accept})
        assert answer["Content-Type"].split(";")[0] == kind
        assert "Accept" in answer["Vary"]

    def test_json_is_rdf_without_the_signature(self, client):
        published(at=AT)
        answer = client.get(f"{FULL}?media=json")
        said = json.loads(answer.content)
        subject = said[f"http://mp.stratuslab.eu/#{HELLO}"]
        assert subject["http://purl.org/dc/terms/identifier"][0]["value"] == HELLO
        assert "Signature" not in answer.content.decode()
        assert answer["Content-Disposition"] == f'attachment; filename="{HELLO}.json"'

    @pytest.mark.parametrize("media", ["xml", "json"])
    def test_who_has_it_already_is_told_so(self, client, media):
        published(at=AT)
        first = client.get(f"{FULL}?media={media}")
        again = client.get(f"{FULL}?media={media}", headers={"If-None-Match": first["ETag"]})
        assert again.status_code == 304
        assert "Accept" in again["Vary"]
        since = client.get(
            f"{FULL}?media={media}", headers={"If-Modified-Since": first["Last-Modified"]}
        )
        assert since.status_code == 304

    def test_each_form_has_a_tag_of_its_own(self, client):
        published(at=AT)
        tags = {client.get(f"{FULL}?media={media}")["ETag"] for media in ("xml", "json")}
        assert len(tags) == 2

    def test_a_head_has_the_same_words(self, client):
        published(at=AT)
        assert client.head(f"{FULL}?media=xml")["Content-Type"] == RDF

    def test_what_few_may_read_is_not_kept_by_caches(self):
        alice = UserFactory(username="alice", email="alice@example.org")
        published(at=AT, owner=alice, readers=Reader(visibility=Visibility.PRIVATE))
        answer = signed_in(alice).get(f"{FULL}?media=xml")
        assert "private" in answer["Cache-Control"]
        assert "Cookie" in answer["Vary"]

    def test_an_entry_of_an_index_has_no_document(self, client):
        entry = EntryFactory()
        answer = client.get(f"{entry.permalink}?media=xml")
        assert answer.status_code == 404
        assert b"nobody signs" in answer.content
        assert client.get(f"{entry.permalink}?media=json").status_code == 404


class TestMissing:
    def test_xml_says_so_in_xml(self, client):
        answer = client.get(FULL, headers={"Accept": "application/xml"})
        assert answer.status_code == 404
        assert fromstring(answer.content).tag == "error"
        assert fromstring(answer.content).text == "metadata entry not found."
        assert "Accept" in answer["Vary"]

    def test_json_has_the_status_as_its_key(self, client):
        answer = client.get(f"{FULL}?media=json")
        assert json.loads(answer.content) == {"404": "metadata entry not found."}

    def test_a_search_without_hits_says_so(self, client):
        answer = client.get(f"/marketplace/metadata/{HELLO}?media=json")
        assert json.loads(answer.content) == {"404": "no metadata matching query found"}

    def test_a_search_tells_that_there_is_something_of_another_status(self, client):
        EntryFactory(content=b"hello stratuslab\n", expired=True)
        answer = client.get(f"/marketplace/metadata/{HELLO}?media=json")
        assert answer.status_code == 404
        assert "status=all" in answer.content.decode()

    @pytest.mark.parametrize(
        "path",
        ["nonsense", "A" * 26, f"{HELLO}/{HELLO}", "a@b.org/c@d.org", f"{HELLO}/a@b.org/never",
         "2026-99-99T00:00:00Z", f"{HELLO}/alice@example.org/2026-02-30T00:00:00Z"],
    )  # fmt: skip
    def test_what_is_no_key_is_not_found(self, client, path):
        assert client.get(f"/marketplace/metadata/{path}").status_code == 404
        assert client.get(f"/marketplace/metadata/{path}?media=xml").status_code == 404

    def test_somebody_elses_private_entry_is_not_found_in_any_form(self):
        alice = UserFactory(username="alice", email="alice@example.org")
        published(at=AT, owner=alice, readers=Reader(visibility=Visibility.PRIVATE))
        stranger = signed_in(UserFactory())
        for media in ("html", "xml", "json"):
            assert Client().get(f"{FULL}?media={media}").status_code == 404
            assert stranger.get(f"{FULL}?media={media}").status_code == 404
        assert Event.objects.filter(outcome="denied").exists()


class TestParts:
    @pytest.mark.parametrize(
        "path",
        [
            HELLO, f"{HELLO}/", f"/{HELLO}//", f"{HELLO}/alice@example.org",
            f"alice@example.org/{HELLO}", f"{HELLO}/2026-01-15T10:00:00Z",
            f"2026-01-15T10:00:00Z/alice@example.org/{HELLO}/",
            f"{HELLO}//alice@example.org//2026-01-15T10:00:00Z//",
        ],
    )  # fmt: skip
    def test_each_part_is_known_by_its_look(self, client, path):
        published(at=AT)
        for media in ("html", "xml", "json"):
            answer = client.get(f"/marketplace/metadata/{path}?media={media}")
            assert answer.status_code == 200, media

    def test_the_one_entry_of_an_image_is_its_document(self, client):
        entry = published(at=AT)
        answer = client.get(f"/marketplace/metadata/{HELLO}?media=xml")
        assert answer.content == bytes(entry.document.xml)

    def test_clients_of_old_find_a_list_at_the_old_path(self, client):
        entry = published(at=AT)
        whole = b"".join(client.get(f"/metadata/{HELLO}?media=xml"))
        assert fromstring(whole).tag == "metadata"
        key = FULL.removeprefix("/marketplace")
        assert client.get(f"{key}?media=xml").content == bytes(entry.document.xml)

    def test_an_address_is_a_filter_of_the_catalogue(self, client):
        published(at=AT)
        answer = client.get("/marketplace/metadata/alice@example.org")
        assert answer.status_code == 302
        assert answer.url == "/marketplace/?endorser=alice%40example.org&status=all"

    def test_an_instant_leads_to_what_was_said_then(self, client):
        entry = published(at=AT)
        answer = client.get("/marketplace/metadata/2026-01-15T10:00:00Z")
        assert answer.url == entry.permalink

    def test_several_entries_are_a_list(self, client):
        published(at=AT)
        published(email="bob@example.org")
        answer = client.get(f"/marketplace/metadata/{HELLO}?media=xml")
        found = fromstring(b"".join(answer))
        assert found.tag == "metadata"
        assert len(found) == 2

    def test_the_page_of_an_image_with_several_entries_shows_one(self, client):
        published(at=AT)
        published(email="bob@example.org")
        page = text_of(client.get(f"/marketplace/metadata/{HELLO}"))
        assert "Endorsements of this image" in page
        assert "bob@example.org" in page


class TestTag:
    @pytest.mark.parametrize(
        "address",
        ["/marketplace/tag/alice@example.org/debian",
         "/marketplace/metadata/alice@example.org?tag=debian"],
    )  # fmt: skip
    def test_it_leads_to_the_newest_image_that_is_not_deprecated(self, client, address):
        EntryFactory(alternative="debian", content=b"1")
        newest = EntryFactory(alternative="debian", content=b"2")
        EntryFactory(alternative="debian", content=b"3", deprecated="It has a hole.")
        EntryFactory(alternative="debian", content=b"4", endorser_email="bob@example.org")
        EntryFactory(alternative="fedora", content=b"5")
        answer = client.get(address)
        assert answer.status_code == 302
        assert answer.url == newest.permalink

    def test_it_keeps_the_form(self, client):
        entry = EntryFactory(alternative="debian")
        answer = client.get("/marketplace/tag/alice@example.org/debian?media=xml")
        assert answer.url == f"{entry.permalink}?media=xml"

    def test_a_tag_of_nothing_but_deprecated_images_says_so(self, client):
        entry = EntryFactory(alternative="debian", deprecated="Old")
        address = "/marketplace/tag/alice@example.org/debian"
        page = client.get(address)
        assert page.status_code == 404
        assert "All images with this tag are deprecated" in text_of(page)
        assert entry.permalink in text_of(page)
        said = json.loads(client.get(f"{address}?media=json").content)
        assert said == {"404": "no metadata matching query found"}

    def test_no_such_tag_is_not_found(self, client):
        EntryFactory(alternative="debian", visibility="private", owner=UserFactory())
        address = "/marketplace/tag/alice@example.org/debian"
        assert client.get(address).status_code == 404
        assert "deprecated" not in text_of(client.get(address))

    def test_another_spelling_of_the_endorser_leads_there_too(self, client):
        entry = EntryFactory(endorser_email="Alice@Example.org", alternative="debian")
        assert entry.endorser_email == "alice@example.org"
        for address in ("tag/ALICE@example.org/debian", "metadata/Alice@example.org?tag=debian"):
            assert client.get(f"/marketplace/{address}").url == entry.permalink
        shown = client.get(entry.permalink.replace("alice", "Alice"))
        assert shown.status_code == 200
        assert client.get("/marketplace/endorsers/Alice@example.org").status_code == 200

    def test_tags_have_blanks_and_slashes(self, client):
        entry = EntryFactory(alternative="my tag/v1")
        answer = client.get("/marketplace/tag/alice@example.org/my%20tag/v1")
        assert answer.url == entry.permalink
        assert client.get(entry.permalink).status_code == 200


class TestPage:
    def test_it_says_what_the_signature_is_worth(self, client):
        entry = published(at=AT)
        page = text_of(client.get(entry.permalink))
        for words in (
            "the certificate is not known here", "rsa-sha256", "CN=Alice Example,O=Example Lab",
            "itself (self-signed)", entry.document.fingerprint,
        ):  # fmt: skip
            assert words in page

    @pytest.mark.parametrize(
        ("begins", "ends", "words"),
        [
            (timedelta(days=-90), timedelta(days=-60), "had expired already"),
            (timedelta(days=-60), timedelta(days=-1), "has expired since"),
            (timedelta(days=-1), timedelta(days=90), "was not valid yet"),
        ],
    )
    def test_it_says_how_the_certificate_stands(self, client, begins, ends, words):
        entry, now = published(), timezone.now().replace(microsecond=0)
        dates = {"not_before": now + begins, "not_after": now + ends}
        Document.objects.filter(entry=entry).update(**dates)
        Entry.objects.filter(pk=entry.pk).update(created_at=now - timedelta(days=30))
        entry.refresh_from_db()
        assert words in text_of(client.get(entry.permalink))

    def test_it_says_what_its_locations_were_like(self, client):
        entry = EntryFactory(
            is_kept_here=False,
            locations=["https://a.example.org/disk.img", "https://b.example.org/disk.img",
                       "https://c.example.org/disk.img", "pdisk:example.org:1", "ftp://d/e"],
        )  # fmt: skip
        now = timezone.now()
        said = "The server answers 404 (there is no such file) instead of a file."
        LocationCheck.objects.create(
            url=entry.locations[0], checked_at=now, is_there=True, size_bytes=1 << 20
        )
        LocationCheck.objects.create(
            url=entry.locations[1], checked_at=now, is_there=False, said=said
        )
        page = text_of(client.get(entry.permalink))
        for words in (
            "There, 1 MiB", f"Not found: {said}", "has not looked there yet",
            "A disk of a StratusLab site", "does not look at addresses of this kind",
        ):  # fmt: skip
            assert words in page

    def test_it_counts_who_used_it_and_names_nobody(self, client):
        entry = EntryFactory()
        for user in (UserFactory(username="carol_9"), UserFactory(username="dave_9")):
            note_launch(entry, user)
            note_launch(entry, user)
        note_tested(entry, "small", 1, 512)
        page = text_of(client.get(entry.permalink))
        assert "Launched 4 times by 2 people" in page
        assert "small" in page
        assert "512 MiB" in page
        assert "carol_9" not in page

    def test_it_lists_versions_of_the_same_endorser(self, client):
        entry = EntryFactory(alternative="debian", title="Debian 12")
        EntryFactory(alternative="debian", title="Debian 13")
        EntryFactory(alternative="debian", title="Bob's", endorser_email="bob@example.org")
        EntryFactory(alternative="", is_version_of=entry.identifier, title="Debian 12.1")
        page = text_of(client.get(entry.permalink))
        assert "Versions of this image" in page
        assert "Debian 13" in page
        assert "Debian 12.1" in page
        assert "Bob&#x27;s" not in page

    def test_what_is_not_allowed_here_has_no_button(self, client):
        entry = EntryFactory()
        PolicyLine.objects.create(
            subject=Subject.ENDORSER, colour=Colour.BLACK, value="alice@example.org"
        )
        page = text_of(client.get(entry.permalink))
        assert "Not allowed here" in page
        assert "/vms/launch/" not in page

    def test_another_endorsement_that_is_allowed_is_named(self, client):
        entry = EntryFactory(content=b"one")
        EntryFactory(content=b"one", endorser_email="bob@example.org")
        PolicyLine.objects.create(
            subject=Subject.ENDORSER, colour=Colour.BLACK, value="alice@example.org"
        )
        page = text_of(client.get(entry.permalink))
        assert "Machines can start from the endorsement of" in page
        assert "/vms/launch/" not in page

    def test_an_older_word_says_what_is_said_since(self, client):
        said = {"content": b"one", "endorser_name": "Alice"}
        oldest, old = EntryFactory(**said), EntryFactory(**said)
        page = text_of(client.get(oldest.permalink))
        assert "Alice has endorsed this image again since." in page
        assert "<dt>Status</dt><dd>Replaced</dd>" in page
        assert f"entry={oldest.uuid}" not in page
        newest = EntryFactory(**said, deprecated="It has a hole")
        for entry in (oldest, old):
            entry.refresh_from_db()
            page = text_of(client.get(entry.permalink))
            assert "Deprecated since by its endorser:</strong> It has a hole. <a" in page
            assert newest.permalink in page
            assert "<dd>Replaced, and deprecated since</dd>" in page
            assert "endorsed this image again" not in page
            assert "/vms/launch/" not in page

    def test_what_is_said_in_private_since_is_told_to_nobody_else(self, client):
        old, alice = EntryFactory(content=b"one"), UserFactory()
        EntryFactory(
            content=b"one", deprecated="Our lab was broken into.", owner=alice, visibility="private"
        )
        page = text_of(client.get(old.permalink))
        assert "broken into" not in page
        assert "no longer stands by this entry" in page
        assert "broken into" in text_of(signed_in(alice).get(old.permalink))

    def test_an_image_that_nobody_can_fetch_has_no_button(self, client):
        entry = EntryFactory(is_kept_here=False)
        page = text_of(client.get(entry.permalink))
        assert "names no place where the file is" in page
        assert "/vms/launch/" not in page

    def test_a_tag_that_leads_nowhere_is_no_link(self, client):
        entry = EntryFactory(alternative="debian")
        address = "/marketplace/tag/alice@example.org/debian"
        assert address in text_of(client.get(entry.permalink))
        Entry.objects.update(deprecated="Old.")
        assert address not in text_of(client.get(entry.permalink))

    def test_a_launch_of_a_private_entry_is_counted_for_its_readers_alone(self, client):
        entry, bob = EntryFactory(content=b"one"), UserFactory()
        secret = EntryFactory(
            content=b"one", endorser_email="bob@example.org", owner=bob, visibility="private"
        )
        note_launch(secret, bob)
        note_tested(secret, "huge", 8, 65536)
        page = text_of(client.get(entry.permalink))
        assert "Nobody has launched it yet" in page
        assert "huge" not in page
        page = text_of(signed_in(bob).get(entry.permalink))
        assert "Launched 1 time by 1 person" in page
        assert "huge" in page

    def test_a_description_is_not_cut_in_two(self, client):
        entry = EntryFactory(description="Small. For tests.")
        assert "<p>Small. For tests.</p>" in text_of(client.get(entry.permalink))

    def test_checking_a_packed_file_unpacks_it_on_the_way(self, client):
        entry = EntryFactory(
            compression="xz", is_kept_here=False, locations=["https://a.example.org/d/disk.img.xz"]
        )
        command = client.get(entry.permalink).context["verify_command"]
        expected = f"sha256sum --check <(echo '{entry.sha256}  -')"
        assert command == f"xz --decompress --stdout disk.img.xz | {expected}"

    def test_a_name_that_a_shell_would_run_is_not_in_the_command(self, client):
        hostile = ["https://a.example.org/$(reboot)", "https://a.example.org/x;y"]
        entry = EntryFactory(is_kept_here=False, locations=hostile)
        command = client.get(entry.permalink).context["verify_command"]
        assert command == f"echo '{entry.sha256}  {entry.file_name}' | sha256sum --check"

    def test_an_image_of_an_index_is_known_for_the_time_being(self, client):
        entry = EntryFactory(
            identifier="_" + "a" * 26, sha1="", size_bytes=None, is_kept_here=False
        )
        page = text_of(client.get(entry.get_absolute_url()))
        assert "for the time being" in page
        assert "not known until it is fetched" in page

    def test_only_the_endorser_may_change_what_they_said(self, client):
        alice = UserFactory(
            username="alice", email="alice@example.org", email_confirmed_at=timezone.now()
        )
        entry = published(at=AT, owner=alice)
        asked = signed_in(alice).get(entry.permalink).context["acts"]
        assert (asked["extend"], asked["deprecate"], asked["endorse"]) == (True, True, False)
        asked = signed_in(UserFactory()).get(entry.permalink).context["acts"]
        assert (asked["extend"], asked["deprecate"], asked["endorse"]) == (False, False, True)
        assert client.get(entry.permalink).context["acts"] == {}

    def test_the_sites_own_are_marked_official(self, client):
        entry = EntryFactory(official=True)
        assert "Official" in text_of(client.get(entry.permalink))

    def test_what_endorsers_write_is_never_markup(self, client):
        evil = "<script>alert(1)</script>"
        entry = EntryFactory(
            title=evil, description=f"{evil} {evil}", os=evil, publisher=evil, creator=evil,
            alternative=evil, endorser_name=evil, replaces=evil, deprecated=evil,
            locations=["javascript:alert(1)", f"https://x/{evil}"], is_kept_here=False,
        )  # fmt: skip
        page = client.get(entry.permalink).content.decode()
        assert "<script>alert" not in page
        assert 'href="javascript:' not in page

    def test_its_queries_do_not_grow(self, client, django_assert_max_num_queries):
        entry = EntryFactory(content=b"one", alternative="x", locations=["https://a/1"])
        for n in range(15):
            EntryFactory(content=b"one", endorser_email=f"e{n}@example.org")
            EntryFactory(alternative="x")
            TestedSize.objects.create(
                entry=entry, size=f"s{n}", vcpus=1, memory_mib=n,
                last_at=timezone.now(),
            )  # fmt: skip
            Use.objects.create(entry=entry, user=UserFactory(), launches=1, last_at=timezone.now())
        with django_assert_max_num_queries(12):
            client.get(entry.get_absolute_url())

import re
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from marketplace.states import ImageState
from marketplace.tests.factories import EntryFactory, ImageFileFactory

pytestmark = pytest.mark.django_db

CATALOGUE = "/marketplace/"


def shown(answer):
    """The titles of the cards of a page, in order."""
    return re.findall(r'<h3[^>]*><a href="[^"]*">([^<]*)</a>', answer.content.decode())


def signed_in(user):
    client = Client()
    client.force_login(user)
    return client


class TestCatalogue:
    def test_everybody_can_read_it(self, client):
        entry = EntryFactory(title="Debian 12", official=True)
        answer = client.get(CATALOGUE)
        assert shown(answer) == ["Debian 12"]
        assert f"/vms/launch/?image={entry.identifier}" in answer.content.decode()

    def test_the_sites_own_images_come_first_then_the_newest(self, client):
        EntryFactory(title="own", official=True)
        EntryFactory(title="older")
        EntryFactory(title="newer")
        assert shown(client.get(CATALOGUE)) == ["own", "newer", "older"]

    def test_only_valid_entries_are_shown_unless_asked_otherwise(self, client):
        EntryFactory(title="valid")
        EntryFactory(title="expired", expired=True)
        EntryFactory(title="deprecated", deprecated="Old.")
        EntryFactory(title="undated", valid_until=None)
        assert shown(client.get(CATALOGUE)) == ["valid"]
        assert shown(client.get(CATALOGUE + "?status=expired")) == ["expired"]
        assert shown(client.get(CATALOGUE + "?status=deprecated")) == ["deprecated"]
        everything = ["deprecated", "expired", "valid"]
        assert shown(client.get(CATALOGUE + "?status=all")) == everything
        assert shown(client.get(CATALOGUE + "?status=nonsense")) == ["valid"]

    def test_what_cannot_be_launched_has_no_button(self, client):
        EntryFactory(expired=True)
        EntryFactory(kind="disk")
        assert "/vms/launch/" not in client.get(CATALOGUE + "?status=all").content.decode()

    def test_filters_of_the_address_add_up(self, client):
        EntryFactory(title="one", os="Debian", os_arch="x86_64")
        EntryFactory(title="two", os="Debian", os_arch="arm64")
        EntryFactory(title="three", os="Fedora", os_arch="arm64")
        assert shown(client.get(CATALOGUE + "?os=Debian&arch=arm64")) == ["two"]
        assert shown(client.get(CATALOGUE + "?q=arm64+fedora")) == ["three"]

    def test_an_empty_catalogue_says_so(self, client):
        page = client.get(CATALOGUE).content.decode()
        assert "No image yet" in page
        assert "None match" not in page

    def test_an_administrator_learns_how_to_build_the_first_image(self, alice):
        alice.is_staff = True
        alice.save()
        assert "build_demo_image" in signed_in(alice).get(CATALOGUE).content.decode()

    def test_a_search_without_hits_offers_to_clear_it(self, client):
        EntryFactory()
        page = client.get(CATALOGUE + "?q=nothing-like-this").content.decode()
        assert "No images match" in page
        assert "Show all images" in page
        assert 'value="nothing-like-this"' in page

    def test_a_private_entry_is_shown_to_its_owner_only(self, client, alice, bob):
        EntryFactory(title="secret", owner=alice, visibility="private")
        assert shown(signed_in(alice).get(CATALOGUE)) == ["secret"]
        assert shown(signed_in(bob).get(CATALOGUE)) == []
        assert shown(client.get(CATALOGUE)) == []

    def test_what_endorsers_write_is_never_markup(self, client):
        EntryFactory(title="<script>alert(1)</script>", description="<img src=x onerror=y>")
        page = client.get(CATALOGUE).content.decode()
        assert "<script>alert" not in page
        assert "<img src=x" not in page

    @pytest.mark.parametrize("query", ["?page=x", "?page=999", "?q=" + "x" * 5000])
    def test_odd_addresses_are_answered(self, client, query):
        EntryFactory()
        assert client.get(CATALOGUE + query).status_code == 200

    def test_more_than_a_page_is_paged_and_keeps_the_search(self, client):
        for _ in range(30):
            EntryFactory(title="same")
        first = client.get(CATALOGUE + "?q=same")
        assert len(shown(first)) == 24
        assert "?q=same&amp;page=2" in first.content.decode()
        assert len(shown(client.get(CATALOGUE + "?q=same&page=2"))) == 6

    def test_twenty_rows_cost_as_many_queries_as_one(self, client, django_assert_max_num_queries):
        EntryFactory()
        with django_assert_max_num_queries(8):
            client.get(CATALOGUE)
        for _ in range(19):
            EntryFactory()
        with django_assert_max_num_queries(8):
            assert len(shown(client.get(CATALOGUE))) == 20


class TestEntry:
    def test_it_says_all_there_is(self, client):
        entry = EntryFactory(inbound_ports=[22, 80], default_user="debian", min_memory_mib=128)
        page = client.get(entry.get_absolute_url()).content.decode()
        for text in (
            entry.identifier, entry.sha1, entry.sha256, entry.sha512, "alice@example.org",
            "sha256sum --check", "<code>debian</code>", "22 (SSH), 80", "128 MiB", "x86_64",
            f"{entry.identifier}.qcow2", "kept on this site",
        ):  # fmt: skip
            assert text in page
        assert f"/vms/launch/?image={entry.identifier}" in page

    def test_the_address_is_that_of_the_marketplace(self, client):
        entry = EntryFactory(content=b"hello stratuslab\n")
        assert entry.get_absolute_url() == "/marketplace/metadata/PcW9GNhE3-YFGQ0hPFsSrRla7Sb"
        assert client.get(entry.get_absolute_url()).status_code == 200

    @pytest.mark.parametrize("identifier", ["A" * 27, "A" * 26, "Z" * 27, "..%2f..%2fetc"])
    def test_an_unknown_image_is_not_found(self, client, identifier):
        assert client.get(f"/marketplace/metadata/{identifier}/").status_code == 404

    def test_somebody_elses_private_image_is_not_found(self, client, alice, bob):
        entry = EntryFactory(owner=alice, visibility="private")
        for address in (entry.get_absolute_url(), entry.permalink):
            assert client.get(address).status_code == 404
            assert signed_in(bob).get(address).status_code == 404
            assert signed_in(alice).get(address).status_code == 200

    def test_an_expired_image_says_why_it_has_no_button(self, client):
        entry = EntryFactory(expired=True)
        page = client.get(entry.get_absolute_url()).content.decode()
        assert "Expired on" in page
        assert "It cannot be launched." in page
        assert "/vms/launch/" not in page

    def test_a_deprecated_image_says_why(self, client):
        entry = EntryFactory(deprecated="It has a hole.")
        page = client.get(entry.get_absolute_url()).content.decode()
        assert "It has a hole." in page
        assert "/vms/launch/" not in page

    def test_history_stays_reachable_by_its_full_address(self, client):
        old = EntryFactory(content=b"one", title="old", is_latest=False)
        new = EntryFactory(content=b"one", title="new")
        assert "<h1>new</h1>" in client.get(new.get_absolute_url()).content.decode()
        page = client.get(old.permalink).content.decode()
        assert "<h1>old</h1>" in page
        assert "has endorsed this image again since" in page
        assert "Replaced" in page
        assert new.permalink in page

    def test_a_strangers_newer_word_does_not_replace_the_sites_own(self, client):
        own = EntryFactory(content=b"one", title="own", official=True)
        EntryFactory(content=b"one", title="theirs", endorser_email="bob@example.org")
        assert "<h1>own</h1>" in client.get(own.get_absolute_url()).content.decode()

    def test_no_such_endorsement_is_not_found(self, client):
        entry = EntryFactory()
        base = f"/marketplace/metadata/{entry.identifier}/alice@example.org"
        for created in ("2026-99-99T00:00:00Z", "yesterday", "2020-01-01T00:00:00Z"):
            assert client.get(f"{base}/{created}/").status_code == 404

    def test_its_queries_do_not_grow_with_its_history(self, client, django_assert_max_num_queries):
        entry = EntryFactory(content=b"one")
        for n in range(20):
            since = timezone.now() - timedelta(days=n + 1)
            EntryFactory(content=b"one", created_at=since, is_latest=False)
        with django_assert_max_num_queries(11):
            client.get(entry.get_absolute_url())


class TestCopy:
    def test_its_page_says_how_far_it_is_and_looks_again(self, alice):
        image = ImageFileFactory(state=ImageState.COPYING, bytes_done=50, bytes_total=100)
        page = signed_in(alice).get(f"/marketplace/copies/{image.uuid}/").content.decode()
        assert f'data-live="image:{image.uuid}"' in page
        assert 'max="100" value="50"' in page
        assert "data-live-every" in page

    def test_at_rest_it_falls_silent(self, alice):
        image = ImageFileFactory(ready=True)
        page = signed_in(alice).get(f"/marketplace/copies/{image.uuid}/").content.decode()
        assert "data-live-every" not in page

    def test_strangers_find_nothing(self, client, alice, bob):
        image = ImageFileFactory(entry__owner=alice, entry__visibility="private")
        address = f"/marketplace/copies/{image.uuid}/"
        assert signed_in(bob).get(address).status_code == 404
        assert client.get(address).status_code == 302

    def test_it_is_on_the_page_of_its_image(self, client, alice):
        image = ImageFileFactory(state=ImageState.FAILED, reason="The disk is full.")
        address = image.entry.get_absolute_url()
        assert "The disk is full." in signed_in(alice).get(address).content.decode()
        assert "The disk is full." not in client.get(address).content.decode()

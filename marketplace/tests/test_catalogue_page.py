"""What the page of the catalogue says and offers beside the images."""

import re

import pytest
from django.urls import reverse

from marketplace.models import Entry
from marketplace.tests.factories import EntryFactory
from registration.tests.factories import UserFactory

pytestmark = pytest.mark.django_db

CATALOGUE = "/marketplace/"


def page(client, **query):
    return client.get(CATALOGUE, query).text


def test_everybody_finds_the_endorsers_and_administrators_the_policy(client):
    EntryFactory()
    assert reverse("marketplace:endorsers") in page(client)
    assert reverse("marketplace:policy") not in page(client)
    client.force_login(UserFactory(admin=True))
    assert reverse("marketplace:policy") in page(client)


@pytest.mark.parametrize("view", ["cards", "table"])
def test_the_name_of_an_endorser_leads_to_what_they_have_said(client, view):
    EntryFactory(endorser_email="lise@example.org")
    endorser = reverse("marketplace:endorser", args=["lise@example.org"])
    assert f'<a class="trust-link" href="{endorser}">' in page(client, view=view)


@pytest.mark.parametrize("words", ["debian -gromacs", "-gromacs"])
def test_a_minus_is_said_to_leave_nothing_out(client, words):
    EntryFactory()
    assert "A minus leaves nothing out" in page(client, q=words)


def test_a_hyphen_within_a_word_is_no_minus(client):
    EntryFactory()
    assert "A minus" not in page(client, q="cloud-init")


def test_words_that_nothing_has_are_not_blamed_on_filters(client):
    EntryFactory()
    said = page(client, q="zzzzqqq")
    assert "Nothing has all of the words “zzzzqqq”" in said
    assert "filters hide" not in said


def test_each_filter_that_hides_what_was_found_can_be_dropped(client):
    EntryFactory(title="web server", os="Debian")
    said = page(client, q="web", os="Ubuntu", arch="i686")
    assert 'href="?q=web&amp;arch=i686" data-list-to>Without operating system: Ubuntu' in said
    assert "“web” without any filter" in said


def test_tags_beyond_the_frequent_ones_can_be_named(client):
    for number in range(25):
        EntryFactory(alternative=f"tag-{number}")
    said = page(client, os="Debian", status="all")
    form = re.search(r'<form class="facet-rest".*?</form>', said, re.DOTALL)[0]
    assert '<input type="hidden" name="os" value="Debian">' in form
    assert '<input type="hidden" name="status" value="all">' in form
    assert 'name="tag" maxlength' in form
    assert "Another tag" not in page(client, tag=["tag-1"], os="Fedora")


def test_counts_are_grouped(client):
    EntryFactory(size_bytes=2786040679)
    assert "2,786,040,679 bytes" in client.get(EntryFactory(size_bytes=2786040679).permalink).text
    assert "(10 bytes)" not in client.get(EntryFactory(size_bytes=10).permalink).text


def test_the_heads_of_the_table_sort(client):
    EntryFactory()
    heads = re.findall(r'<a class="sort"[^>]*>([^<]*)', page(client, view="table"))
    assert heads == ["System", "Endorser", "Endorsed", "Valid until"]
    assert 'aria-sort="ascending"' in page(client, view="table", sort="os")
    assert 'aria-sort="descending"' in page(client, view="table", sort="-valid")
    assert "?view=table&amp;sort=-valid" in page(client, view="table")


def test_a_disk_of_data_has_no_system_no_ports_and_no_memory(client):
    entry = EntryFactory(
        kind="disk", os="none", os_version="none", os_arch="none", min_memory_mib=512
    )
    for said in (page(client), page(client, view="table"), client.get(entry.permalink).text):
        assert "none" not in re.sub(r"<[^>]*>", "", said).replace("none named", "").lower()
    said = client.get(entry.permalink).text
    assert "Open ports" not in said
    assert "512 MiB" not in said


ODD = [
    {"is_kept_here": False},
    {"is_kept_here": False, "locations": ["ftp://example.org/image"]},
    {"os_arch": "ppc64le"},
    {"kind": "disk", "os": "none", "os_arch": "none"},
]


@pytest.mark.parametrize("odd", ODD, ids=["nowhere", "not fetched", "foreign", "disk"])
@pytest.mark.parametrize("query", ["?status=all", "?view=table&status=all"])
def test_a_page_asks_as_often_whatever_its_images_are(
    client, query, odd, django_assert_max_num_queries, django_assert_num_queries
):
    """Or what is seldom, and so is on the pages of large catalogues, would cost more there."""
    usual = EntryFactory()
    with django_assert_max_num_queries(8) as asked:
        client.get(CATALOGUE + query)
    Entry.objects.filter(pk=usual.pk).update(**odd)
    with django_assert_num_queries(len(asked)):
        assert usual.title in client.get(CATALOGUE + query).text

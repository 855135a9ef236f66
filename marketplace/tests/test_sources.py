"""Administrators keep the list of catalogues elsewhere."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from core.errors import Refused
from core.models import Event
from marketplace import actions
from marketplace.actions import SourceWish
from marketplace.models import Source
from marketplace.states import SourceKind, SourceState
from marketplace.tests.factories import EntryFactory
from registration.tests.factories import UserFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def admin(cloud):
    return UserFactory(is_staff=True)


@pytest.fixture
def site(client, admin):
    client.force_login(admin)
    return client


def wish(**more) -> SourceWish:
    said = {
        "name": "Example",
        "kind": SourceKind.SIMPLESTREAMS,
        "url": "https://images.example.org/",
        "wanted": {"arch": ["x86_64", "", "x86_64 "], "words": " two  words "},
    }
    return SourceWish(**{**said, **more})


@pytest.fixture
def source(admin) -> Source:
    return actions.add_source(wish(), by=admin)


def verbs(source: Source) -> list[str]:
    return [event.verb for event in Event.objects.of(source.uuid)]


def test_public_sources_are_shipped_switched_off():
    shipped = Source.objects.filter(is_shipped=True)
    assert set(shipped.values_list("name", flat=True)) == {"Ubuntu", "Debian", "Linux Containers"}
    assert {source.state for source in shipped} == {SourceState.OFF}
    assert all(source.url.startswith("https://") for source in shipped)
    assert {source.cloud for source in shipped} == {"local"}


def test_a_source_that_is_added_is_off_until_it_is_switched_on(source, admin):
    assert (source.state, source.is_shipped) == (SourceState.OFF, False)
    assert source.wanted == {"arch": ["x86_64"], "words": "two words"}
    actions.switch_source(source, is_on=True, by=admin)
    assert source.state == SourceState.IMPORTING
    assert source.due_at > timezone.now() + timedelta(hours=23)
    actions.switch_source(source, is_on=True, by=admin)
    actions.switch_source(source, is_on=False, by=admin)
    assert (source.state, source.due_at) == (SourceState.OFF, None)
    assert verbs(source) == ["added", "source_on", "source_off"]


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"name": " "}, "source_name"),
        ({"name": "x" * 81}, "source_name"),
        ({"kind": "rss"}, "source_kind"),
        ({"url": "file:///etc/passwd"}, "source_address"),
        ({"url": "https://me:secret@example.org/"}, "source_address"),
        ({"url": "https://example.org:6379/"}, "source_address"),
        ({"url": "https://example.org/" + "x" * 500}, "source_address"),
        ({"every_hours": 0}, "source_hours"),
        ({"every_hours": 10_000}, "source_hours"),
    ],
)
def test_a_wish_that_makes_no_sense_is_refused(admin, more, code):
    with pytest.raises(Refused) as refused:
        actions.add_source(wish(**more), by=admin)
    assert refused.value.code == code


def test_names_and_addresses_are_used_once(source, admin):
    for more in ({"url": "https://other.example.org/"}, {"name": "Other"}):
        with pytest.raises(Refused) as refused:
            actions.add_source(wish(**more), by=admin)
        assert refused.value.code == "source_taken"
    other = actions.add_source(wish(name="Other", url="https://other.example.org/"), by=admin)
    with pytest.raises(Refused) as refused:
        actions.change_source(other, wish(), by=admin)
    assert refused.value.code == "source_taken"


@pytest.mark.parametrize(
    ("more", "field", "says"),
    [
        ({"name": "example", "url": "https://other.example.org/"}, "name", "is called Example"),
        ({"name": "Other"}, "url", "The source Example has this address"),
        ({"name": "Other", "url": "https://images.example.org"}, "url", "Example has"),
        (
            {"name": "Other", "url": "https://IMAGES.example.org/streams/v1/index.json"},
            "url",
            "Example has",
        ),
    ],
)
def test_a_source_that_is_there_already_is_named_at_its_field(source, admin, more, field, says):
    with pytest.raises(Refused, match=says) as refused:
        actions.add_source(wish(**more), by=admin)
    assert (refused.value.code, refused.value.field) == ("source_taken", field)


def test_one_address_may_be_of_catalogues_of_two_kinds(source, admin):
    both = wish(name="Other", kind=SourceKind.STRATUSLAB, url="https://images.example.org")
    assert actions.add_source(both, by=admin)


def test_entries_of_a_source_are_on_a_page_of_their_own(site, source):
    EntryFactory(title="From elsewhere")
    EntryFactory(source=source, title="Its newest")
    EntryFactory(source=source, title="Its oldest", expired=True)
    where = reverse("marketplace:source_entries", args=[source.uuid])
    assert where in site.get(source.get_absolute_url()).content.decode()
    page = site.get(where).content.decode()
    assert "Its newest" in page
    assert "Its oldest" in page
    assert "From elsewhere" not in page


def test_sources_are_listed_by_name(site, admin):
    for number in (3, 1, 2):
        actions.add_source(wish(name=f"Zoo {number}", url=f"https://n{number}.org/"), by=admin)
    page = site.get(reverse("marketplace:sources")).content.decode()
    names = ["Debian", "Linux Containers", "Ubuntu", "Zoo 1", "Zoo 2", "Zoo 3"]
    found = [page.index(f">{name}</a>") for name in names]
    assert found == sorted(found)


def test_what_is_changed_is_in_the_audit(source, admin):
    actions.change_source(source, wish(every_hours=6), by=admin)
    actions.change_source(source, wish(every_hours=6), by=admin)
    event = Event.objects.of(source.uuid).get(verb="changed")
    assert event.detail == {"before": {"every_hours": 24}, "after": {"every_hours": 6}}


def test_an_import_can_be_asked_for_when_the_source_is_on(source, admin):
    with pytest.raises(Refused) as refused:
        actions.import_source(source, by=admin)
    assert refused.value.code == "source_off"
    Source.objects.filter(pk=source.pk).update(state=SourceState.DUE)
    source.refresh_from_db()
    actions.import_source(source, by=admin)
    assert source.state == SourceState.IMPORTING
    actions.import_source(source, by=admin)
    assert verbs(source) == ["added", "asked"]


def test_a_source_of_a_cloud_that_is_gone_is_read_by_another(source, admin):
    Source.objects.filter(pk=source.pk).update(cloud="gone")
    source.refresh_from_db()
    actions.switch_source(source, is_on=True, by=admin)
    assert source.cloud == "local"


def test_only_what_nothing_came_from_is_removed(source, admin):
    shipped = Source.objects.get(name="Ubuntu")
    actions_of = {"source_shipped": shipped, "source_used": source}
    entry = EntryFactory(source=source)
    for code, one in actions_of.items():
        with pytest.raises(Refused) as refused:
            actions.remove_source(one, by=admin)
        assert refused.value.code == code
    type(entry).objects.all().delete()
    actions.switch_source(source, is_on=True, by=admin)
    with pytest.raises(Refused) as refused:
        actions.remove_source(source, by=admin)
    assert refused.value.code == "source_on"
    actions.switch_source(source, is_on=False, by=admin)
    actions.remove_source(source, by=admin)
    actions.remove_source(source, by=admin)
    assert not Source.objects.filter(pk=source.pk).exists()
    assert verbs(source)[-1] == "removed"


@pytest.mark.parametrize(
    "act",
    [
        lambda source, by: actions.add_source(wish(name="B", url="https://b.example.org"), by=by),
        lambda source, by: actions.change_source(source, wish(every_hours=3), by=by),
        lambda source, by: actions.switch_source(source, is_on=True, by=by),
        lambda source, by: actions.import_source(source, by=by),
        lambda source, by: actions.remove_source(source, by=by),
    ],
)
def test_sources_are_administrators_own(source, act):
    with pytest.raises(Refused) as refused:
        act(source, UserFactory())
    assert refused.value.code == "not_administrator"


# Pages


def test_one_click_switches_a_shipped_source_on(site):
    ubuntu = Source.objects.get(name="Ubuntu")
    page = site.get(reverse("marketplace:sources"))
    on = reverse("marketplace:act_on_source", args=[ubuntu.uuid, "on"])
    assert f'action="{on}"' in page.content.decode()
    answer = site.post(on, {"back": "list"}, follow=True)
    assert "its first import begins" in answer.content.decode()
    ubuntu.refresh_from_db()
    assert ubuntu.state == SourceState.IMPORTING


def test_a_source_is_added_changed_and_removed_on_its_pages(site):
    said = {
        "name": "Lab", "kind": "stratuslab", "url": "https://market.example.org/",
        "every_hours": 12, "os": "debian, ubuntu", "endorser": "alice@example.org",
    }  # fmt: skip
    answer = site.post(reverse("marketplace:source_new"), said)
    source = Source.objects.get(name="Lab")
    assert answer.url == source.get_absolute_url()
    assert source.wanted == {"os": ["debian", "ubuntu"], "endorser": ["alice@example.org"]}
    page = site.get(answer.url).content.decode()
    assert 'value="debian ubuntu"' in page
    site.post(answer.url, {**said, "every_hours": 48})
    source.refresh_from_db()
    assert source.every_hours == 48
    answer = site.post(reverse("marketplace:act_on_source", args=[source.uuid, "remove"]))
    assert answer.url == reverse("marketplace:sources")
    assert not Source.objects.filter(name="Lab").exists()


def test_a_wrong_address_is_said_beside_its_field(site, source):
    said = {"name": "A", "kind": "debian", "url": "ftp://example.org", "every_hours": 1}
    for url in (reverse("marketplace:source_new"), source.get_absolute_url()):
        answer = site.post(url, said)
        assert answer.status_code == 422
        assert "begins with https:// or http://" in answer.content.decode()


def test_a_refusal_is_told(site, source):
    answer = site.post(
        reverse("marketplace:act_on_source", args=[source.uuid, "import"]), follow=True
    )
    assert "is switched off. Switch it on: that imports at once." in answer.content.decode()


def test_the_page_lists_what_was_refused_and_escapes_it(site, source):
    Source.objects.filter(pk=source.pk).update(
        refused=[["<script>alert(1)</script>", "No SHA-256."]], imported_at=timezone.now(), seen=3
    )
    page = site.get(source.get_absolute_url()).content.decode()
    assert "&lt;script&gt;alert(1)" in page
    assert "No SHA-256." in page
    assert "3 listed there" in page


def test_live_fragments_are_one_element(site, source):
    for part, begins in (("row", "<tr"), ("state", "<div"), ("acts", "<div")):
        body = site.get(f"{source.get_absolute_url()}?part={part}").content.decode().strip()
        assert body.startswith(begins)
        assert "<html" not in body
    body = site.get(reverse("marketplace:sources") + "?part=list").content.decode().strip()
    assert body.startswith('<div id="sources"')


def test_others_see_nothing_of_it(client, source):
    client.force_login(UserFactory())
    for url in (
        reverse("marketplace:sources"), reverse("marketplace:source_new"),
        source.get_absolute_url(),
    ):  # fmt: skip
        assert client.get(url).status_code == 404
    assert client.post(
        reverse("marketplace:act_on_source", args=[source.uuid, "on"])
    ).status_code == 404  # fmt: skip


def test_no_other_verb_exists(site, source):
    url = reverse("marketplace:act_on_source", args=[source.uuid, "explode"])
    assert site.post(url).status_code == 404


def test_the_list_costs_the_same_for_many_sources(site, admin):
    def count() -> int:
        with CaptureQueriesContext(connection) as queries:
            site.get(reverse("marketplace:sources"))
        return len(queries)

    count()
    few = count()
    for n in range(20):
        one = actions.add_source(wish(name=f"S{n}", url=f"https://s{n}.example.org"), by=admin)
        EntryFactory(source=one)
    assert count() == few

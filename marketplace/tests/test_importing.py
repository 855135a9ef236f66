"""Entries come from other catalogues, from a real server, again and again."""

from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from django.utils import timezone

from core.models import Event
from core.tests.webserver import says
from marketplace.feeds import READERS
from marketplace.imports import Import
from marketplace.lifecycle import importing
from marketplace.models import Entry, PolicyLine, Source
from marketplace.states import SourceState
from marketplace.tests.sourcing import product, run, serve, server, source, source_at

__all__ = ["server", "source"]
pytestmark = pytest.mark.django_db


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

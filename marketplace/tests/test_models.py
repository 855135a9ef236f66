from datetime import timedelta

import pytest
from django.contrib.auth.models import AnonymousUser
from django.db import IntegrityError
from django.utils import timezone

from marketplace.models import Entry, ImageFile
from marketplace.states import EntryStatus
from marketplace.tests.factories import EntryFactory, ImageFileFactory

pytestmark = pytest.mark.django_db


def titles(entries):
    return {entry.title for entry in entries}


class TestWhoSeesWhat:
    def test_everybody_sees_public_entries_signed_in_or_not(self, alice):
        entry = EntryFactory()
        assert list(Entry.objects.visible_to(AnonymousUser())) == [entry]
        assert list(Entry.objects.visible_to(alice)) == [entry]

    def test_a_private_entry_is_its_owners_and_the_administrators(self, alice, bob):
        entry = EntryFactory(owner=alice, visibility="private")
        assert list(Entry.objects.visible_to(alice)) == [entry]
        assert not Entry.objects.visible_to(bob).exists()
        assert not Entry.objects.visible_to(AnonymousUser()).exists()
        bob.is_staff = True
        assert list(Entry.objects.visible_to(bob)) == [entry]

    def test_a_copy_is_seen_by_who_sees_its_entry(self, alice, bob):
        public = ImageFileFactory()
        private = ImageFileFactory(entry__owner=alice, entry__visibility="private")
        assert set(ImageFile.objects.visible_to(alice)) == {public, private}
        assert set(ImageFile.objects.visible_to(bob)) == {public}
        assert not ImageFile.objects.visible_to(AnonymousUser()).exists()


class TestStatus:
    def test_an_entry_is_valid_until_its_time_has_come(self):
        now = timezone.now()
        assert EntryFactory(valid_until=now + timedelta(minutes=1)).status is EntryStatus.VALID
        assert EntryFactory(valid_until=now).status is EntryStatus.EXPIRED

    def test_deprecated_wins_over_expired(self):
        entry = EntryFactory(expired=True, deprecated="It has a hole.")
        assert entry.status is EntryStatus.DEPRECATED

    def test_rows_and_queries_agree_about_every_status(self):
        for status, entry in {
            EntryStatus.VALID: EntryFactory(),
            EntryStatus.EXPIRED: EntryFactory(expired=True),
            EntryStatus.DEPRECATED: EntryFactory(deprecated="Old."),
            EntryStatus.UNDATED: EntryFactory(valid_until=None),
        }.items():
            assert entry.status is status
            assert list(Entry.objects.with_status(status)) == [entry]
        assert Entry.objects.with_status("all").count() == 4

    def test_an_entry_without_an_end_is_in_no_list(self):
        EntryFactory(valid_until=None)
        assert not Entry.objects.listed().exists()
        assert not Entry.objects.launchable().exists()


class TestLatest:
    def test_a_newer_word_of_the_same_endorser_replaces_the_older(self):
        EntryFactory(content=b"one", title="old")
        EntryFactory(content=b"one", title="new")
        EntryFactory(content=b"one", title="other", endorser_email="bob@example.org")
        assert titles(Entry.objects.newest()) == {"new", "other"}
        assert Entry.objects.count() == 3

    def test_a_deprecation_hides_the_older_valid_entry(self):
        EntryFactory(content=b"one")
        EntryFactory(content=b"one", deprecated="It has a hole.")
        assert not Entry.objects.launchable().exists()

    def test_data_disks_cannot_be_launched(self):
        EntryFactory(kind="disk")
        assert not Entry.objects.launchable().exists()

    def test_the_sites_own_entry_comes_first_though_others_are_newer(self):
        own = EntryFactory(content=b"one", official=True)
        EntryFactory(content=b"one", endorser_email="bob@example.org")
        assert Entry.objects.launchable().first() == own

    def test_the_key_of_an_entry_is_taken_once(self):
        entry = EntryFactory(content=b"one")
        with pytest.raises(IntegrityError):
            EntryFactory(content=b"one", created_at=entry.created_at)

    def test_nobody_owns_an_official_entry(self, alice):
        with pytest.raises(IntegrityError):
            EntryFactory(official=True, owner=alice)


class TestSearch:
    def test_every_word_must_be_found_somewhere(self):
        EntryFactory(title="Debian 12", description="With cloud-init")
        EntryFactory(title="Debian 11", description="Without")
        assert titles(Entry.objects.search("debian INIT")) == {"Debian 12"}
        assert titles(Entry.objects.search("debian fedora")) == set()

    @pytest.mark.parametrize("words", ["alice@example.org", "x86_64", "DEBIAN", "GMZu9WvwK"])
    def test_system_endorser_and_identifier_are_searched(self, words):
        EntryFactory(identifier="GMZu9WvwKIro-rtBQfDk4PsKO7_")
        EntryFactory(endorser_email="bob@elsewhere.org", os="Plan9", os_arch="sparc")
        assert len(titles(Entry.objects.search(words))) == 1

    def test_case_is_ignored_in_every_script(self):
        EntryFactory(title="ΑΛΦΑ Éclair Straße")
        for words in ("αλφα", "éCLAIR", "STRASSE"):
            assert Entry.objects.search(words).count() == 1

    @pytest.mark.parametrize("words", ["%", "_______", "\\", "'; DROP TABLE x --", '"', "\0\0\0q%"])
    def test_special_characters_mean_themselves(self, words):
        EntryFactory(title="Image", identifier="A" * 27)
        assert not Entry.objects.search(words).exists()

    def test_a_search_without_words_finds_everything(self):
        EntryFactory()
        assert Entry.objects.search(" \0 ").count() == 1

    def test_a_thousand_words_are_still_answered(self):
        EntryFactory(title="word")
        assert Entry.objects.search("word " * 1000).count() == 1


class TestFile:
    def test_the_file_is_named_by_the_identifier(self, home):
        entry = EntryFactory()
        assert entry.site_file == home / "images" / f"{entry.identifier}.qcow2"

    @pytest.mark.parametrize(
        "location",
        [
            "",
            "https://example.org/image.qcow2",
            "portal:images/../../etc/passwd",
            "portal:images/AAAAAAAAAAAAAAAAAAAAAAAAAAA.qcow2",
            "/etc/passwd",
            "file:///etc/passwd",
        ],
    )
    def test_no_other_location_leads_to_a_file_of_ours(self, location):
        entry = EntryFactory(locations=[location], is_kept_here=False)
        assert entry.site_file is None


def test_the_summary_is_the_first_sentence():
    assert EntryFactory(description="One. Two.").summary == "One."
    assert EntryFactory(description="One. Two. Three.").details == "Two. Three."
    assert EntryFactory(description="").summary == ""


def test_a_title_can_be_missing():
    assert EntryFactory(title="").label == "Debian 12 x86_64"
    nameless = EntryFactory(title="", os="", os_version="", os_arch="")
    assert nameless.label == nameless.identifier

import hashlib
import stat
from datetime import timedelta
from io import StringIO

import pytest
import time_machine
from django.core.management import CommandError, call_command
from django.utils import timezone

from cloud.images import ImageBuildError
from core.models import Event
from marketplace import documents, official
from marketplace.actions import site
from marketplace.management.commands._building import BuildCommand
from marketplace.models import Document, Entry
from marketplace.states import Trust

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("site_key")]


@pytest.fixture
def recipe(builder, home):
    return official.Recipe(tag="demo-linux", version="1.0", build=builder.build, min_memory_mib=128)


@pytest.fixture
def make(recipe):
    return lambda: official.make(recipe, report=lambda line: None)


def run(recipe, **options):
    """The command as an administrator runs it; what it printed."""
    command = BuildCommand(stdout=StringIO(), stderr=StringIO())
    command.recipe = recipe
    command.handle(**{"if_missing": False} | options)
    return command.stdout.getvalue()


def test_a_built_image_is_in_place_and_true_to_its_entry(make, home):
    entry, is_new = make()
    content = (home / "images" / f"{entry.identifier}.qcow2").read_bytes()
    assert is_new
    assert entry.site_file.read_bytes() == content
    assert hashlib.sha256(content).hexdigest() == entry.sha256
    assert len(content) == entry.size_bytes
    assert (entry.is_official, entry.owner, entry.status) == (True, None, "valid")
    said = {event.verb: event.detail for event in Event.objects.of(entry.uuid)}
    assert said["built"]["packages"] == [["busybox-static", "1.35"]]
    assert "endorsed" in said


def test_what_the_site_says_of_its_image_is_signed_by_the_site(make, site_key, settings):
    settings.PORTAL_URL = "https://cloud.example.org"
    entry, _ = make()
    xml = bytes(entry.document.xml)
    assert documents.verify(xml).fingerprint == site_key.fingerprint
    assert (entry.trust, entry.document.algorithm) == ("trusted", "rsa-sha256")
    metadata = documents.parse(xml)
    assert metadata.locations == (
        f"https://cloud.example.org/marketplace/files/{entry.identifier}",
    )
    assert metadata.alternative == "demo-linux"
    assert (entry.min_memory_mib, entry.default_user) == (128, "root")
    assert entry.virtual_size_bytes == 1 << 20
    assert entry.is_kept_here


def test_the_site_is_the_endorser(make, settings):
    settings.DEFAULT_FROM_EMAIL = "The Portal <portal@cloud.example.org>"
    entry, _ = make()
    assert entry.endorser_email == "portal@cloud.example.org"
    assert entry.endorser == settings.PORTAL_SITE_NAME


def test_it_is_valid_for_half_a_year(make):
    entry, _ = make()
    assert timedelta(days=180) < entry.valid_until - timezone.now() < timedelta(days=185)


def test_others_may_read_the_file_and_cross_the_folder_not_list_it(settings, tmp_path, make):
    settings.PORTAL_HOME = tmp_path / "fresh"
    entry, _ = make()
    assert stat.S_IMODE(entry.site_file.stat().st_mode) == 0o644
    assert stat.S_IMODE(entry.site_file.parent.stat().st_mode) == 0o711


def test_the_same_bytes_are_not_listed_twice(make):
    first, _ = make()
    again, is_new = make()
    assert (again, is_new) == (first, False)
    assert Entry.objects.count() == 1


def test_other_bytes_are_another_entry_and_the_old_one_stays(make, builder):
    first, _ = make()
    builder.salt = b"newer packages"
    second, is_new = make()
    assert is_new
    assert first.site_file.is_file()
    assert set(Entry.objects.launchable()) == {first, second}


def test_an_entry_whose_file_is_gone_is_withdrawn_by_the_next_build(make, builder):
    first, _ = make()
    first.site_file.unlink()
    builder.salt = b"newer packages"
    make()
    last = Entry.objects.newest().get(identifier=first.identifier)
    assert last.status == "deprecated"
    assert "Replaced by Demo Linux 1.0" in last.deprecated
    assert documents.parse(bytes(last.document.xml)).deprecated == last.deprecated
    assert last not in Entry.objects.launchable()


def test_an_entry_that_is_about_to_end_is_endorsed_anew(make):
    first, _ = make()
    with time_machine.travel(timezone.now() + timedelta(days=160)):
        second, is_new = make()
        assert is_new
        assert second.identifier == first.identifier
        assert list(Entry.objects.launchable()) == [second]
        assert Entry.objects.count() == 2


def test_a_build_that_fails_leaves_nothing(recipe, home):
    def fails(target, *, cache_dir, report):
        target.write_bytes(b"half")
        raise ImageBuildError("The mirror did not answer. Try again later.", detail="timeout")

    with pytest.raises(CommandError, match="Try again later"):
        run(official.Recipe(tag="x", version="1", build=fails, min_memory_mib=0))
    assert [path.name for path in (home / "images").iterdir()] == [".lock"]
    assert not Entry.objects.exists()


def test_what_a_killed_build_left_is_swept_away(make, home):
    left = home / "images" / ".building-killed"
    left.mkdir()
    (left / "disk.raw").write_bytes(b"half")
    make()
    assert not left.exists()


class TestCommand:
    def test_it_says_what_it_made_and_how_long_it_took(self, recipe):
        said = run(recipe)
        assert "Added to the catalogue: Demo Linux 1.0" in said
        assert Entry.objects.get().identifier in said
        assert "It took" in said

    def test_if_missing_does_nothing_when_it_is_there(self, recipe, builder):
        run(recipe)
        assert "is in the catalogue" in run(recipe, if_missing=True)
        assert builder.builds == 1

    @pytest.mark.parametrize("damage", ["gone", "cut short"])
    def test_if_missing_builds_when_it_is_not_good_any_more(self, recipe, builder, damage):
        run(recipe)
        entry = Entry.objects.get()
        match damage:
            case "gone":
                entry.site_file.unlink()
            case "cut short":
                entry.site_file.write_bytes(b"half")
        run(recipe, if_missing=True)
        assert builder.builds == 2
        assert official.kept(recipe)

    def test_if_missing_endorses_anew_what_is_about_to_end_and_builds_nothing(
        self, recipe, builder
    ):
        run(recipe)
        with time_machine.travel(timezone.now() + timedelta(days=160)):
            assert official.kept(recipe) is None
            assert "endorsed it anew" in run(recipe, if_missing=True)
            assert official.kept(recipe)
            assert "is in the catalogue" in run(recipe, if_missing=True)
        assert (builder.builds, Entry.objects.count()) == (1, 2)

    def test_if_missing_signs_what_was_listed_before_the_site_had_a_key(self, recipe, builder):
        run(recipe)
        signed = Entry.objects.get()
        Document.objects.all().delete()
        Entry.objects.update(trust=Trust.UNSIGNED, locations=[])
        assert official.kept(recipe) is None
        run(recipe, if_missing=True)
        entry = Entry.objects.newest().get()
        assert entry.identifier == signed.identifier
        assert (entry.trust, builder.builds) == ("trusted", 1)
        assert entry.locations[0].endswith(f"/marketplace/files/{entry.identifier}")
        assert entry.title == signed.title

    def test_if_missing_follows_the_site_to_its_new_address(self, recipe, builder, settings):
        run(recipe)
        first = Entry.objects.get()
        settings.PORTAL_URL = "https://portal.lab.example.org"
        settings.DEFAULT_FROM_EMAIL = "portal@lab.example.org"
        assert official.kept(recipe) is None
        run(recipe, if_missing=True)
        entry = Entry.objects.launchable().get()
        assert entry.endorser_email == "portal@lab.example.org"
        assert entry.locations == [
            f"https://portal.lab.example.org/marketplace/files/{entry.identifier}"
        ]
        before = Entry.objects.newest().get(endorser_email=first.endorser_email)
        assert (before.status, before.trust) == ("expired", "trusted")
        assert official.kept(recipe) == entry
        assert "is in the catalogue" in run(recipe, if_missing=True)
        assert (builder.builds, Entry.objects.count()) == (1, 3)

    def test_a_withdrawal_holds_under_the_new_address_too(self, recipe, settings):
        run(recipe)
        settings.DEFAULT_FROM_EMAIL = "portal@lab.example.org"
        site.withdraw(Entry.objects.get(), reason="It has a hole.")
        assert "was withdrawn: It has a hole." in run(recipe, if_missing=True)
        assert not Entry.objects.launchable().exists()

    def test_every_image_of_the_site_is_endorsed_anew_under_its_new_address(
        self, recipe, settings, capsys
    ):
        run(recipe)
        call_command("endorse_site_images")
        assert "Every image" in capsys.readouterr().out
        settings.PORTAL_URL = "https://portal.lab.example.org"
        call_command("endorse_site_images")
        entry = Entry.objects.newest().get()
        assert f"Endorsed anew: Demo Linux 1.0, {entry.identifier}" in capsys.readouterr().out
        assert entry.locations[0].startswith("https://portal.lab.example.org/")

    def test_a_key_that_cannot_sign_is_said(self, recipe, site_key):
        type(site_key).objects.update(sealed="nonsense")
        with pytest.raises(CommandError, match="The image is not listed: This key cannot be"):
            run(recipe)
        assert not Entry.objects.exists()

    def test_if_missing_does_not_undo_a_withdrawal(self, recipe, builder):
        run(recipe)
        site.withdraw(Entry.objects.get(), reason="It has a hole.")
        assert "was withdrawn: It has a hole." in run(recipe, if_missing=True)
        assert builder.builds == 1
        assert "Added to the catalogue" in run(recipe)

    def test_another_version_of_the_builder_is_missing(self, recipe, builder):
        run(recipe)
        newer = official.Recipe(
            tag=recipe.tag, version="2.0", build=builder.build, min_memory_mib=128
        )
        run(newer, if_missing=True)
        assert builder.builds == 2

    def test_a_folder_that_cannot_be_written_says_what_to_do(self, recipe, settings, tmp_path):
        settings.PORTAL_HOME = tmp_path / "file"
        settings.PORTAL_HOME.write_text("not a folder")
        with pytest.raises(CommandError, match="set PORTAL_HOME"):
            run(recipe)

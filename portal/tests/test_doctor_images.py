"""What the self-test says of the Marketplace."""

from datetime import timedelta
from pathlib import Path

import pytest
from django.utils import timezone

from marketplace.actions import keys
from marketplace.models import Entry, ImageFile, SigningKey, Source
from marketplace.states import IN_LINE, ImageState, SourceState
from marketplace.tests.factories import EntryFactory, ImageFileFactory
from portal.doctor import Status, images

pytestmark = pytest.mark.django_db


def only(checks):
    (check,) = checks
    return check


@pytest.fixture(autouse=True)
def home(settings, tmp_path) -> Path:
    settings.PORTAL_HOME = tmp_path
    settings.PORTAL_IMAGE_ARRIVALS = tmp_path / "image-arrivals"
    return tmp_path


@pytest.fixture
def entry(home) -> Entry:
    """An image of the site as it should be."""
    content = b"an image of the site"
    entry = EntryFactory(content=content, official=True, endorser_email=keys.site_address())
    Entry.objects.update(locations=[site_file(entry)])
    entry.site_file.parent.mkdir()
    entry.site_file.write_bytes(content)
    return entry


def site_file(entry: Entry) -> str:
    return images.site.location_of(entry.identifier)


def test_a_landing_place_that_cannot_be_made_is_a_fault(home, settings):
    assert only(images.landing()).status in (Status.OK, Status.WARNING)
    (home / "file").write_text("no folder")
    settings.PORTAL_IMAGE_ARRIVALS = home / "file" / "arrivals"
    check = only(images.landing())
    assert check.status == Status.FAULT
    assert "PORTAL_IMAGE_ARRIVALS" in check.fix


def test_copies_beyond_their_room_are_told_of(cloud, settings):
    settings.PORTAL_IMAGE_CACHE_GIB = 1
    ImageFileFactory(state=ImageState.READY, ref="x", kept_bytes=1 << 30)
    assert only(images.copies()).status == Status.OK
    ImageFile.objects.update(kept_bytes=3 << 30)
    check = only(images.copies())
    assert (check.status, "3.0 GiB of 1 GiB" in check.sentence) == (Status.WARNING, True)
    settings.PORTAL_IMAGE_CACHE_GIB = 0
    assert only(images.copies()).status == Status.OK


def test_a_fetch_that_waits_for_long_is_told_of(cloud):
    ImageFileFactory(state=ImageState.FETCHING, reason=f"{IN_LINE}: others are fetched.")
    assert only(images.queue()).status == Status.OK
    ImageFile.objects.update(state_since=timezone.now() - timedelta(minutes=20))
    check = only(images.queue())
    assert (check.status, check.sentence[:14]) == (Status.WARNING, "1 of 1 in line")
    ImageFile.objects.update(reason="")
    assert only(images.queue()).status == Status.OK


def test_a_source_that_fails_for_days_is_told_of():
    assert list(images.sources()) == []  # those that are shipped are off
    source = Source.objects.get(name="Debian")
    Source.objects.filter(pk=source.pk).update(
        state=SourceState.DUE, imported_at=timezone.now() - timedelta(days=1), reason="No answer."
    )
    assert only(images.sources()).status == Status.OK
    Source.objects.filter(pk=source.pk).update(imported_at=timezone.now() - timedelta(days=4))
    check = only(images.sources())
    assert check.status == Status.WARNING
    assert check.sentence.endswith("No answer.")
    assert str(source.uuid) in check.fix


@pytest.fixture
def site_key() -> SigningKey:
    return keys.site_key()


@pytest.mark.slow
def test_a_site_key_that_no_longer_opens_is_a_fault(site_key, settings):
    assert only(images.site_key()).status == Status.OK
    settings.SECRET_KEY = "another"
    settings.SECRET_KEY_FALLBACKS = []
    check = only(images.site_key())
    assert check.status == Status.FAULT
    assert "PORTAL_SECRET_KEY_BEFORE" in check.fix


def test_a_site_key_that_is_not_made_yet_is_none_of_a_fault():
    assert only(images.site_key()).status == Status.OK


@pytest.mark.slow
def test_a_site_key_that_ends_soon_is_told_of(site_key):
    SigningKey.objects.update(not_after=timezone.now() + timedelta(days=30))
    assert only(images.site_key()).status == Status.WARNING


def test_images_of_the_site_are_as_they_should_be(entry):
    check = only(images.of_the_site())
    assert (check.status, check.sentence) == (
        Status.OK,
        "Nothing is wrong with any of the 1 that are valid.",
    )


def test_an_image_of_the_site_whose_file_is_gone_is_a_fault(entry):
    entry.site_file.unlink()
    check = only(images.of_the_site())
    assert check.status == Status.FAULT
    assert str(entry.site_file) in check.fix


def test_an_image_of_the_site_that_names_a_former_address_is_told_of(entry, settings):
    settings.PORTAL_URL = "https://portal.lab.example.org"
    check = only(images.of_the_site())
    assert check.status == Status.WARNING
    assert "endorse_site_images" in check.fix


def test_an_image_of_the_site_that_ends_soon_is_told_of(entry):
    Entry.objects.update(valid_until=timezone.now() + timedelta(days=10))
    check = only(images.of_the_site())
    assert "end within 30 days" in check.sentence

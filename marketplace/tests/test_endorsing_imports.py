"""An image of an index, which nobody has signed, gets a signed entry once its bytes are here."""

import hashlib
from datetime import timedelta

import pytest
from django.utils import timezone

from core.errors import Refused
from marketplace import actions, documents
from marketplace.identifiers import identifier_of, provisional_identifier_of
from marketplace.models import Entry
from marketplace.states import ImageState
from marketplace.tests.factories import EntryFactory, ImageFileFactory
from registration.tests.factories import UserFactory

pytestmark = pytest.mark.django_db

CONTENT = b"an image of an index"
SHA256 = hashlib.sha256(CONTENT).hexdigest()
SHA1 = hashlib.sha1(CONTENT).hexdigest()  # noqa: S324


@pytest.fixture
def listed() -> Entry:
    """As an import makes it."""
    return EntryFactory(
        identifier=provisional_identifier_of(SHA256), sha1="", sha256=SHA256, sha512="",
        size_bytes=None, endorser_email="images@cloud.example.org", is_kept_here=False,
        locations=["https://cloud.example.org/x.qcow2"], title="Listed", alternative="listed",
    )  # fmt: skip


def copied(entry: Entry, *, is_proven: bool = True, **sums: str) -> None:
    copy = ImageFileFactory(
        entry=entry, identifier=entry.identifier, state=ImageState.READY, ref="x",
        sums=sums, size_bytes=len(CONTENT), virtual_size_bytes=1 << 20,
    )  # fmt: skip
    if is_proven:
        copy.proven_by.add(entry)


def endorse(entry: Entry) -> Entry:
    admin = UserFactory(is_staff=True)
    pen = actions.pen_of_site(admin)
    until = timezone.now() + timedelta(days=100)
    return actions.endorse_again(entry, by=admin, until=until, pen=pen)


def test_the_site_signs_what_was_measured(listed, site_key):
    copied(listed, sha1=SHA1, sha256=SHA256)
    entry = endorse(listed)
    assert entry.identifier == identifier_of(SHA1)
    assert (entry.sha1, entry.sha256, entry.size_bytes) == (SHA1, SHA256, len(CONTENT))
    assert (entry.is_official, entry.trust, entry.title) == (True, "trusted", "Listed")
    assert entry.locations == listed.locations
    assert documents.verify(bytes(entry.document.xml)).fingerprint == site_key.fingerprint
    listed.refresh_from_db()
    assert listed.is_latest
    assert listed.status == "valid"


@pytest.mark.parametrize(
    ("sums", "is_proven"),
    [({}, True), ({"sha256": SHA256}, True), ({"sha1": SHA1, "sha256": SHA256}, False)],
)
def test_what_nobody_has_measured_by_its_own_word_is_not_signed(listed, site_key, sums, is_proven):
    copied(listed, is_proven=is_proven, **sums)
    with pytest.raises(Refused) as refused:
        endorse(listed)
    assert refused.value.code == "no_sha1"
    assert "Launch a machine from it" in str(refused.value)

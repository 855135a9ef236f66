"""The site's own images: listed with its signature, endorsed anew, withdrawn."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from cloud.images import BuiltImage
from marketplace.actions import keys
from marketplace.actions.endorsing import metadata_of, sign_and_publish
from marketplace.actions.publishing import note
from marketplace.documents import Metadata
from marketplace.identifiers import identifier_of
from marketplace.models import Entry
from marketplace.states import EntryStatus

#: How long the site vouches for an image that it built.
VALID_FOR = timedelta(days=183)
#: An entry of the site that ends sooner than this is endorsed anew.
RENEW_BEFORE = timedelta(days=30)
#: Where the file of an image that this site keeps is had from (``marketplace:file``).
FILES_PATH = "/marketplace/files/"


def publish(image: BuiltImage, *, tag: str, min_memory_mib: int = 0) -> tuple[Entry, bool]:
    """List an image that the site built itself, and say whether that made a new entry.

    The same bytes are not listed twice, unless their entry is about to expire, was withdrawn or
    has no signature: then they are endorsed anew.

    Raises:
        Refused: those of ``keys.signer_of`` about the site's own key.
    """
    identifier = identifier_of(image.sha1)
    current = Entry.objects.filter(is_official=True, identifier=identifier).newest().first()
    if current and is_good(current):
        return current, False
    with transaction.atomic():
        entry = _say(_metadata(image, tag, min_memory_mib), is_kept_here=True)
        note(entry, "built", packages=image.packages)
    return entry, True


def _metadata(image: BuiltImage, tag: str, min_memory_mib: int) -> Metadata:
    now = _now()
    identifier = identifier_of(image.sha1)
    site = str(settings.PORTAL_SITE_NAME)
    return Metadata(
        identifier=identifier,
        size_bytes=image.size_bytes,
        checksums={"SHA-1": image.sha1, "SHA-256": image.sha256, "SHA-512": image.sha512},
        os=image.os,
        os_version=image.os_version,
        os_arch=image.os_arch,
        version=image.version,
        format=image.format,
        creator=site,
        created=now,
        valid=now + VALID_FOR,
        title=image.title,
        alternative=tag,
        description=image.description,
        publisher=site,
        locations=(f"{settings.PORTAL_URL}{FILES_PATH}{identifier}",),
        hypervisor="kvm",
        disks_bus="virtio",
        inbound_ports=tuple(image.inbound_ports),
        default_user=image.default_user,
        min_memory_mib=min_memory_mib,
        virtual_size_bytes=image.virtual_size_bytes,
    )


def endorse_anew(entry: Entry) -> Entry:
    """Vouch for an image of the site for another half a year, as it is and without building it.

    Raises:
        Refused: those of ``keys.signer_of`` about the site's own key.
    """
    metadata = replace(metadata_of(entry), valid=_now() + VALID_FOR)
    if not metadata.locations and entry.is_kept_here:
        own = f"{settings.PORTAL_URL}{FILES_PATH}{entry.identifier}"
        metadata = replace(metadata, locations=(own,))
    return _say(metadata, is_kept_here=entry.is_kept_here)


def withdraw(entry: Entry, *, reason: str) -> Entry:
    """Say of an image of the site that it is over; the new entry says so, the old one stays.

    Raises:
        Refused: those of ``keys.signer_of`` about the site's own key.
    """
    if entry.deprecated:
        return entry
    metadata = replace(metadata_of(entry), deprecated=reason[:500])
    return _say(metadata, is_kept_here=entry.is_kept_here, verb="deprecated")


def _say(metadata: Metadata, **said: Any) -> Entry:
    return sign_and_publish(
        metadata,
        signer=keys.signer_of(keys.site_key()),
        email=keys.site_address(),
        owner=None,
        is_official=True,
        **said,
    )


def is_good(entry: Entry) -> bool:
    """Whether an entry of the site needs nothing: signed, in use, and valid for a while."""
    return hasattr(entry, "document") and not ends_soon(entry)


def ends_soon(entry: Entry) -> bool:
    """Whether an entry of the site is due to be endorsed anew."""
    if entry.status is not EntryStatus.VALID or entry.valid_until is None:
        return True
    return entry.valid_until < timezone.now() + RENEW_BEFORE


def _now() -> datetime:
    return timezone.now().replace(microsecond=0)

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
from marketplace.actions.publishing import Reader, note
from marketplace.documents import Metadata
from marketplace.identifiers import identifier_of
from marketplace.models import Entry
from marketplace.states import EntryStatus, Visibility

#: How long the site vouches for an image that it built.
VALID_FOR = timedelta(days=183)
#: An entry of the site that ends sooner than this is endorsed anew.
RENEW_BEFORE = timedelta(days=30)
#: Where the file of an image that this site keeps is had from (``marketplace:file``).
FILES_PATH = "/marketplace/files/"


def publish(image: BuiltImage, *, tag: str, min_memory_mib: int = 0) -> tuple[Entry, bool]:
    """List an image that the site built itself, and say whether that made a new entry.

    The same bytes are not listed twice, unless their entry is about to expire, was withdrawn, has
    no signature or names another address of the site: then they are endorsed anew.

    Raises:
        Refused: those of ``keys.signer_of`` about the site's own key.
    """
    identifier = identifier_of(image.sha1)
    said = Entry.objects.filter(is_official=True, identifier=identifier).newest()
    for current in said.best_first().select_related("document"):
        if is_good(current):
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
        locations=(location_of(identifier),),
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
    if entry.is_kept_here:
        others = (one for one in metadata.locations if not _is_own(one, entry.identifier))
        metadata = replace(metadata, locations=(location_of(entry.identifier), *others))
    return _say(metadata, **_kept_of(entry))


def withdraw(entry: Entry, *, reason: str) -> Entry:
    """Say of an image of the site that it is over; the new entry says so, the old one stays.

    Raises:
        Refused: those of ``keys.signer_of`` about the site's own key.
    """
    if entry.deprecated:
        return entry
    metadata = replace(metadata_of(entry), deprecated=reason[:500])
    return _say(metadata, **_kept_of(entry), verb="deprecated")


def _kept_of(entry: Entry) -> dict[str, Any]:
    """What no document says of an entry, and what holds for the one that says it again."""
    return {
        "is_kept_here": entry.is_kept_here,
        "readers": Reader(visibility=Visibility(entry.visibility), group=entry.group),
        "said_again_of": entry.said_again_of,
    }


@transaction.atomic
def _say(metadata: Metadata, **said: Any) -> Entry:
    """In the site's name of today; what it says in one that it had before ends."""
    for former in _under_other_names(metadata.identifier):
        over = replace(metadata_of(former), valid=_now())
        _sign(over, email=former.endorser_email, **_kept_of(former), verb="expired")
    return _sign(metadata, email=keys.site_address(), **said)


def _under_other_names(identifier: str) -> list[Entry]:
    said = Entry.objects.filter(is_official=True, identifier=identifier)
    others = said.exclude(endorser_email__iexact=keys.site_address()).select_related("document")
    return list(others.newest().with_status(EntryStatus.VALID))


def _sign(metadata: Metadata, **said: Any) -> Entry:
    signer = keys.signer_of(keys.site_key())
    return sign_and_publish(metadata, signer=signer, owner=None, is_official=True, **said)


def location_of(identifier: str) -> str:
    """Where this site gives out the file of an image that it keeps."""
    return f"{settings.PORTAL_URL}{FILES_PATH}{identifier}"


def _is_own(location: str, identifier: str) -> bool:
    """Whether it is that of this site, under whatever address it was reached before."""
    return location.endswith(f"{FILES_PATH}{identifier}")


def is_good(entry: Entry) -> bool:
    """Whether an entry of the site needs nothing: signed, in use, valid for a while, and true of
    where the site is.
    """
    return hasattr(entry, "document") and not ends_soon(entry) and names_this_site(entry)


def names_this_site(entry: Entry) -> bool:
    """Whether it has the site's address of today, as its endorser and as where its file is."""
    if entry.endorser_email.casefold() != keys.site_address().casefold():
        return False
    return not entry.is_kept_here or location_of(entry.identifier) in entry.locations


def with_former_names() -> list[Entry]:
    """Entries of the site that are good but for an address that it had before."""
    said = Entry.objects.filter(is_official=True).newest().with_status(EntryStatus.VALID)
    return [one for one in said.select_related("document", "group") if not names_this_site(one)]


def ends_soon(entry: Entry) -> bool:
    """Whether an entry of the site is due to be endorsed anew."""
    if entry.status is not EntryStatus.VALID or entry.valid_until is None:
        return True
    return entry.valid_until < timezone.now() + RENEW_BEFORE


def _now() -> datetime:
    return timezone.now().replace(microsecond=0)

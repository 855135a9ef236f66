"""What may be asked of the catalogue. Nothing here knows that clouds exist."""

from contextlib import suppress
from datetime import datetime, timedelta
from email.utils import parseaddr
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from cloud.images import BuiltImage
from core.machine import StaleState
from core.models import record
from marketplace import tasks
from marketplace.identifiers import identifier_of
from marketplace.models import Entry, ImageFile
from marketplace.states import EntryStatus, ImageState

#: What an entry repeats of the image that was built.
COPIED = (
    "title", "description", "os", "os_version", "os_arch", "version", "default_user", "format",
    "size_bytes", "virtual_size_bytes", "sha1", "sha256", "sha512",
)  # fmt: skip
#: How long the site vouches for an image that it built.
VALID_FOR = timedelta(days=183)
#: An entry of the site that ends sooner than this is endorsed anew.
RENEW_BEFORE = timedelta(days=30)
#: A failure younger than this is an answer to the caller's own wish.
FRESH = timedelta(seconds=10)


def ensure_image(entry: Entry, cloud: str, *, asked_at: datetime | None = None) -> ImageFile:
    """Have the image of ``entry`` brought into ``cloud``, unless it is there or on its way.

    Repeat it as often as you like: a worker does the copying, and the row that comes back
    says how far it is. A copy that failed is tried again, unless it failed after
    ``asked_at``, the moment of the wish behind this call (by default ten seconds ago):
    then that failure is the answer.
    """
    known = ImageFile.objects.select_related("entry").filter(
        cloud=cloud, identifier=entry.identifier
    )
    image = known.first() or _ask_for(entry, cloud)
    since = asked_at or timezone.now() - FRESH
    if image.state == ImageState.FAILED and image.state_since < since:
        _want_again(image, entry=entry, bytes_done=0, bytes_total=0)
    return image


def _ask_for(entry: Entry, cloud: str) -> ImageFile:
    with transaction.atomic():
        image, is_new = ImageFile.objects.select_related("entry").get_or_create(
            cloud=cloud,
            identifier=entry.identifier,
            defaults={"entry": entry, "next_tick_at": timezone.now()},
        )
        if is_new:
            image.record_event("asked", now=ImageState.WANTED, cloud=cloud)
            image.announce()
            tasks.ring_image(image)
    return image


def image_lost(identifier: str, cloud: str, *, reason: str = "") -> None:
    """The cloud no longer has this image, or found it damaged: have it copied anew.

    Quiet if it is on its way already, or was never there.
    """
    image = ImageFile.objects.filter(cloud=cloud, identifier=identifier).first()
    if image and image.state == ImageState.READY:
        why = reason or "The cloud's copy was lost or damaged; it is being copied again."
        _want_again(image, reason=why, ref="", bytes_done=0, bytes_total=0)


def _want_again(image: ImageFile, *, reason: str = "", **fields: Any) -> None:
    with suppress(StaleState):  # somebody else has just asked
        image.move(ImageState.WANTED, reason=reason, **fields)
        tasks.ring_image(image)
        return
    image.refresh_from_db()


def publish(image: BuiltImage, *, tag: str, min_memory_mib: int = 0) -> tuple[Entry, bool]:
    """List an image that the site built itself, and say whether that made a new entry.

    The same bytes are not listed twice, unless their entry is about to expire or was
    withdrawn: then they are endorsed anew.
    """
    identifier = identifier_of(image.sha1)
    current = Entry.objects.filter(is_official=True, identifier=identifier).newest().first()
    if current and not ends_soon(current):
        return current, False
    now = timezone.now().replace(microsecond=0)
    if current:
        now = max(now, current.created_at + timedelta(seconds=1))  # its key is taken
    _, address = parseaddr(settings.DEFAULT_FROM_EMAIL)
    with transaction.atomic():
        entry = Entry.objects.create(
            identifier=identifier,
            created_at=now,
            valid_until=now + VALID_FOR,
            endorser_email=address,
            endorser_name=settings.PORTAL_SITE_NAME,
            publisher=settings.PORTAL_SITE_NAME,
            is_official=True,
            alternative=tag,
            min_memory_mib=min_memory_mib,
            location=f"portal:images/{identifier}.{image.format}",
            inbound_ports=list(image.inbound_ports),
            **{name: getattr(image, name) for name in COPIED},
        )
        _note(entry, "endorsed", identifier=identifier, packages=image.packages)
    return entry, True


def ends_soon(entry: Entry) -> bool:
    """Whether an entry of the site is due to be endorsed anew."""
    if entry.status is not EntryStatus.VALID or entry.valid_until is None:
        return True
    return entry.valid_until < timezone.now() + RENEW_BEFORE


def deprecate(entry: Entry, *, reason: str) -> None:
    """Withdraw an entry: it stays in the history and cannot be launched any more."""
    with transaction.atomic():
        if Entry.objects.filter(pk=entry.pk, deprecated="").update(deprecated=reason[:500]):
            _note(entry, "deprecated", reason=reason)
    entry.refresh_from_db(fields=["deprecated"])


def _note(entry: Entry, verb: str, *, reason: str = "", **detail: Any) -> None:
    record("entry", entry.uuid, verb, label=str(entry), reason=reason, **detail)

"""The site's own images: listed, endorsed anew, withdrawn."""

from datetime import timedelta
from email.utils import parseaddr

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from cloud.images import BuiltImage
from marketplace.actions.publishing import note
from marketplace.identifiers import identifier_of
from marketplace.models import Entry
from marketplace.states import EntryStatus

#: What an entry repeats of the image that was built.
COPIED = (
    "title", "description", "os", "os_version", "os_arch", "version", "default_user", "format",
    "size_bytes", "virtual_size_bytes", "sha1", "sha256", "sha512",
)  # fmt: skip
#: How long the site vouches for an image that it built.
VALID_FOR = timedelta(days=183)
#: An entry of the site that ends sooner than this is endorsed anew.
RENEW_BEFORE = timedelta(days=30)


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
            is_kept_here=True,
            inbound_ports=list(image.inbound_ports),
            **{name: getattr(image, name) for name in COPIED},
        )
        note(entry, "endorsed", identifier=identifier, packages=image.packages)
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
            note(entry, "deprecated", reason=reason)
    entry.refresh_from_db(fields=["deprecated"])

"""Whether an entry may go to everybody, where the site wants an administrator to be asked.

The one rule, for whatever publishes: until it is approved, what would go to everybody is its
owner's alone.
"""

from django.conf import settings
from django.db.models import QuerySet

from marketplace.models import Entry, Publication
from marketplace.states import PublicationState, Visibility
from registration import emails, throttle
from registration.models import User

#: To the administrators about wishes of one person, in a window (throttle.WINDOW); all are in
#: the queue.
MOST_MAILS = 20


def asks_first(user: User | None) -> bool:
    """Whether what this person opens to everybody waits for an administrator, as a rule."""
    return bool(settings.PORTAL_PUBLISH_APPROVAL) and not (user is not None and user.is_staff)


def needs_approval(entry: Entry, *, by: User | None) -> bool:
    """Whether an administrator is asked before everybody reads this entry.

    What the site says itself and what it imports goes out at once, and so does what an
    administrator publishes, and the next word of who has everybody's ear already.
    """
    if not asks_first(by) or entry.is_official or entry.source_id:
        return False
    said = Entry.objects.filter(
        identifier=entry.identifier, endorser_email=entry.endorser_email
    ).exclude(pk=entry.pk)
    return not said.filter(visibility=Visibility.PUBLIC).exists()


def ask(entry: Entry, *, by: User | None, message: str = "") -> Publication:
    """Put the wish before the administrators; what was asked before of the image gives way.

    Call it in the transaction that writes the entry.
    """
    waiting: QuerySet[Publication] = Publication.objects.filter(
        entry__identifier=entry.identifier,
        entry__endorser_email=entry.endorser_email,
        state=PublicationState.ASKED,
    )
    for one in waiting.select_related("entry"):
        if one.entry_id == entry.pk:
            return one
        one.move(PublicationState.WITHDRAWN, reason="Its endorser has said something newer.")
    asked = Publication.objects.create(entry=entry, owner=by, message=message)
    asked.record_event("asked", by=by, now=PublicationState.ASKED)
    asked.announce()
    if by is not None and not throttle.take(MOST_MAILS, "publication", str(by.uuid)):
        emails.publication_asked(
            by, User.objects.administrators(), image=str(entry), message=message
        )
    return asked


def count_waiting(most: int) -> int:
    """How many wishes wait for an administrator, counted up to ``most``."""
    return Publication.objects.waiting().order_by()[:most].count()

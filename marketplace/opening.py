"""Whether an entry may go to everybody, where the site wants an administrator to be asked.

The one rule, for whatever publishes: until it is approved, what would go to everybody is its
owner's alone.
"""

from contextlib import suppress

from django.conf import settings
from django.db.models import QuerySet

from core.errors import Refused
from core.machine import StaleState
from marketplace.models import Entry, Publication
from marketplace.states import PublicationState, Visibility
from registration import emails, throttle
from registration.models import User

#: To the administrators about wishes of one person, or of all who have no account, in a window
#: (throttle.WINDOW); all are in the queue.
MOST_MAILS = 20
_SUPERSEDED = (
    "Its endorser has said something newer about the image: that is what can be asked for."
)


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

    Raises: Refused: ``entry_replaced``.
    """
    must_be_last(entry)
    withdraw_older(entry)
    waiting: Publication | None = entry.publications.waiting().first()
    if waiting is not None:
        return waiting
    asked = Publication.objects.create(entry=entry, owner=by, message=message)
    asked.record_event("asked", by=by, now=PublicationState.ASKED)
    asked.announce()
    # Who has no account can have many addresses: their mails are counted together.
    if not throttle.take(MOST_MAILS, "publication", str(by.uuid) if by else ""):
        emails.publication_asked(
            by,
            User.objects.administrators(),
            endorser=entry.endorser_email,
            image=str(entry),
            message=message,
        )
    return asked


def must_be_last(entry: Entry) -> None:
    """Until the transaction ends. Raises: Refused: ``entry_replaced``."""
    rows = Entry.objects.select_for_update(no_key=True).filter(pk=entry.pk)
    if not rows.values_list("is_latest", flat=True).get():
        raise Refused(
            "entry_replaced",
            f"{entry.endorser_email} has said something newer about this image: look at that.",
        )


def withdraw_older(entry: Entry) -> None:
    """What an endorser wished before their last word about an image can be granted no more.

    Call it in the transaction that writes the entry.
    """
    older: QuerySet[Publication] = Publication.objects.waiting().filter(
        entry__identifier=entry.identifier, entry__endorser_email=entry.endorser_email
    )
    for one in older.exclude(entry=entry).select_related("entry"):
        with suppress(StaleState):  # an administrator has just answered it
            one.move(PublicationState.WITHDRAWN, reason=_SUPERSEDED)


def withdraw_granted(entry: Entry) -> None:
    """Everybody reads it by now: nobody is asked any more."""
    for one in entry.publications.waiting():
        with suppress(StaleState):
            one.move(PublicationState.WITHDRAWN, reason="Everybody can read the entry by now.")


def count_waiting(most: int) -> int:
    """How many wishes wait for an administrator, counted up to ``most``."""
    return Publication.objects.waiting().order_by()[:most].count()

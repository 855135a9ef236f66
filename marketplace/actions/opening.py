"""Answers to the wish that an entry be opened to everybody."""

from collections.abc import Callable

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from core.errors import Refused
from core.machine import StaleState
from marketplace import opening
from marketplace.actions.publishing import note
from marketplace.models import Entry, Publication
from marketplace.states import PublicationState, Visibility
from registration import emails
from registration.actions.moderation import reason_for_them
from registration.models import User


def ask_publication(entry: Entry, *, by: User, message: str = "") -> Publication:
    """Ask the administrators to open one's own entry to everybody. Twice is once.

    Raises: Refused: ``not_yours``, ``is_public``.
    """
    if entry.owner_id != by.pk:
        raise Refused("not_yours", "Only the owner of an entry says who may read it.")
    if entry.visibility == Visibility.PUBLIC:
        raise Refused("is_public", "Everybody can read it already.")
    with transaction.atomic():
        return opening.ask(entry, by=by, message=message)


def approve_publication(publication: Publication, *, by: User) -> None:
    """Open the entry, with what its endorser said earlier of the image; its owner is told.

    Raises: Refused: ``not_administrator``, ``publication_state``, ``entry_replaced``.
    """

    def open_it(now: Publication) -> None:
        entry = now.entry
        if not entry.is_latest:
            raise Refused(
                "entry_replaced",
                f"{entry.endorser_email} has said something newer about this image: look at that.",
            )
        rows = Entry.objects.filter(
            identifier=entry.identifier, endorser_email=entry.endorser_email, owner=entry.owner_id
        )
        rows.update(visibility=Visibility.PUBLIC, group=None)
        note(entry, "readers_changed", by=by, after={"visibility": str(Visibility.PUBLIC)})
        emails.publication_answered(now.owner, image=str(entry), link=_page(entry), reason="")

    _answer(publication, PublicationState.APPROVED, "approve", by=by, also=open_it)


def reject_publication(publication: Publication, *, by: User, reason: str) -> None:
    """Leave the entry to its owner alone, and tell them why.

    Raises: Refused: ``not_administrator``, ``publication_state``, ``reason_missing``,
        ``reason_too_long``.
    """
    reason = reason_for_them(reason)

    def tell(now: Publication) -> None:
        entry = now.entry
        emails.publication_answered(now.owner, image=str(entry), link=_page(entry), reason=reason)

    _answer(publication, PublicationState.REJECTED, "reject", by=by, reason=reason, also=tell)


def reconsider_publication(publication: Publication, *, by: User) -> None:
    """Undo that it was rejected: it waits again.

    Raises: Refused: ``not_administrator``, ``publication_state``.
    """
    _answer(publication, PublicationState.ASKED, "reconsider", by=by)


def withdraw_publication(publication: Publication, *, by: User) -> None:
    """Take one's own wish back. Raises: Refused: ``not_yours``, ``publication_state``."""
    if publication.owner_id != by.pk:
        raise Refused("not_yours", "Only who asked may withdraw it.")
    try:
        publication.move(PublicationState.WITHDRAWN, by=by)
    except StaleState:
        raise _answered(publication) from None


def _page(entry: Entry) -> str:
    return settings.PORTAL_URL.rstrip("/") + entry.permalink


def _answer(
    publication: Publication,
    to: PublicationState,
    verb: str,
    *,
    by: User,
    reason: str = "",
    also: Callable[[Publication], None] = lambda _: None,
) -> None:
    if not by.is_staff:
        raise Refused("not_administrator", "Only administrators may do this.")
    with transaction.atomic():
        rows = Publication.objects.select_for_update(no_key=True, of=("self",))
        now = rows.select_related("entry", "owner").get(pk=publication.pk)
        if verb not in now.verbs:
            raise _answered(now)
        answer = {"answered_by": by, "answered_at": timezone.now()}
        if to == PublicationState.ASKED:
            answer = {"answered_by": None, "answered_at": None}
        now.move(to, by=by, verb=verb, reason=reason, **answer)
        also(now)
    publication.refresh_from_db()


def _answered(publication: Publication) -> Refused:
    publication.refresh_from_db()
    state = publication.get_state_display().lower()
    return Refused("publication_state", f"This wish is {state} by now.")

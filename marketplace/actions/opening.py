"""Answers to the wish that an entry be opened to everybody."""

from collections.abc import Callable

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from core.errors import Refused
from core.machine import StaleState
from marketplace import opening, traces
from marketplace.actions.inspecting import must_be_looked_into
from marketplace.actions.publishing import EVERYBODY, Reader, note
from marketplace.actions.readers import must_reach_nobody_new
from marketplace.models import Entry, Publication
from marketplace.states import PublicationState, Visibility
from registration import emails
from registration.actions.moderation import reason_for_them
from registration.models import User

#: Of what somebody writes to the administrators.
LONGEST_MESSAGE = 1000


def ask_publication(
    entry: Entry, *, by: User, message: str = "", knows: bool = False
) -> Publication:
    """Ask the administrators to open one's own entry to everybody. Twice is once.

    ``knows``: who asks has read what was found in its disk.

    Raises: Refused: ``not_yours``, ``is_public``, ``not_asked``: this site lets them open it
        themselves, ``message_too_long``, ``readers_narrower``, ``hygiene_unread``,
        ``hygiene_found``, ``entry_replaced``.
    """
    if entry.owner_id != by.pk:
        raise Refused("not_yours", "Only the owner of an entry says who may read it.")
    if entry.visibility == Visibility.PUBLIC:
        raise Refused("is_public", "Everybody can read it already.")
    if not opening.needs_approval(entry, by=by):
        raise Refused("not_asked", "Nobody is asked: choose “everybody” under “Who may read it”.")
    message = message.strip()
    if len(message) > LONGEST_MESSAGE:
        sentence = f"A message has at most {LONGEST_MESSAGE} characters; this has {len(message)}."
        raise Refused("message_too_long", sentence, field="message")
    must_be_looked_into(traces.disks_to_look_into(entry), Reader(knows=knows))
    must_reach_nobody_new(entry.said_again_of, EVERYBODY)
    with transaction.atomic():
        return opening.ask(entry, by=by, message=message)


def approve_publication(publication: Publication, *, by: User) -> None:
    """Open the entry, with what its endorser said earlier of the image; its owner is told.

    There is no undo: from then on everybody may have copied it. Its owner can close it again.

    Raises: Refused: ``not_administrator``, ``publication_state``, ``entry_replaced``,
        ``readers_narrower``.
    """

    def open_it(now: Publication) -> None:
        entry = now.entry
        opening.must_be_last(entry)
        rows = Entry.objects.filter(
            identifier=entry.identifier, endorser_email=entry.endorser_email, owner=entry.owner_id
        )
        for row in rows.select_related("said_again_of"):
            must_reach_nobody_new(row.said_again_of, EVERYBODY)
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

    Raises: Refused: ``not_administrator``, ``publication_state``, ``entry_replaced``.
    """

    def is_the_only_one(now: Publication) -> None:
        if now.entry.visibility == Visibility.PUBLIC:
            raise Refused("publication_state", "Everybody can read the entry by now.")
        opening.must_be_last(now.entry)

    # What was asked again since is the one to be answered, and a second one cannot wait.
    if publication.entry.publications.waiting().exclude(pk=publication.pk).exists():
        raise Refused("publication_state", "Its owner has asked again since: answer that.")
    _answer(publication, PublicationState.ASKED, "reconsider", by=by, also=is_the_only_one)


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
        # Entry, then wish, as whoever publishes: else the two wait for each other.
        Entry.objects.select_for_update(no_key=True).get(pk=publication.entry_id)
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

"""What the owner of an address says to a document in their name: yes, no, or abuse.

A link proves that its mail was read. It works once, as long as the document waits, and needs no
account; opening it changes nothing. Source: stratuslab.md 6.9, without what 14.3 says of it.
"""

import secrets
from enum import StrEnum
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.utils import timezone
from django.views.decorators.debug import sensitive_variables

from core.errors import Refused
from core.machine import StaleState
from marketplace import documents, traces
from marketplace.actions.finishing import end_waiting
from marketplace.actions.inspecting import must_be_looked_into
from marketplace.judging import digest, sender_of, when_signed
from marketplace.models import Entry, Inspection, Pending
from marketplace.publishing import EVERYBODY, Reader, last_words, publish_document
from marketplace.states import PENDING_FOR, PendingState, Visibility
from registration import emails
from registration.models import User


class Reach(StrEnum):
    """What became of a document that was confirmed."""

    EVERYBODY = "everybody"
    ASKED = "asked"  # an administrator, before everybody reads it
    UNREAD = "unread"  # what was found in its owner's disk
    SOME = "some"  # as its owner has chosen since


@sensitive_variables("token")
def asked(key: UUID, token: str) -> Pending:
    """The document that this link is about, answered or not.

    Raises:
        Refused: ``link_spent``, nobody was sent this link.
    """
    rows = Pending.objects.select_related("owner", "entry")
    pending: Pending | None = rows.filter(uuid=key).first()
    if pending is None or not secrets.compare_digest(pending.token_hash, digest(token)):
        raise Refused(
            "link_spent", "This link is not one of ours, or a newer mail has replaced it."
        )
    return pending


def can_answer(pending: Pending) -> bool:
    """Whether it waits still."""
    is_in_time = pending.state_since + PENDING_FOR > timezone.now()
    return pending.state == PendingState.WAITING and is_in_time


@sensitive_variables("token")
def confirm_document(key: UUID, token: str, *, knows: bool = False) -> Entry:
    """Publish it for everybody to read. The entry belongs to the address, not to the sender.

    If it names disks of theirs in which nobody has read what is left of their maker, it reaches
    nobody new: they open it on its page. ``knows``: they have read it.

    Raises:
        Refused: ``link_spent``; ``hygiene_unread``, ``hygiene_found``: everybody reads what they
            said of the image last, and would hear of this; those of ``publish_document``. Then it
            waits still.
        documents.Broken: its rules have become stricter since.
    """
    pending = _waiting(key, token)
    holder = _holder(pending.email)
    xml = bytes(pending.xml)
    readers = _readers(xml, holder, knows=knows)
    with transaction.atomic():
        entry = publish_document(xml, owner=holder, by=holder, readers=readers)
        _answer(pending, PendingState.CONFIRMED, "confirmed_by_endorser", by=holder, entry=entry)
        end_waiting(pending, entry)
    return entry


def _readers(xml: bytes, holder: User | None, *, knows: bool) -> Reader:
    """Raises: Refused: ``hygiene_unread``, ``hygiene_found``. documents.Broken."""
    if holder is None:
        return EVERYBODY
    metadata = documents.parse(xml, largest_bytes=settings.PORTAL_METADATA_KIB << 10)
    readers = Reader(knows=knows)
    try:
        must_be_looked_into(traces.disks_in(metadata, holder), readers)
    except Refused as refused:
        last = last_words(metadata).first()
        if last is None or last.visibility == Visibility.PRIVATE:
            return Reader(visibility=Visibility.PRIVATE)
        if last.visibility == Visibility.GROUP:
            return Reader(visibility=Visibility.GROUP, group=last.group)
        if refused.code == "hygiene_found":
            raise
        raise Refused(
            refused.code,
            "Everybody reads what you said last about this image, and would get a disk of yours "
            "with this. The portal looks into it first, for keys and traces of its maker: wait for "
            "its report, on the disk's page, and then answer here.",
        ) from None
    return readers


def reports_for(pending: Pending) -> list[Inspection]:
    """What was found in disks of theirs that everybody would get with it."""
    holder = _holder(pending.email)
    if holder is None:
        return []
    xml = bytes(pending.xml)
    disks = traces.disks_in(documents.parse(xml, largest_bytes=len(xml)), holder)
    return list(traces.reports(disks).values())


def reach_of(entry: Entry) -> Reach:
    """Whom it reaches now, and what comes before it reaches everybody."""
    if entry.visibility == Visibility.PUBLIC:
        return Reach.EVERYBODY
    if entry.publications.waiting().exists():
        return Reach.ASKED
    return Reach.UNREAD if traces.disks_to_look_into(entry) else Reach.SOME


@sensitive_variables("token")
def refuse_document(key: UUID, token: str) -> None:
    """It is not published. Raises: Refused: ``link_spent``."""
    pending = _waiting(key, token)
    _answer(pending, PendingState.REFUSED, "refused_by_endorser", by=_holder(pending.email))


@sensitive_variables("token")
def report_document(key: UUID, token: str) -> None:
    """It is not published, and the administrators are told. Raises: Refused: ``link_spent``."""
    pending = _waiting(key, token)
    with transaction.atomic():
        _answer(pending, PendingState.REPORTED, "reported", by=_holder(pending.email))
        emails.metadata_reported(
            pending.email,
            User.objects.administrators(),
            who=sender_of(pending.owner, pending.address),
            what="deprecates" if pending.deprecates else "endorses",
            image=pending.identifier,
            endorsed=when_signed(pending),
            reference=pending.token,
        )


def _waiting(key: UUID, token: str) -> Pending:
    pending = asked(key, token)
    if not can_answer(pending):
        raise _spent()
    return pending


def _spent() -> Refused:
    return Refused("link_spent", "This link was used already, or its time is over.")


def _answer(
    pending: Pending,
    state: PendingState,
    verb: str,
    *,
    by: User | None,
    entry: Entry | None = None,
) -> None:
    try:
        pending.move(state, by=by, verb=verb, entry=entry)
    except StaleState:
        raise _spent() from None


def _holder(email: str) -> User | None:
    """The account with this address, proven to be its own."""
    people = User.objects.active().filter(email__iexact=email)
    holder: User | None = people.exclude(email_confirmed_at=None).first()
    return holder

"""What becomes of a document that comes in, and why: said before, and then done.

Below actions and workers alike: both take documents in. A signed document is published at once
if who brings it, or who signed it, may speak for the address in it; else the owner of that
address is asked by mail, and says so with a link that works once (``actions.confirming``).
"""

import hashlib
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import TypeVar

from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.db import transaction
from django.urls import reverse
from django.utils import timezone

from core.errors import Refused
from marketplace import documents, traces, trusting
from marketplace.documents import Broken, Metadata, Problem, Signature
from marketplace.models import Entry, Pending, SigningKey
from marketplace.publishing import EVERYBODY, Reader, columns_of, publish_document, said_already
from marketplace.states import PENDING_FOR, PendingState, Visibility
from registration import emails, throttle
from registration.models import Membership, User

T = TypeVar("T")

#: In a list that is fetched for its newest document.
MOST_LISTED = 500
#: To one address, and by one sender, in a window (``throttle.WINDOW``).
MOST_MAILS = 10
#: A mail that may have got lost is sent again for the same document after this.
MAIL_AGAIN_AFTER = timedelta(minutes=10)


class Outcome(StrEnum):
    PUBLISHED = "published"  # at once
    KNOWN = "known"  # it is in the catalogue already, to the byte
    MAILED = "mailed"  # once the owner of its address says yes
    REFUSED = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A document, what it says as far as it can be read, and what would become of it.

    ``why`` it needs no mail, as a sentence; ``is_own``: who brings it speaks for its address.
    """

    xml: bytes
    outcome: Outcome
    problems: tuple[Problem, ...] = ()
    metadata: Metadata | None = None
    signature: Signature | None = None
    entry: Entry | None = None  # that it is already
    why: str = ""
    is_own: bool = False

    @property
    def email(self) -> str:
        """The address of its endorser, or ""."""
        endorsement = self.metadata.endorsement if self.metadata else None
        return endorsement.email if endorsement else ""

    def preview(self) -> Entry | None:
        """The entry that it would be, not saved; None: it cannot be read."""
        if self.metadata is None or self.metadata.endorsement is None:
            return None
        entry = Entry(**columns_of(self.metadata))
        if self.signature:
            entry.trust = trusting.trust_of(self.signature, entry.created_at)
        entry.derive()
        return entry


def documents_in(came: bytes) -> list[bytes]:
    """The documents of a list of 6.5; of anything else, that by itself.

    Raises: Broken: a list that cannot be read.
    """
    return documents.split_list(came) if documents.is_list(came) else [came]


def worth_most(found: Sequence[bytes]) -> bytes:
    """Of several documents about an image, the newest that is good to use now.

    Raises: Broken: there is none.
    """
    if not found:
        raise Broken(Problem(code="empty_list", element="metadata", sentence="The list is empty."))
    if len(found) > MOST_LISTED:
        said = f"The list has {len(found):,} documents; {MOST_LISTED} are most. Name one image."
        raise Broken(Problem(code="too_many", element="metadata", sentence=said))
    return max(found, key=_worth)


def _worth(xml: bytes) -> tuple[bool, bool, float]:
    try:
        metadata = documents.parse(xml, largest_bytes=settings.PORTAL_METADATA_KIB << 10)
    except Broken:
        return (False, False, 0)
    is_valid = metadata.valid is not None and metadata.valid > timezone.now()
    at = metadata.endorsement.created.timestamp() if metadata.endorsement else 0
    return (True, metadata.deprecated is None and is_valid, at)


def judge(xml: bytes, *, by: User | None = None) -> Judged:
    """Every fault of a document; without one, what would become of it if ``by`` brought it."""
    found: list[Problem] = []
    limit = settings.PORTAL_METADATA_KIB << 10
    metadata = _tried(lambda: documents.parse(xml, largest_bytes=limit), found)
    signature = _tried(lambda: documents.verify(xml, largest_bytes=limit), found)
    entry = None
    if metadata and signature and not found:
        entry = _said_already(metadata, xml, by, found)
    if found or metadata is None or signature is None:
        known = tuple(dict.fromkeys(found))
        return Judged(
            xml=xml, outcome=Outcome.REFUSED, problems=known, metadata=metadata,
            signature=signature,
        )  # fmt: skip
    own = _why_theirs(metadata, signature, by)
    why = own or _why_trusted(metadata, signature)
    return Judged(
        xml=xml,
        outcome=Outcome.KNOWN if entry else Outcome.PUBLISHED if why else Outcome.MAILED,
        metadata=metadata,
        signature=signature,
        entry=entry,
        why=why,
        is_own=bool(own),
    )


def _tried(read: Callable[[], T], found: list[Problem]) -> T | None:
    try:
        return read()
    except Broken as broken:
        found += broken.problems
        return None


def _said_already(
    metadata: Metadata, xml: bytes, by: User | None, found: list[Problem]
) -> Entry | None:
    """What only its readers may know is told to the owner of the address, and to nobody else."""
    try:
        known = said_already(metadata, xml)
    except Refused as refused:
        if refused.code in ("older", "taken") and not _may_know(metadata, by):
            return None
        found.append(Problem(code=refused.code, element="slreq:endorsement", sentence=str(refused)))
        return None
    visible = Entry.objects.visible_to(by or AnonymousUser())
    return known if known and visible.filter(pk=known.pk).exists() else None


def _may_know(metadata: Metadata, by: User | None) -> bool:
    """Whether all that the endorser has said of the image is known to who asks, or public."""
    email = metadata.endorsement.email.lower() if metadata.endorsement else ""
    said = Entry.objects.filter(identifier=metadata.identifier, endorser_email=email)
    hidden = said.exclude(pk__in=Entry.objects.visible_to(by or AnonymousUser()).values("pk"))
    return not hidden.filter(is_latest=True).exists()


def _why_theirs(metadata: Metadata, signature: Signature, by: User | None) -> str:
    """Why who brings a document speaks for the address in it, as a sentence; or ""."""
    if by is None or metadata.endorsement is None:
        return ""
    if by.email_confirmed_at and by.email.casefold() == metadata.endorsement.email.casefold():
        return "Its endorser has your own address."
    key = SigningKey.objects.filter(fingerprint=signature.fingerprint).first()
    if key and key.user_id == by.pk:
        return "It is signed with the key that this site keeps for you."
    if key and key.user_id is None and by.is_staff:
        return "It is signed with this site's own key."
    return ""


def _why_trusted(metadata: Metadata, signature: Signature) -> str:
    said = metadata.endorsement
    if said and trusting.skips_mail(signature, said.email, said.created):
        return "An administrator lets documents of its certificate in without asking."
    return ""


def submit(
    xml: bytes, *, by: User | None, address: str = "", readers: Reader = EVERYBODY
) -> Entry | Pending:
    """Publish a document, or ask the owner of its address by mail; the same again is the same.

    The entry is theirs who speak for that address, and nobody's if it is only vouched for.
    Not inside of a transaction: mails that were counted stay counted.

    Raises:
        Broken: ``problems`` has every fault; ``older`` and ``taken`` too.
        Refused: ``readers``, ``not_member``, ``not_active``, ``too_many_mails``,
            ``hygiene_unread``, ``hygiene_found``, and those of ``publish_document`` if somebody is
            faster.
    """
    judged = judge(xml, by=by)
    if judged.outcome is Outcome.REFUSED:
        raise Broken(*judged.problems)
    if by is not None and not by.is_active:
        raise Refused("not_active", "Your account is not active; ask an administrator.")
    if judged.entry is not None:
        return judged.entry
    _must_be_theirs_to_choose(readers, judged, by)
    if judged.outcome is Outcome.PUBLISHED:
        owner = by if judged.is_own else None
        if owner and judged.metadata:
            traces.must_be_known(traces.disks_in(judged.metadata, owner), readers)
        return publish_document(xml, owner=owner, by=by, readers=readers)
    return _ask_endorser(judged, by=by, address=address)


def _must_be_theirs_to_choose(readers: Reader, judged: Judged, by: User | None) -> None:
    """Else somebody could hide what an endorser has said from everybody, by a later word."""
    if readers.visibility == Visibility.PUBLIC:
        return
    if by is None or not judged.is_own:
        raise Refused(
            "readers",
            f"Only the endorser, {judged.email}, chooses who may read the entry. Choose everybody, "
            "or have them publish it.",
            field="visibility",
        )
    if readers.visibility != Visibility.GROUP:
        return
    group = readers.group
    if group is None or not Membership.objects.filter(group=group, user=by).exists():
        raise Refused("not_member", "Choose a group that you are in.", field="group")


def digest(token: str) -> str:
    """What is kept of a token of 256 random bits."""
    return hashlib.sha256(token.encode()).hexdigest()


def _ask_endorser(judged: Judged, *, by: User | None, address: str) -> Pending:
    now = timezone.now()
    waiting = _waiting(judged)
    if waiting and waiting.state_since > now - MAIL_AGAIN_AFTER:
        return waiting
    _must_not_be_many(judged.email, by=by, address=address)
    token = secrets.token_urlsafe(32)
    with transaction.atomic():
        pending = waiting or _park(judged, by=by, address=address)
        Pending.objects.filter(pk=pending.pk).update(token_hash=digest(token), state_since=now)
        _write_to_endorser(pending, token, by=by)
    return pending


def _waiting(judged: Judged) -> Pending | None:
    """The same document, if its endorser has been asked and has not answered."""
    assert judged.metadata  # noqa: S101  (it was judged)
    waiting = Pending.objects.filter(
        state=PendingState.WAITING,
        email=judged.email,
        identifier=judged.metadata.identifier,
        state_since__gt=timezone.now() - PENDING_FOR,
    )
    return next((one for one in waiting if bytes(one.xml) == judged.xml), None)


def _must_not_be_many(email: str, *, by: User | None, address: str) -> None:
    """Anybody can name any address in a document. Raises: Refused: ``too_many_mails``.

    A sender who may send no more does not use up what the address takes; and what strangers use
    up is not taken from people with an account.
    """
    sender = str(by.uuid) if by else address
    if until := throttle.take(MOST_MAILS, "metadata by", sender):
        raise _too_many("by you", until)
    to = ("metadata to", email.casefold(), str(by.uuid) if by else "")
    if until := throttle.take(MOST_MAILS, *to):
        throttle.give_back("metadata by", sender)
        raise _too_many(f"to {email}", until)


def _too_many(which: str, until: datetime) -> Refused:
    return Refused(
        "too_many_mails",
        f"{MOST_MAILS} mails that ask for a confirmation were sent {which} in a short time. Try "
        f"again after {until:%H:%M} UTC. Whoever signs in with the endorser's own address needs "
        "none.",
    )


def _park(judged: Judged, *, by: User | None, address: str) -> Pending:
    assert judged.metadata  # noqa: S101  (it was judged)
    assert judged.metadata.endorsement  # noqa: S101
    pending = Pending.objects.create(
        owner=by,
        xml=judged.xml,
        email=judged.email,
        identifier=judged.metadata.identifier,
        endorsed_at=judged.metadata.endorsement.created,
        deprecates=judged.metadata.deprecated is not None,
        token_hash="",
        address=address[:45],
        next_tick_at=timezone.now(),
    )
    pending.record_event("sent", by=by, now=PendingState.WAITING, address=address)
    pending.announce()
    return pending


def sender_of(by: User | None, address: str) -> str:
    """Who sent a document, to begin a sentence with."""
    if by:
        return f"{by.get_full_name()} ({by})"
    return f"Somebody without an account here (from {address or 'nowhere'})"


def when_signed(pending: Pending) -> str:
    """As it says of itself."""
    at = pending.endorsed_at.astimezone(UTC)
    return f"{at.day} {at:%B %Y, %H:%M:%S} UTC"


def _write_to_endorser(pending: Pending, token: str, *, by: User | None) -> None:
    """No words of the document are in the mail: it would be a stranger's, with our name on it."""
    emails.metadata_sent(
        pending.email,
        who=sender_of(by, pending.address),
        what="deprecates" if pending.deprecates else "endorses",
        image=pending.identifier,
        endorsed=when_signed(pending),
        days=str(PENDING_FOR.days),
        link=settings.PORTAL_URL + reverse("marketplace:confirm", args=[pending.uuid, token]),
    )

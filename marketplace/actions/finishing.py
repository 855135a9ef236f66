"""From a draft to an entry: the disk becomes an original, the document is signed and published."""

from contextlib import suppress

from django.db import transaction

from core.errors import Refused
from core.machine import StaleState
from marketplace import documents, traces
from marketplace.actions import uploads
from marketplace.actions.drafts import must_not_wait
from marketplace.actions.endorsing import (
    end_of_validity,
    is_their_address,
    sign_and_publish,
    signed,
)
from marketplace.actions.inspecting import must_be_looked_into
from marketplace.actions.pens import Pen
from marketplace.actions.publishing import Reader
from marketplace.actions.readers import bound_of, must_reach_nobody_new, seen_now
from marketplace.composing import Said, compose
from marketplace.documents import Metadata
from marketplace.models import Draft, Entry, Pending
from marketplace.states import DraftSource, DraftState, Kind, PendingState
from registration.models import User
from volumes import actions as volumes
from volumes.models import DiskType, Volume

#: What a disk becomes when an entry points to it: nothing may write to it any more.
ORIGINALS = {
    Kind.MACHINE: DiskType.MACHINE_IMAGE_ORIGIN,
    Kind.DISK: DiskType.DATA_IMAGE_RAW_READONLY,
}


def publish_draft(
    draft: Draft,
    *,
    by: User,
    said: Said,
    pen: Pen,
    readers: Reader,
    address: str = "",
    ask_by_mail: bool = False,
) -> Entry | Pending:
    """Sign what was said and publish it; a disk becomes a read-only original with it.

    An address that is not known to be this person's is written to first, if ``ask_by_mail``: then
    a ``Pending`` comes back, and the draft waits until its owner has answered. ``address`` is
    where the request comes from.

    Raises:
        Refused: ``draft_state``, ``draft_waiting``, ``other_address``, ``until``, ``unwritable``,
            ``readers_narrower``, ``entry_gone``, ``disk_written_since``, ``disk_gone``,
            ``hygiene_unread``, ``hygiene_found``, those of ``volumes.change`` and of
            ``uploads.submit``.
    """
    if draft.state != DraftState.READY:
        raise Refused("draft_state", "Wait until it is measured: then it can be signed.")
    must_not_wait(draft)
    end_of_validity(said.valid)
    metadata = compose(draft, said)
    if draft.volume is not None and metadata.kind == Kind.MACHINE:
        _must_be_as_measured(draft)
        must_be_looked_into([draft.volume], readers)
    must_stay_closed(draft.volume, metadata.kind, by=by, readers=readers)
    try:
        if pen.is_site or is_their_address(pen.email, by):
            return _published(draft, metadata, by, pen, readers)
        _must_be_as_measured(draft)
        xml = signed(metadata, signer=pen.signer, email=pen.email)
        _must_be_meant(pen.email, xml, by, ask_by_mail=ask_by_mail)
        return _submitted(draft, xml, by, readers, address)
    except documents.Broken as broken:
        raise Refused("unwritable", str(broken)) from broken


def must_stay_closed(volume: Volume | None, kind: str, *, by: User, readers: Reader) -> None:
    """A disk that is public becomes everybody's machine image with its entry, whoever reads that.

    Not in a transaction. Raises: Refused: those of ``volumes.must_pass_gates``.
    """
    if volume is None:
        return
    try:
        volumes.must_pass_gates(volume, {"type": ORIGINALS[Kind(kind)]}, by=by, knows=readers.knows)
    except Refused as refused:
        field = "knows" if refused.field == "knows" else None
        sentence = f"The disk itself is public. {refused}"
        raise Refused(refused.code, sentence, field=field) from None


def _published(draft: Draft, metadata: Metadata, by: User, pen: Pen, readers: Reader) -> Entry:
    _must_be_as_measured(draft)
    owner = None if pen.is_site else by
    with transaction.atomic():
        source, bound = _source_now(draft, by, owner, readers)
        _make_original(draft, metadata.kind, by, readers)
        entry = sign_and_publish(
            metadata,
            signer=pen.signer,
            email=pen.email,
            owner=owner,
            by=by,
            readers=readers,
            is_official=pen.is_site,
            is_kept_here=source is not None and source.is_kept_here,
            said_again_of=bound,
        )
        try:
            draft.move(DraftState.PUBLISHED, by=by, verb="published", entry=entry)
        except StaleState:
            raise Refused("draft_state", "This draft has changed meanwhile: reload it.") from None
    return entry


def _submitted(
    draft: Draft, xml: bytes, by: User, readers: Reader, address: str
) -> Entry | Pending:
    """Somebody else's address, as far as the portal knows: they are asked by mail.

    All of it or nothing: the disk becomes an original only with a document that is on its way.
    """
    with transaction.atomic():
        if draft.based_on is not None:
            source = seen_now(draft.based_on, by)
            must_reach_nobody_new(bound_of(source, by), readers)
        made = uploads.submit(xml, by=by, address=address, readers=readers)
        _make_original(draft, documents.parse(xml, largest_bytes=len(xml)).kind, by, readers)
        if isinstance(made, Entry):
            _end(draft, made, by=by)
        else:
            _wait(draft, made)
    return made


def _must_be_meant(email: str, xml: bytes, by: User, *, ask_by_mail: bool) -> None:
    """Raises: Refused: ``other_address``: nobody writes to a stranger by a wrong certificate."""
    if ask_by_mail or uploads.judge(xml, by=by).outcome is not uploads.Outcome.MAILED:
        return
    own = by.email if by.email_confirmed_at else f"{by.email}, which nobody has confirmed"
    raise Refused(
        "other_address",
        f"This certificate speaks for {email}, and your address is {own}. Sign with a certificate "
        f"of your own; or tick below that {email} is asked by mail, and publish it then.",
        field="ask_by_mail",
    )


def _wait(draft: Draft, pending: Pending) -> None:
    """Raises: Refused: ``draft_state``."""
    rows = Draft.objects.filter(pk=draft.pk, state=DraftState.READY)
    waiting = rows.filter(pending__state=PendingState.WAITING)
    if not rows.exclude(pk__in=waiting.values("pk")).update(pending=pending):
        raise Refused("draft_state", "This draft has changed meanwhile: reload it.")
    draft.pending = pending
    draft.record_event("sent", by=draft.owner, endorser=pending.email)
    draft.announce()


def end_waiting(pending: Pending, entry: Entry) -> None:
    """Whoever has the address in it said yes: the draft that it was made from is published."""
    for draft in Draft.objects.filter(pending=pending, state=DraftState.READY):
        _end(draft, entry)


def _end(draft: Draft, entry: Entry, *, by: User | None = None) -> None:
    with suppress(StaleState):  # it is published, whatever became of the draft
        draft.move(DraftState.PUBLISHED, by=by, verb="published", entry=entry)


def _source_now(
    draft: Draft, by: User, owner: User | None, readers: Reader
) -> tuple[Entry | None, Entry | None]:
    """The entry that it is made from, as it is now, and the one whose readers bound the new one.

    Raises: Refused: ``entry_gone``, ``readers_narrower``.
    """
    if draft.based_on is None:
        return None, None
    source = seen_now(draft.based_on, by)
    bound = bound_of(source, owner)
    must_reach_nobody_new(bound, readers)
    return source, bound


def _must_be_as_measured(draft: Draft) -> None:
    """Raises: Refused: ``disk_gone``, ``disk_written_since``."""
    if draft.about != DraftSource.DISK:
        return
    volume = draft.volume
    if volume is None or volume.size_bytes != draft.size_bytes or "download" not in volume.verbs:
        raise Refused("disk_gone", "The disk is no longer what was measured: measure it again.")
    if traces.may_have_changed(volume, since=draft.state_since):
        raise Refused(
            "disk_written_since",
            f"A machine may have written to {volume} since it was measured, so its checksums may "
            "be wrong. Measure it again.",
        )


def _make_original(draft: Draft, kind: str, by: User, readers: Reader) -> None:
    """Raises: Refused: as ``volumes.change``."""
    if draft.about == DraftSource.DISK and draft.volume is not None:
        wanted = ORIGINALS[Kind(kind)]
        if draft.volume.type != wanted:
            volumes.change(draft.volume, by=by, type=wanted, knows=readers.knows)

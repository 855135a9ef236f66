"""From a draft to an entry: the disk becomes an original, the document is signed and published."""

from contextlib import suppress

from django.db import transaction

from core.errors import Refused
from core.machine import StaleState
from core.models import Event
from marketplace import documents
from marketplace.actions import uploads
from marketplace.actions.endorsing import (
    end_of_validity,
    is_their_address,
    sign_and_publish,
    signed,
)
from marketplace.actions.pens import Pen
from marketplace.actions.publishing import Reader
from marketplace.actions.readers import bound_of, must_reach_nobody_new, seen_now
from marketplace.composing import Said, compose
from marketplace.documents import Metadata
from marketplace.models import Draft, Entry, Pending
from marketplace.states import DraftSource, DraftState, Kind
from registration.models import User
from volumes import actions as volumes
from volumes.models import Attachment, DiskType
from volumes.states import AttachmentState

#: What a disk becomes when an entry points to it: nothing may write to it any more.
ORIGINALS = {
    Kind.MACHINE: DiskType.MACHINE_IMAGE_ORIGIN,
    Kind.DISK: DiskType.DATA_IMAGE_RAW_READONLY,
}


def publish_draft(
    draft: Draft, *, by: User, said: Said, pen: Pen, readers: Reader, address: str = ""
) -> Entry | Pending:
    """Sign what was said and publish it; a disk becomes a read-only original with it.

    An address that is not known to be this person's is written to first: then a ``Pending``
    comes back, and the draft stays until its owner says yes. ``address`` is where the request
    comes from.

    Raises:
        Refused: ``draft_state``, ``until``, ``unwritable``, ``readers_narrower``,
            ``entry_gone``, ``disk_written_since``, ``disk_gone``, those of ``volumes.change`` and of
            ``uploads.submit``.
    """
    if draft.state != DraftState.READY:
        raise Refused("draft_state", "Wait until it is measured: then it can be signed.")
    end_of_validity(said.valid)
    metadata = compose(draft, said)
    try:
        if pen.is_site or is_their_address(pen.email, by):
            return _published(draft, metadata, by, pen, readers)
        return _submitted(draft, metadata, by, pen, readers, address)
    except documents.Broken as broken:
        raise Refused("unwritable", str(broken)) from broken


def _published(draft: Draft, metadata: Metadata, by: User, pen: Pen, readers: Reader) -> Entry:
    _must_be_as_measured(draft)
    owner = None if pen.is_site else by
    with transaction.atomic():
        source, bound = _source_now(draft, by, owner, readers)
        _make_original(draft, metadata.kind, by)
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
    draft: Draft, metadata: Metadata, by: User, pen: Pen, readers: Reader, address: str
) -> Entry | Pending:
    """Somebody else's address, as far as the portal knows: they are asked by mail."""
    _must_be_as_measured(draft)
    xml = signed(metadata, signer=pen.signer, email=pen.email)
    _make_original(draft, metadata.kind, by)
    made = uploads.submit(xml, by=by, address=address, readers=readers)
    if isinstance(made, Entry):
        with suppress(StaleState):  # it is published, whatever became of the draft
            draft.move(DraftState.PUBLISHED, by=by, verb="published", entry=made)
    return made


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
    if was_written_since(draft):
        raise Refused(
            "disk_written_since",
            f"A machine may have written to {volume} since it was measured, so its checksums may "
            "be wrong. Measure it again.",
        )


def was_written_since(draft: Draft) -> bool:
    """Whether the disk's bytes may have changed since the draft has been in its state."""
    since = draft.state_since
    writers = Attachment.objects.filter(volume=draft.volume, read_only=False)
    ended = writers.filter(state=AttachmentState.DETACHED, state_since__lt=since)
    if writers.exclude(pk__in=ended.values("pk")).exists():
        return True
    assert draft.volume is not None  # noqa: S101  (its caller has looked)
    restored = Event.objects.of(draft.volume.uuid).filter(verb="restore_snapshot", at__gte=since)
    return restored.exists()


def _make_original(draft: Draft, kind: str, by: User) -> None:
    """Raises: Refused: as ``volumes.change``."""
    if draft.about == DraftSource.DISK and draft.volume is not None:
        wanted = ORIGINALS[Kind(kind)]
        if draft.volume.type != wanted:
            volumes.change(draft.volume, by=by, type=wanted)

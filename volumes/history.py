"""What happened to a disk and to what was made of it, in a few words each, newest first."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db.models import Q

from core.models import Event, Outcome
from core.sizes import in_words
from registration.models import User
from volumes.models import Volume
from volumes.states import AttachmentState, OfferState, SnapshotState, VolumeState

#: The page shows so many; the audit has all.
MOST = 100
#: Of what was made of it, so many of each are looked at, the newest.
_PARTS = 100

_STATES: Mapping[str, Mapping[str, Any]] = {
    "volume": dict(VolumeState.choices),
    "attachment": dict(AttachmentState.choices),
    "snapshot": dict(SnapshotState.choices),
    "disk_offer": dict(OfferState.choices),
}
_NOUNS = {"attachment": "Attachment", "snapshot": "Snapshot", "disk_offer": "Offer"}
_VERBS = {
    "asked": "Asked for",
    "attach": "Attached",
    "cancel": "Cancelled",
    "changed": "Changed",
    "copy": "Copied",
    "create": "Made",
    "delete": "Put into the bin",
    "detach": "Detached",
    "dismiss": "Dismissed",
    "grow": "Made larger",
    "handed_over": "Handed over",
    "offer": "Offered",
    "offer_accepted": "Offer accepted",
    "offer_declined": "Offer declined",
    "offer_withdrawn": "Offer withdrawn",
    "purge": "Deleted for good",
    "recover": "Taken out of the bin",
    "restore_snapshot": "Taken back to a snapshot",
    "share": "Shared",
    "share_changed": "Share changed",
    "share_stopped": "Share ended",
    "snapshot": "Snapshot taken",
    "snapshot_deleted": "Snapshot deleted",
    "taken_over": "Taken over",
}
#: What stands in every event and tells a person nothing.
_UNTOLD = frozenset({"before", "after", "to", "copy_of", "page"})


_PLUG = Q(kind="attachment")
#: Of a plug that comes or goes as it should, what was asked says it all; the audit has each step.
_SAID_TWICE = (
    _PLUG & Q(verb="attach", outcome=Outcome.DONE)
    | _PLUG & Q(verb="moved", was=AttachmentState.ATTACHING, now=AttachmentState.ATTACHED)
    | _PLUG & Q(verb="moved", was=AttachmentState.DETACHING, now=AttachmentState.DETACHED)
    | Q(kind="volume", verb="moved", was=VolumeState.IN_USE, now=VolumeState.AVAILABLE)
)


@dataclass(frozen=True, slots=True)
class Happening:
    event: Event
    what: str
    more: str


def of(volume: Volume, reader: User) -> tuple[list[Happening], bool]:
    """The newest events, and whether there are more.

    The disk's owner and administrators read everything; others what they did themselves.
    """
    rows = Event.objects.filter(subject__in=_subjects(volume)).exclude(_SAID_TWICE)
    if not (reader.is_staff or volume.owner_id == reader.pk):
        rows = rows.filter(Q(by=reader.pk) | Q(on_behalf_of=reader.pk)).telling(reader)
    found = list(rows.select_related("by", "on_behalf_of").order_by("-at", "-pk")[: MOST + 1])
    return [_told(event) for event in found[:MOST]], len(found) > MOST


def _subjects(volume: Volume) -> list[UUID]:
    """Looked up first: the audit finds a few subjects by its index, in a million lines."""
    parts: Sequence[Any] = (volume.snapshots, volume.attachments, volume.offers)
    keys = [part.order_by("-pk").values_list("uuid", flat=True)[:_PARTS] for part in parts]
    return [volume.uuid, *(key for some in keys for key in some)]


def _told(event: Event) -> Happening:
    return Happening(event, _what(event), _more(event))


def _what(event: Event) -> str:
    states = _STATES.get(event.kind, {})
    if event.verb == "moved":
        was, now = (states.get(state, state) for state in (event.was, event.now))
        return f"{_NOUNS.get(event.kind, '')} {was} → {now}".strip()
    done = _VERBS.get(event.verb, event.verb.replace("_", " ").capitalize())
    return f"Refused: {done.lower()}" if event.outcome == Outcome.DENIED else done


def _more(event: Event) -> str:
    told = [event.reason] if event.reason else []
    before, after = event.detail.get("before"), event.detail.get("after")
    if isinstance(before, dict) and isinstance(after, dict):
        told += [
            f"{name.removesuffix('_bytes')}: {_value(name, before.get(name))} → "
            f"{_value(name, after[name])}"
            for name in after
        ]
    told += [
        f"{name.replace('_', ' ')}: {_value(name, value)}"
        for name, value in event.detail.items()
        if name not in _UNTOLD and value not in ("", None, False, [], {})
    ]
    return "; ".join(told)


def _value(name: str, value: Any) -> str:
    if value in ("", None):
        return "nothing"
    if name.endswith("_bytes") and isinstance(value, int):
        return in_words(value)
    return "yes" if value is True else str(value)

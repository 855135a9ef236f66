"""What a machine's page tells of the image that is made of it: steps with times and bytes."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.utils import timezone

from core.models import Event
from core.sizes import in_words
from vms.models import Saving
from vms.states import SavingState

S = SavingState
_BEGUN = (S.COPYING, S.SIGNING, S.DONE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One step. ``look``: "done", "now", "later" or "bad"; bytes where they move."""

    label: str
    look: str
    at: datetime | None = None
    took: timedelta | None = None
    note: str = ""
    done: int = 0
    total: int = 0


def lines(saving: Saving | None) -> list[Line]:
    """The steps of the saving that was begun last; nothing before it began."""
    if saving is None or saving.state in (S.PLANNED, S.DROPPED):
        return []
    times = _times(list(Event.objects.of(saving.uuid).order_by("at", "pk")))
    if S.COPYING not in times:
        return []
    return [_copying(saving, times), *_signing(saving, times)]


def _times(events: Sequence[Event]) -> dict[str, datetime]:
    """When it came into each state, since it was planned last."""
    found: dict[str, datetime] = {}
    for event in events:
        if event.now == S.PLANNED:
            found = {}
        elif event.now:
            found[event.now] = event.at
    return found


def _copying(saving: Saving, times: dict[str, datetime]) -> Line:
    began, volume = times[S.COPYING], saving.volume
    ended = times.get(S.SIGNING) or times.get(S.FAILED)
    label = "Copy the disk, and compute its checksums"
    took = (ended or timezone.now()) - began
    if saving.state == S.COPYING:
        return Line(
            label=label, look="now", at=began, took=took, note=volume.reason if volume else "",
            done=volume.bytes_done if volume else 0, total=volume.bytes_total if volume else 0,
        )  # fmt: skip
    if S.SIGNING not in times:
        return Line(label=label, look="bad", at=began, took=took, note=saving.reason)
    size = f"{in_words(volume.size_bytes)}, SHA-1 {volume.sha1}" if volume else ""
    return Line(label=label, look="done", at=began, took=took, note=size)


def _signing(saving: Saving, times: dict[str, datetime]) -> list[Line]:
    """All of it is written in one transaction: it is there at once, or not at all."""
    labels = ("Write its metadata", "Sign them with your key", "Publish them to you alone",
              "Write to you")  # fmt: skip
    at = times.get(S.DONE)
    if at is None:
        first = {S.SIGNING: "now", S.FAILED: "bad"}.get(S(saving.state), "later")
        if S.SIGNING not in times:
            first = "later"
        note = saving.reason if first == "bad" else ""
        looks = (first, "later", "later", "later")
        return [
            Line(label=label, look=look, note=note if look == "bad" else "")
            for label, look in zip(labels, looks, strict=True)
        ]
    entry, took = saving.entry, at - times.get(S.SIGNING, at)
    until = f"Until {entry.valid_until:%-d %B %Y, %H:%M} UTC" if entry and entry.valid_until else ""
    notes = (
        saving.volume.identifier if saving.volume else "",
        f"By {entry.endorser_email}" if entry else saving.reason,
        until if entry else "Once it is signed",
        _whom(saving),
    )
    looks = ("done", "done" if entry else "bad", "done" if entry else "later", "done")
    return [
        Line(label=label, look=look, at=at if look == "done" else None, note=note,
             took=took if label == labels[0] else None)
        for label, look, note in zip(labels, looks, notes, strict=True)
    ]  # fmt: skip


def _whom(saving: Saving) -> str:
    owner = saving.vm.owner.email
    return owner if saving.email.lower() == owner.lower() else f"{owner}, {saving.email}"

"""Make disks, throw them away, take them back, and end them for good."""

from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from core.errors import Refused
from core.machine import StaleState
from registration.models import GIB, User
from volumes import tasks
from volumes.models import (
    LARGEST_GIB,
    LONGEST_TAG,
    SMALLEST_GIB,
    Attachment,
    Offer,
    Visibility,
    Volume,
)
from volumes.quota import must_fit
from volumes.states import OfferState, VolumeState

#: Of the machines that hold a disk, so many are named in a sentence.
NAMED = 3


def create(
    *,
    owner: User,
    size_gib: int,
    create_key: UUID,
    tag: str = "",
    visibility: str = Visibility.PRIVATE,
    cloud: str = settings.DEFAULT_CLOUD,
) -> Volume:
    """An empty disk. It is CREATING when this returns. The same ``create_key`` twice is one disk.

    Raises:
        Refused: ``disk_size``, ``disk_tag``, ``not_active``, ``quota_disk``.
    """
    _must_be_a_size(size_gib)
    tag = tag.strip()
    must_be_a_tag(tag)
    known = Volume.objects.filter(owner=owner, create_key=create_key)
    with transaction.atomic():
        # Two tabs, one quota; and an account that has just been closed gets nothing.
        owner = User.objects.select_for_update().get(pk=owner.pk)
        if made := known.first():
            return made
        if not owner.is_active:
            raise Refused("not_active", "Your account is not active; ask an administrator.")
        must_fit(owner, size_gib * GIB, field="size_gib")
        volume = Volume(
            owner=owner,
            cloud=cloud,
            create_key=create_key,
            size_bytes=size_gib * GIB,
            tag=tag,
            visibility=visibility,
        )
        volume.next_tick_at = volume.state_since
        volume.save(force_insert=True)
        volume.record_event("create", by=owner, now=VolumeState.CREATING, size_gib=size_gib)
        volume.announce()
        tasks.ring_row(volume)
        return volume


def _must_be_a_size(size_gib: int) -> None:
    if not SMALLEST_GIB <= size_gib <= LARGEST_GIB:
        raise Refused(
            "disk_size",
            f"Size must be an integer between {SMALLEST_GIB} and {LARGEST_GIB} (GiB).",
            field="size_gib",
        )


def must_be_a_tag(tag: str) -> None:
    """Raises: Refused: ``disk_tag``."""
    if len(tag) > LONGEST_TAG:
        raise Refused(
            "disk_tag",
            f"A tag has at most {LONGEST_TAG} characters; this has {len(tag)}.",
            field="tag",
        )
    if not tag.isprintable():
        raise Refused("disk_tag", "A tag has no control characters or line breaks.", field="tag")


def delete(volume: Volume, *, by: User) -> None:
    """Put it into the bin, from where it comes back as it was; offers of it are withdrawn.

    Where the site keeps no bin (``PORTAL_BIN_DAYS`` is 0) it ends at once.

    Raises:
        Refused: ``not_yours``, ``disk_in_use``, ``disk_state``.
    """
    _must_be_theirs(volume, "delete", by)
    days = settings.PORTAL_BIN_DAYS
    with transaction.atomic():
        _move(
            volume, "delete", VolumeState.BINNED, by=by,
            purge_at=timezone.now() + timedelta(days=days),
            alongside=lambda: _withdraw_offers(volume, by),
        )  # fmt: skip
        if not days:
            volume.move(VolumeState.DELETING, reason="This site keeps no bin.")
    if not days:
        tasks.ring_row(volume)


def recover(volume: Volume, *, by: User) -> None:
    """Take it out of the bin.

    Raises:
        Refused: ``not_yours``, ``disk_state``, ``bin_over``.
    """
    _must_be_theirs(volume, "recover", by)
    # From then on the engine may have begun to remove it.
    if volume.purge_at and volume.purge_at <= timezone.now():
        raise Refused("bin_over", f"The time of {volume} in the bin is over: its bytes are going.")
    _move(volume, "recover", VolumeState.AVAILABLE, by=by, purge_at=None)


def purge(volume: Volume, *, by: User) -> None:
    """End a disk of the bin now; nobody gets it back. Raises: Refused: ``not_yours``, …"""
    _must_be_theirs(volume, "purge", by)
    _move(volume, "purge", VolumeState.DELETING, by=by, purge_at=timezone.now())
    tasks.ring_row(volume)


def cancel(volume: Volume, *, by: User) -> None:
    """Give up a disk that is still arriving; what has come in of it is removed.

    Raises:
        Refused: ``not_yours``, ``disk_state``.
    """
    _must_be_theirs(volume, "cancel", by)
    _move(volume, "cancel", VolumeState.CLEARING, by=by)
    tasks.ring_row(volume)


def dismiss(volume: Volume, *, by: User) -> None:
    """Take the record of a disk that did not come to be out of the lists.

    Raises:
        Refused: ``not_yours``, ``disk_state``.
    """
    _must_be_theirs(volume, "dismiss", by)
    _move(volume, "dismiss", VolumeState.DELETED, by=by)


VERBS: dict[str, Callable[..., None]] = {
    "delete": delete,
    "recover": recover,
    "purge": purge,
    "cancel": cancel,
    "dismiss": dismiss,
}


def ask_many(
    volumes: Iterable[Volume], verb: str, *, by: User
) -> tuple[list[Volume], list[Refused]]:
    """Ask the same of several disks: which took it, and why the others did not."""
    done: list[Volume] = []
    refusals: list[Refused] = []
    for volume in volumes:
        try:
            VERBS[verb](volume, by=by)
        except Refused as refused:
            refusals.append(refused)
        else:
            done.append(volume)
    return done, refusals


def why_not_delete(volume: Volume, machines: Iterable[str], others: int) -> str:
    """Why it cannot be deleted now, or "".

    ``machines`` are the names of those that have it and that the reader may see; ``others``
    is how many more there are.
    """
    if "delete" in volume.verbs:
        return ""
    if volume.state != VolumeState.IN_USE:
        return f"{volume} is {volume.get_state_display()}: it cannot be deleted now."
    named = list(machines)
    more = others + len(named[NAMED:])
    holders = [*named[:NAMED], *([_machines(more, bool(named))] if more else [])]
    who = f"plugged into {_and(holders)}" if holders else "in use"
    return f"{volume} is {who}. Detach it first."


def _machines(number: int, is_more: bool) -> str:
    return f"{number} {'other ' if is_more else ''}machine{'s' if number != 1 else ''}"


def _and(words: list[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def _must_be_theirs(volume: Volume, verb: str, by: User) -> None:
    if not (by.is_staff or volume.owner_id == by.pk):
        volume.record_denial(verb, by=by)
        raise Refused("not_yours", f"{volume} is somebody else's disk.")


def _move(volume: Volume, verb: str, to: str, *, by: User, **changes: Any) -> None:
    """Move it, however often somebody else moves it meanwhile, as long as the verb fits."""
    while verb in volume.verbs:
        try:
            volume.move(to, by=by, verb=verb, reason=_asked_by(volume, verb, by), **changes)
        except StaleState:
            volume.refresh_from_db()
        else:
            return
    raise _wrong_state(volume, verb, by)


def _wrong_state(volume: Volume, verb: str, by: User) -> Refused:
    if verb == "delete":
        holding = Attachment.objects.holding().filter(volume=volume)
        seen = list(holding.visible_to(by).values_list("vm__name", flat=True).order_by("pk"))
        why = why_not_delete(volume, seen, holding.count() - len(seen))
        code = "disk_in_use" if volume.state == VolumeState.IN_USE else "disk_state"
        return Refused(code, why)
    wish = {"recover": "restored", "purge": "deleted for good", "cancel": "cancelled",
            "dismiss": "dismissed"}[verb]  # fmt: skip
    return Refused("disk_state", f"{volume} is {volume.get_state_display()}: it cannot be {wish}.")


def _asked_by(volume: Volume, verb: str, by: User) -> str:
    words = {"delete": "Deleted", "recover": "Restored from the bin", "purge": "Deleted for good",
             "cancel": "Cancelled", "dismiss": "Dismissed"}[verb]  # fmt: skip
    who = "its owner" if by.pk == volume.owner_id else f"administrator {by.username}"
    return f"{words} by {who}."


def _withdraw_offers(volume: Volume, by: User) -> None:
    for offer in Offer.objects.filter(volume=volume, state=OfferState.OFFERED):
        offer.move(OfferState.WITHDRAWN, by=by, reason="The disk was deleted.")

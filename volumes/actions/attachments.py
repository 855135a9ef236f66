"""Disks into machines, and out of them. What a machine may take is said by ``vms.disks``.

Lock order, everywhere: machine, then disk; several disks by their primary key.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import Exists, OuterRef
from django.utils import timezone

from core.errors import Refused
from core.machine import StaleState
from registration.models import User
from volumes import tasks
from volumes.asking import open_to_all
from volumes.models import (
    BOOTABLE,
    PLUGGABLE,
    WRITABLE,
    Access,
    Attachment,
    Export,
    Offer,
    Share,
    Visibility,
    Volume,
    settle_use,
)
from volumes.states import AttachmentState, ExportState, OfferState, VolumeState

#: Of one machine. Source: StratusLab pdisk (stratuslab.md 4.5).
MOST_DISKS = 26
#: Refusals that are about rights, not about the moment: the audit keeps them.
_RIGHTS = frozenset({"disk_access", "disk_read_only_share", "not_yours"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Where a disk stands towards one person, as far as plugging it in goes."""

    access: Access | None
    holders: Sequence[Attachment]
    busy: str  # why nothing may write to it now, or ""


def standings(volumes: Iterable[Volume], user: User) -> Mapping[int, Standing]:
    """By primary key; as many queries for many disks as for one."""
    rows = list(volumes)
    shared = _shared(rows, user)
    holders: dict[int, list[Attachment]] = {row.pk: [] for row in rows}
    held = Attachment.objects.holding().filter(volume__in=rows)
    for holder in held.select_related("volume", "vm__owner"):
        holders[holder.volume_id].append(holder)
    busy = _busy(rows)
    return {
        row.pk: Standing(
            access=_access(row, user, shared.get(row.pk, frozenset())),
            holders=holders[row.pk],
            busy=busy.get(row.pk, ""),
        )
        for row in rows
    }


def _shared(volumes: Sequence[Volume], user: User) -> dict[int, frozenset[str]]:
    found: dict[int, frozenset[str]] = {}
    shares = Share.objects.to(user).filter(volume__in=volumes).values_list("volume", "access")
    for pk, access in shares:
        found[pk] = found.get(pk, frozenset()) | {access}
    return found


def _access(volume: Volume, user: User, shared: frozenset[str]) -> Access | None:
    """As ``Volume.access_of``, with what is known already."""
    if volume.owner_id == user.pk:
        return Access.OWN
    if Access.WRITE in shared:
        return Access.WRITE
    return Access.READ if shared or volume.visibility == Visibility.PUBLIC else None


def _busy(volumes: Sequence[Volume]) -> dict[int, str]:
    found: dict[int, str] = {}
    offered = Offer.objects.filter(volume__in=volumes, state=OfferState.OFFERED)
    for offer in offered.select_related("to"):
        found[offer.volume_id] = (
            f"it is offered to {offer.to}, as it is. Withdraw the offer, or attach it read-only"
        )
    exports = Export.objects.filter(
        volume__in=volumes, state=ExportState.PREPARING, snapshot__isnull=True
    )
    for pk in exports.values_list("volume", flat=True):
        found[pk] = (
            "a download of it is being prepared. Wait until that is ready, or attach it read-only"
        )
    copies = Volume.objects.filter(
        source__in=volumes,
        state__in=(VolumeState.COPYING, VolumeState.CLEANING),
        wanted_snapshot__isnull=True,
    )
    for copy in copies:
        if copy.source_id is not None:
            found[copy.source_id] = (
                "it is being copied. Wait until that is done, or attach it read-only"
            )
    return found


def obstacle(
    volume: Volume,
    standing: Standing,
    *,
    by: User,
    read_only: bool,
    vm: Any = None,
    is_root: bool = False,
) -> Refused | None:
    """What keeps ``by`` from plugging the disk in now (into ``vm``, or into any machine)."""
    if standing.access is None:
        return Refused(
            "disk_access",
            f"{volume} is private to {volume.owner}: ask them to share it with you.",
        )
    if "attach" not in volume.verbs:
        return Refused(
            "disk_state",
            f"{volume} is “{volume.get_state_display()}”: a disk can be attached while it is "
            "available, or in use.",
        )
    return (
        _wrong_type(volume, read_only=read_only, is_root=is_root)
        or wrong_place(volume, standing, vm)
        or (None if read_only else _not_to_write(volume, standing))
        or _held(volume, standing, by, read_only=read_only)
    )


def _wrong_type(volume: Volume, *, read_only: bool, is_root: bool) -> Refused | None:
    kind = volume.get_type_display()
    if is_root:
        if volume.type in BOOTABLE:
            return None
        return Refused("disk_type", f"{volume} is “{kind}”: no machine can boot from it.")
    if volume.type not in PLUGGABLE:
        way = "launch a machine from it" if volume.type in BOOTABLE else "copy it, and use the copy"
        return Refused(
            "disk_type", f"{volume} is “{kind}”: it cannot be attached beside a root disk; {way}."
        )
    if not read_only and volume.type not in WRITABLE:
        return Refused(
            "disk_read_only",
            f"{volume} is “{kind}”: attach it read-only, or have its owner change its type.",
        )
    return None


def wrong_place(volume: Volume, standing: Standing, vm: Any) -> Refused | None:
    """What keeps a disk out of this one machine, whatever else holds of the disk."""
    if vm is None:
        return None
    if volume.cloud != vm.cloud:
        return Refused(
            "other_cloud",
            f"{volume} is on the cloud “{volume.cloud}” and {vm} on “{vm.cloud}”: a disk stays "
            "on its cloud.",
        )
    if any(holder.vm_id == vm.pk for holder in standing.holders):
        return Refused("disk_twice", f"{volume} is attached to {vm} already.")
    return None


def _not_to_write(volume: Volume, standing: Standing) -> Refused | None:
    if standing.access == Access.READ:
        return Refused(
            "disk_read_only_share",
            f"{volume} is {volume.owner}'s, and open to you to read: attach it read-only, or ask "
            "for a share to write.",
        )
    if volume.is_open_image:
        return open_to_all(volume)
    if standing.busy:
        return Refused("disk_busy", f"Nothing may write to {volume} now: {standing.busy}.")
    return None


def _held(volume: Volume, standing: Standing, by: User, *, read_only: bool) -> Refused | None:
    writer = next((one for one in standing.holders if not one.read_only), None)
    if writer:
        return Refused(
            "disk_in_use",
            f"{volume} is attached to {holder_name(writer, by)}, which may write to it: such a "
            "disk is on one machine at a time. Detach it there first.",
        )
    if standing.holders and not read_only:
        names = sorted({holder_name(one, by) for one in standing.holders})
        return Refused(
            "disk_in_use",
            f"{volume} is attached read-only to {_listed(names)}: nothing may write to it "
            "meanwhile. Attach it read-only here too, or detach it there first.",
        )
    return None


def holder_name(holder: Attachment, by: User) -> str:
    """What ``by`` is told of the machine that has a disk."""
    if by.is_staff or holder.vm.owner_id == by.pk:
        return str(holder.vm)
    if holder.volume.owner_id == by.pk:
        return f"a machine of {holder.vm.owner}"
    return "another machine"


def _listed(names: Sequence[str]) -> str:
    if len(names) > 3:
        return f"{len(names)} machines"
    return " and ".join(names)


def attach(
    volume: Volume, vm: Any, *, by: User, read_only: bool, ready: Callable[[], None]
) -> Attachment:
    """Plug a disk into a machine of ``by``'s own. It is ATTACHING when this returns.

    ``ready`` is called first in the transaction: it locks the machine, and refuses if that may
    take no disk now. ``vms.disks.attach`` brings it along; call that one.

    Raises:
        Refused: ``not_yours``, ``disk_access``, ``disk_state``, ``disk_type``,
            ``disk_read_only``, ``disk_read_only_share``, ``disk_busy``, ``disk_in_use``,
            ``disk_twice``, ``other_cloud``, ``too_many_disks``, ``disk_open``.
    """
    wanted = {"by": by, "read_only": read_only, "is_root": False}
    return _take(volume, vm, ready, AttachmentState.ATTACHING, wanted)


def plan(
    volume: Volume, vm: Any, *, by: User, read_only: bool, is_root: bool = False
) -> Attachment:
    """Have a disk in a machine that is being ordered. Call it in the transaction that orders.

    ``vm`` is saved already; of several disks, plan the one with the smallest key first. The
    row is PLANNED, and becomes ATTACHED when the engine shows the disk in the machine.

    Raises:
        Refused: as ``attach``.
    """
    wanted = {"by": by, "read_only": read_only, "is_root": is_root}
    return _take(volume, vm, lambda: None, AttachmentState.PLANNED, wanted)


def _take(
    volume: Volume, vm: Any, ready: Callable[[], None], state: str, wanted: Mapping[str, Any]
) -> Attachment:
    try:
        try:
            with transaction.atomic():
                ready()
                return _taken(volume, vm, state=state, **wanted)
        except IntegrityError:  # the database's last word: somebody was faster
            raise _overtaken(volume, vm, **wanted) from None
    except Refused as refused:
        if refused.code in _RIGHTS:
            volume.record_denial("attach", by=wanted["by"], reason=str(refused))
        raise


def _overtaken(volume: Volume, vm: Any, **wanted: Any) -> Refused:
    volume = Volume.objects.select_related("owner").get(pk=volume.pk)
    why = obstacle(volume, standings([volume], wanted["by"])[volume.pk], vm=vm, **wanted)
    return why or Refused(
        "disk_in_use", f"Somebody else asked for {volume} in the same moment. Try again."
    )


def _taken(volume: Volume, vm: Any, *, by: User, state: str, **how: Any) -> Attachment:
    if vm.owner_id != by.pk:
        raise Refused("not_yours", f"{vm} is not your machine: disks go into one's own.")
    volume = (
        Volume.objects.select_for_update(no_key=True, of=("self",))
        .select_related("owner")
        .get(pk=volume.pk)
    )
    why = obstacle(volume, standings([volume], by)[volume.pk], by=by, vm=vm, **how)
    if why:
        raise why
    must_have_room(vm)
    row = Attachment(
        volume=volume, vm=vm, by=by, state=state,
        at_launch=state == AttachmentState.PLANNED, **how,
    )  # fmt: skip
    row.next_tick_at = row.state_since
    row.save(force_insert=True)
    mode = "read-only" if row.read_only else "read-write"
    row.record_event("attach", by=by, now=state, read_only=row.read_only)
    told = f"Attached {mode} to {row.vm_name_for(volume.owner_id)}."
    if volume.state == VolumeState.AVAILABLE:
        volume.move(VolumeState.IN_USE, by=by, verb="attach", reason=told)
    else:
        volume.record_event("attach", by=by, reason=told)
    row.announce()
    tasks.ring_row(row)
    return row


def must_have_room(vm: Any) -> None:
    """Raises: Refused: ``too_many_disks``."""
    if Attachment.objects.holding().filter(vm=vm).count() >= MOST_DISKS:
        raise too_many(vm)


def too_many(vm: Any) -> Refused:
    return Refused(
        "too_many_disks",
        f"{vm} has {MOST_DISKS} disks, and no machine may have more. Detach one first.",
    )


def may_detach(attachment: Attachment, user: User) -> bool:
    """Whether ``user`` may have this disk let go: whose disk or machine it is, administrators."""
    return bool(user.is_staff or user.pk in (attachment.volume.owner_id, attachment.vm.owner_id))


def detach(attachment: Attachment, *, by: User, force: bool = False) -> None:
    """Have a machine let go of a disk. It is DETACHING when this returns.

    The guest is asked; one that does not let go within the deadline keeps it. With ``force`` it
    is not asked. Whether the machine can now is for ``vms.disks.detach`` to say.

    Raises:
        Refused: ``not_yours``, ``disk_root``, ``disk_not_attached``.
    """
    if not may_detach(attachment, by):
        attachment.record_denial("detach", by=by)
        raise Refused("not_yours", "This is neither your disk nor your machine.")
    if attachment.is_root:
        raise Refused(
            "disk_root",
            f"{attachment.vm} runs from {attachment.volume}: shut the machine down or kill it, "
            "and the disk is free.",
        )
    while not _asked_to_let_go(attachment, by=by, force=force):
        attachment.refresh_from_db()  # the wish is about the disk, not the state it was seen in


def _asked_to_let_go(attachment: Attachment, *, by: User, force: bool) -> bool:
    """False: it has just gone on; look again."""
    match attachment.state:
        case AttachmentState.DETACHED:
            raise Refused("disk_not_attached", f"{attachment.volume} is detached already.")
        case AttachmentState.PLANNED:
            raise Refused(
                "disk_not_attached",
                f"{attachment.volume} waits for its machine to start: detach it then, or kill "
                "the machine.",
            )
        case AttachmentState.DETACHING:
            return not force or _forced(attachment, by)
    try:
        attachment.move(
            AttachmentState.DETACHING,
            by=by,
            verb="detach",
            reason=_asked_by(attachment, by, force=force),
            detail={"force": force},
            is_forced=force,
        )
    except StaleState:
        return False
    tasks.ring_row(attachment)
    return True


def _forced(attachment: Attachment, by: User) -> bool:
    """The guest is being asked, and somebody will not wait for its answer."""
    now = timezone.now()
    with transaction.atomic():
        waiting = Attachment.objects.filter(pk=attachment.pk, state=AttachmentState.DETACHING)
        if not waiting.update(is_forced=True, next_tick_at=now):
            return False
        attachment.record_event(
            "detach", by=by, reason=_asked_by(attachment, by, force=True), force=True
        )
        attachment.announce()
        tasks.ring_row(attachment)
    return True


def _asked_by(attachment: Attachment, by: User, *, force: bool) -> str:
    who = (
        "the machine's owner" if by.pk == attachment.vm.owner_id
        else "the disk's owner" if by.pk == attachment.volume.owner_id
        else f"administrator {by.username}"
    )  # fmt: skip
    return f"{'Detached by force' if force else 'Detach'}, asked by {who}."


def release(vm: Any) -> None:
    """Free every disk of a machine that the engine has removed; in the transaction that ends it."""
    for row in Attachment.objects.holding().filter(vm=vm).order_by("volume"):
        while row.state != AttachmentState.DETACHED:
            try:
                row.move(AttachmentState.DETACHED, reason=f"{vm} has ended.")
            except StaleState:
                row.refresh_from_db()


def settle_uses(cloud: str) -> None:
    """Have each disk's state say whether a machine holds it, should the two ever disagree."""
    held = Attachment.objects.holding().filter(volume=OuterRef("pk"))
    rows = Volume.objects.filter(cloud=cloud)
    free = rows.filter(~Exists(held), state=VolumeState.IN_USE)
    taken = rows.filter(Exists(held), state=VolumeState.AVAILABLE)
    for volume in [*free, *taken]:
        with transaction.atomic(), suppress(StaleState):
            settle_use(volume)

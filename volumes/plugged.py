"""Disks in machines as pages and programs tell of them: where, how to use them, what to ask."""

import re
import shlex
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db.models import Q, QuerySet
from django.utils import timezone

from registration.models import User
from volumes.actions import attachments
from volumes.models import Attachment, Origin, Volume, VolumeSample
from volumes.states import HOLDING, AttachmentState

A = AttachmentState

#: How long a page says that an attach came to nothing.
TOLD_FOR = timedelta(hours=1)
#: Of those that are over, the latest.
MOST_BEFORE = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Lines:
    """What to type in the machine. ``path`` is what the disk is called there."""

    path: str
    is_stable: bool  # the path is this disk's own, whatever order disks are found in
    look: str
    make: str  # "": nothing may be made on it
    folder: str
    mount: str
    unmount: str
    label: str  # mount it by its label; "": it has none that we know


@dataclass(frozen=True, slots=True, kw_only=True)
class Plugged:
    """One disk in one machine, for one person who looks."""

    row: Attachment
    machine: str  # as this person may know it
    is_machine_open: bool
    is_disk_open: bool
    is_first_use: bool  # empty, as far as the portal knows
    may_detach: bool
    keeps: str  # why it cannot be detached now, or ""
    lines: Lines

    @property
    def has_refused(self) -> bool:
        """The guest was asked to let go, and has not."""
        return self.row.state == A.ATTACHED and bool(self.row.reason)

    @property
    def can_go(self) -> bool:
        """It can be detached now, by who looks."""
        return self.may_detach and not self.keeps and self.row.state == A.ATTACHED

    @property
    def has_failed(self) -> bool:
        """It ended before it began."""
        return self.row.state == A.DETACHED and self.row.attached_at is None


def in_machine(vm: Any, user: User) -> list[Plugged]:
    """The disks that a machine has, and those that it has just failed to get."""
    recent = timezone.now() - TOLD_FOR
    failed = Q(state=A.DETACHED, attached_at=None, detached_at__gt=recent)
    if vm.ended_at:
        failed = Q(pk__in=())
    rows = Attachment.objects.filter(Q(state__in=sorted(HOLDING)) | failed, vm=vm)
    return _seen(rows, user)


def of_disk(volume: Volume, user: User) -> list[Plugged]:
    """The machines that have a disk now, as far as this person may know of them."""
    rows = Attachment.objects.holding().filter(volume=volume).visible_to(user)
    return _seen(rows, user)


def before_in_machine(vm: Any, user: User) -> list[Plugged]:
    """What a machine had and has no more, the latest first."""
    rows = Attachment.objects.filter(vm=vm, state=A.DETACHED).exclude(attached_at=None)
    return _seen(rows.order_by("-pk")[:MOST_BEFORE], user)


def before_of_disk(volume: Volume, user: User) -> list[Plugged]:
    """Where a disk was, and what came to nothing; the latest first."""
    rows = Attachment.objects.filter(volume=volume, state=A.DETACHED).visible_to(user)
    return _seen(rows.order_by("-pk")[:MOST_BEFORE], user)


def hidden_holders(volume: Volume, user: User) -> int:
    """How many machines of others have a disk, of which this person sees no more than that."""
    holding = Attachment.objects.holding().filter(volume=volume)
    return holding.exclude(pk__in=holding.visible_to(user).values("pk")).count()


def _seen(rows: "QuerySet[Attachment]", user: User) -> list[Plugged]:
    found = list(rows.select_related("volume__owner", "volume__arrival", "vm__owner", "vm__entry"))
    disks = {row.volume_id for row in found}
    open_disks = set(
        Volume.objects.visible_to(user).filter(pk__in=disks).values_list("pk", flat=True)
    )
    used = _used_before(found)
    folders = _folders(found)
    return [
        Plugged(
            row=row,
            machine=attachments.holder_name(row, user),
            is_machine_open=user.is_staff or row.vm.owner_id == user.pk,
            is_disk_open=row.volume_id in open_disks,
            is_first_use=row.volume.origin == Origin.CREATED
            and not row.reason
            and row.pk not in used,
            may_detach=attachments.may_detach(row, user),
            keeps=_keeps(row),
            lines=lines(row, folders[row.pk]),
        )
        for row in found
    ]


def _used_before(rows: Sequence[Attachment]) -> set[int]:
    """Of these, the ones whose disk a machine could write to before, or has written to since."""
    earlier = Attachment.objects.filter(
        volume__in={row.volume_id for row in rows}, read_only=False
    ).exclude(attached_at=None)
    first = {disk: pk for pk, disk in earlier.order_by("-pk").values_list("pk", "volume")}
    written = VolumeSample.objects.filter(attachment__in=rows, write_bytes__gt=0)
    return {row.pk for row in rows if first.get(row.volume_id, row.pk) < row.pk} | set(
        written.values_list("attachment", flat=True)
    )


def _keeps(row: Attachment) -> str:
    if row.is_root:
        return "The machine runs from it: it is free when the machine has ended."
    if row.state == A.PLANNED:
        return "It waits for its machine to start."
    return ""


def lines(row: Attachment, name: str) -> Lines:
    """The lines for a disk in its guest, with ``sudo`` where its user is not root.

    ``name`` is that of the folder that it is mounted in.
    """
    path = row.stable_path or row.device
    sudo = "" if row.vm.login == "root" else "sudo "
    folder = f"/mnt/{name}"
    read_only = "-o ro " if row.read_only else ""
    arrival = getattr(row.volume, "arrival", None)
    label = arrival.label if arrival else ""
    by_label = f"{sudo}mount {read_only}-L {shlex.quote(label)} {folder}" if label else ""
    return Lines(
        path=path,
        is_stable=bool(row.stable_path),
        look=f"{sudo}blkid {path}" if row.read_only else f"ls -l {path}",
        make="" if row.read_only else f"{sudo}mkfs.ext4 {path}",
        folder=f"{sudo}mkdir -p {folder}",
        mount=f"{sudo}mount {read_only}{path} {folder}",
        unmount=f"{sudo}umount {folder}",
        label=by_label,
    )


def folder_name(volume: Volume) -> str:
    """A folder's name made from the tag; without one, from the UUID."""
    words = re.findall(r"[a-z0-9]+", volume.tag.lower())
    return "-".join(words)[:40].strip("-") or f"disk-{volume.token[:8]}"


def _folders(rows: Sequence[Attachment]) -> dict[int, str]:
    """A folder for each of these, its own in its machine: one mounted over another hides it."""
    held = Attachment.objects.holding().filter(vm__in={row.vm_id for row in rows})
    taken: dict[int, dict[int, str]] = defaultdict(dict)
    for one in held.select_related("volume").only("vm", "volume__tag", "volume__uuid"):
        taken[one.vm_id][one.volume_id] = folder_name(one.volume)
    return {row.pk: _own_folder(row.volume, taken[row.vm_id]) for row in rows}


def _own_folder(volume: Volume, taken: Mapping[int, str]) -> str:
    name = folder_name(volume)
    is_shared = any(disk != volume.pk and other == name for disk, other in taken.items())
    return f"{name}-{volume.token[:4]}" if is_shared else name

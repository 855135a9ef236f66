"""A disk in a machine, now or once, and what the machine did with it."""

from collections.abc import Callable
from typing import Any, Self

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

from core.machine import Stateful
from volumes.models.disks import Volume, VolumeQuerySet
from volumes.states import (
    ATTACHMENT_DEADLINES,
    ATTACHMENT_MOVES,
    HOLDING,
    AttachmentState,
    VolumeState,
)


class AttachmentQuerySet(models.QuerySet["Attachment"]):
    def holding(self) -> Self:
        """Those for which the disk is the machine's now."""
        return self.filter(state__in=HOLDING)

    def visible_to(self, user: Any) -> Self:
        """Of a disk of one's own all, of other disks those of one's own machines."""
        if user.is_staff:
            return self
        return self.filter(Q(volume__owner=user) | Q(vm__owner=user))


class Attachment(Stateful):
    """One time that a machine has a disk. Of the machine it reads its cloud and its reference."""

    KIND = "attachment"
    MOVES = ATTACHMENT_MOVES
    DEADLINES = ATTACHMENT_DEADLINES

    state = models.CharField(
        max_length=12, choices=AttachmentState, default=AttachmentState.ATTACHING
    )
    volume = models.ForeignKey(Volume, models.PROTECT, related_name="attachments")
    vm = models.ForeignKey("vms.VM", models.PROTECT, related_name="attachments")
    by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    read_only = models.BooleanField(default=False)
    at_launch = models.BooleanField(default=False)
    is_root = models.BooleanField(default=False)  # the machine boots from it
    is_forced = models.BooleanField(default=False)  # the guest is not asked to let go
    device = models.CharField(max_length=40, blank=True)  # as the guest is likely to call it
    stable_path = models.CharField(max_length=120, blank=True)
    asked_at = models.DateTimeField(auto_now_add=True)
    attached_at = models.DateTimeField(null=True, blank=True)
    detached_at = models.DateTimeField(null=True, blank=True)

    objects = AttachmentQuerySet.as_manager()

    class Meta:
        ordering = ["pk"]
        indexes = [
            models.Index(
                fields=["next_tick_at"],
                name="volumes_attachment_due",
                condition=Q(next_tick_at__isnull=False),
            ),
            models.Index(fields=["vm", "state"], name="volumes_attachment_vm"),
            models.Index(fields=["volume", "state"], name="volumes_attachment_volume"),
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(state__in=AttachmentState.values), name="volumes_attachment_state"
            ),
            # The last word in a race: one machine writes, and no machine has it twice.
            models.UniqueConstraint(
                fields=["volume"],
                condition=Q(read_only=False, state__in=sorted(HOLDING)),
                name="volumes_attachment_writer",
            ),
            models.UniqueConstraint(
                fields=["volume", "vm"],
                condition=Q(state__in=sorted(HOLDING)),
                name="volumes_attachment_once",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.volume} in {self.vm_name_for(self.volume.owner_id)}"

    def vm_name_for(self, user_pk: int) -> str:
        """What a person is told of the machine: its name, or only whose it is."""
        if self.vm.owner_id == user_pk:
            return str(self.vm)
        return f"a machine of {self.vm.owner}"

    @property
    def owner_pk(self) -> int | None:
        return self.volume.owner_id

    @property
    def cloud(self) -> str:
        return self.volume.cloud

    def audience(self) -> tuple[int, ...]:
        return tuple({self.volume.owner_id, self.vm.owner_id})

    def announce(self) -> None:
        self.volume.announce()  # pages show disks
        self.vm.announce()  # and machines

    def move(self, to: str, *, alongside: Callable[[], None] | None = None, **more: Any) -> None:
        """As every row; whatever the way, its disk is freed in the same transaction."""
        if to == AttachmentState.DETACHED:
            more.setdefault("detached_at", timezone.now())

        def with_disk() -> None:
            if alongside:
                alongside()
            self._settle_disk(to)

        super().move(to, alongside=with_disk, **more)

    def _settle_disk(self, to: str) -> None:
        # A machine that was given to the engine may have written before anybody looked.
        began = self.state == AttachmentState.PLANNED and self.vm.cloud_ref
        if to == AttachmentState.ATTACHED or began:
            self.note_writing()
        if to == AttachmentState.DETACHED:
            settle_use(self.volume)

    def note_writing(self) -> None:
        """From now on the disk may hold something else than the bytes that came in."""
        if not self.read_only:
            unwritten = Volume.objects.filter(pk=self.volume_id, written_at=None)
            unwritten.update(written_at=timezone.now())


def settle_use(volume: Volume, *, reason: str = "") -> None:
    """Have a disk's state say whether a machine holds it. Call it in a transaction."""
    volume = Volume.objects.select_for_update(no_key=True).get(pk=volume.pk)
    is_held = Attachment.objects.holding().filter(volume=volume).exists()
    if volume.state == VolumeState.IN_USE and not is_held:
        volume.move(VolumeState.AVAILABLE, reason=reason)
    elif volume.state == VolumeState.AVAILABLE and is_held:
        volume.move(VolumeState.IN_USE, reason=reason)


def with_holders(volumes: VolumeQuerySet) -> VolumeQuerySet:
    """With ``holders`` on each: its attachments that hold it now, their machines loaded."""
    holding = Attachment.objects.holding().select_related("vm")
    return volumes.prefetch_related(models.Prefetch("attachments", holding, to_attr="holders"))


class VolumeSample(models.Model):
    """What a machine has read from and written to a disk since it was plugged in."""

    attachment = models.ForeignKey(Attachment, models.CASCADE, related_name="samples")
    at = models.DateTimeField()
    read_bytes = models.BigIntegerField()
    write_bytes = models.BigIntegerField()

    class Meta:
        indexes = [models.Index(fields=["attachment", "at"], name="volumes_sample_at")]

    def __str__(self) -> str:
        return f"{self.attachment_id} {self.at:%H:%M:%S}"

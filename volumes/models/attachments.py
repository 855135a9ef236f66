"""A disk in a machine, now or once, and what the machine did with it."""

from typing import Any, Self

from django.conf import settings
from django.db import models
from django.db.models import Q

from core.machine import Stateful
from volumes.models.disks import Volume, VolumeQuerySet
from volumes.states import (
    ATTACHMENT_DEADLINES,
    ATTACHMENT_MOVES,
    HOLDING,
    AttachmentState,
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
        return f"{self.volume} in {self.vm}"

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

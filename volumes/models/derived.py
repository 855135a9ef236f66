"""What is made of a disk: snapshots, files to download, and a new owner."""

from typing import Any, Self

from django.conf import settings
from django.db import models
from django.db.models import Q

from core.machine import Stateful
from volumes.models.disks import Volume
from volumes.states import (
    EXPORT_DEADLINES,
    EXPORT_MOVES,
    OFFER_DEADLINES,
    OFFER_MOVES,
    SNAPSHOT_DEADLINES,
    SNAPSHOT_HOLDS,
    SNAPSHOT_MOVES,
    ExportState,
    OfferState,
    SnapshotState,
)


class SnapshotQuerySet(models.QuerySet["Snapshot"]):
    def held(self) -> Self:
        """Those that take room on the site."""
        return self.filter(state__in=SNAPSHOT_HOLDS)


class Snapshot(Stateful):
    """What a disk held at one time. In the quota it counts as much as the disk did then."""

    KIND = "snapshot"
    MOVES = SNAPSHOT_MOVES
    DEADLINES = SNAPSHOT_DEADLINES

    state = models.CharField(max_length=12, choices=SnapshotState, default=SnapshotState.TAKING)
    volume = models.ForeignKey(Volume, models.PROTECT, related_name="snapshots")
    name = models.CharField(max_length=40)
    size_bytes = models.PositiveBigIntegerField()
    was_in_use = models.BooleanField(default=False)  # a machine was writing: as after a power cut
    created_at = models.DateTimeField(auto_now_add=True)

    objects = SnapshotQuerySet.as_manager()

    class Meta:
        ordering = ["pk"]
        indexes = [
            models.Index(
                fields=["next_tick_at"],
                name="volumes_snapshot_due",
                condition=Q(next_tick_at__isnull=False),
            )
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(state__in=SnapshotState.values), name="volumes_snapshot_state"
            )
        ]

    def __str__(self) -> str:
        return f"{self.name} of {self.volume}"

    @property
    def owner_pk(self) -> int | None:
        return self.volume.owner_id

    @property
    def cloud(self) -> str:
        return self.volume.cloud

    def audience(self) -> tuple[int, ...] | None:
        return self.volume.audience()

    def announce(self) -> None:
        self.volume.announce()  # pages show disks


class ExportFormat(models.TextChoices):
    RAW = "raw", "raw"
    GZIP = "raw.gz", "raw, gzip"
    ZSTD = "raw.zst", "raw, zstd"
    QCOW2 = "qcow2", "qcow2"


class ExportQuerySet(models.QuerySet["Export"]):
    def visible_to(self, user: Any) -> Self:
        """A download is whose who asked for it, and administrators see that it is there."""
        return self if user.is_staff else self.filter(owner=user)


class Export(Stateful):
    """A file to download, made of a disk for one person."""

    KIND = "export"
    MOVES = EXPORT_MOVES
    DEADLINES = EXPORT_DEADLINES

    state = models.CharField(max_length=12, choices=ExportState, default=ExportState.PREPARING)
    volume = models.ForeignKey(Volume, models.PROTECT, related_name="exports")
    snapshot = models.ForeignKey(Snapshot, models.SET_NULL, null=True, blank=True, related_name="+")
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    format = models.CharField(max_length=8, choices=ExportFormat)
    bytes_done = models.PositiveBigIntegerField(default=0)
    bytes_total = models.PositiveBigIntegerField(default=0)
    size_bytes = models.PositiveBigIntegerField(null=True, blank=True)  # of the file
    sha256 = models.CharField(max_length=64, blank=True)  # of the file
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField(null=True, blank=True)

    objects = ExportQuerySet.as_manager()

    class Meta:
        ordering = ["-pk"]
        indexes = [
            models.Index(
                fields=["next_tick_at"],
                name="volumes_export_due",
                condition=Q(next_tick_at__isnull=False),
            ),
            models.Index(
                fields=["expires_at"],
                name="volumes_export_expires",
                condition=Q(state=ExportState.READY),
            ),
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(state__in=ExportState.values), name="volumes_export_state"
            )
        ]

    def __str__(self) -> str:
        return f"{self.volume} as {self.get_format_display()}"

    @property
    def cloud(self) -> str:
        return self.volume.cloud

    def audience(self) -> tuple[int, ...]:
        return (self.owner_id,)


class OfferQuerySet(models.QuerySet["Offer"]):
    def visible_to(self, user: Any) -> Self:
        return self if user.is_staff else self.filter(Q(owner=user) | Q(to=user))

    def waiting(self) -> Self:
        return self.filter(state=OfferState.OFFERED)

    def waiting_for(self, user: Any) -> Self:
        """Those that ``user`` may accept or decline."""
        return self.waiting().filter(to=user)


class Offer(Stateful):
    """A disk that its owner would give to somebody, who has to accept it."""

    KIND = "disk_offer"
    MOVES = OFFER_MOVES
    DEADLINES = OFFER_DEADLINES

    state = models.CharField(max_length=12, choices=OfferState, default=OfferState.OFFERED)
    volume = models.ForeignKey(Volume, models.PROTECT, related_name="offers")
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    to = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="disk_offers")
    created_at = models.DateTimeField(auto_now_add=True)

    objects = OfferQuerySet.as_manager()

    class Meta:
        ordering = ["pk"]
        constraints = [
            models.CheckConstraint(
                condition=Q(state__in=OfferState.values), name="volumes_offer_state"
            ),
            models.UniqueConstraint(
                fields=["volume"],
                condition=Q(state=OfferState.OFFERED),
                name="volumes_offer_one",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.volume} to {self.to}"

    def audience(self) -> tuple[int, ...]:
        return (self.owner_id, self.to_id)

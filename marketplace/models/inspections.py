"""What was found in disks of their makers, and entries that wait to be opened to everybody."""

from collections.abc import Mapping
from typing import Any, Self

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.urls import reverse

from cloud.diskfiles.hygiene import KINDS, Kind
from core.machine import Stateful
from marketplace.models.drafts import OwnedQuerySet
from marketplace.models.entries import Entry
from marketplace.states import (
    INSPECTION_DEADLINES,
    INSPECTION_MOVES,
    PUBLICATION_DEADLINES,
    PUBLICATION_MOVES,
    PUBLICATION_VERBS,
    InspectionState,
    PublicationState,
)
from volumes.models import Volume


class InspectionQuerySet(models.QuerySet["Inspection"]):
    def visible_to(self, user: Any) -> Self:
        """A report is the owner's of the disk, and the administrators'."""
        if not user.is_authenticated:
            return self.none()
        return self if user.is_staff else self.filter(volume__owner=user)


class Inspection(Stateful):
    """One look into a disk. One to a disk: a new look is the same row.

    ``report``: {"parts": [{number, kind, size_bytes}], "findings": [{kind, part, path,
    size_bytes, is_removable}], "unread": [{part, why}], "is_cut"}.
    """

    KIND = "inspection"
    MOVES = INSPECTION_MOVES
    DEADLINES = INSPECTION_DEADLINES

    state = models.CharField(max_length=10, choices=InspectionState, default=InspectionState.WANTED)
    volume = models.OneToOneField(Volume, models.CASCADE, related_name="inspection")
    report = models.JSONField(default=dict, blank=True)
    bytes_done = models.PositiveBigIntegerField(default=0)
    bytes_total = models.PositiveBigIntegerField(default=0)
    created_at = models.DateTimeField(auto_now_add=True)

    objects = InspectionQuerySet.as_manager()

    class Meta:
        ordering = ["-pk"]
        indexes = [
            models.Index(
                fields=["next_tick_at"],
                name="marketplace_inspection_due",
                condition=Q(next_tick_at__isnull=False),
            )
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(state__in=InspectionState.values), name="marketplace_inspection_state"
            )
        ]

    def __str__(self) -> str:
        return str(self.volume)

    def get_absolute_url(self) -> str:
        return reverse("marketplace:inspection", args=[self.uuid])

    @property
    def cloud(self) -> str:
        return self.volume.cloud

    @property
    def owner_pk(self) -> int | None:
        return self.volume.owner_id

    def audience(self) -> tuple[int, ...]:
        return (self.volume.owner_id,)

    @property
    def findings(self) -> list[Mapping[str, Any]]:
        return list(self.report.get("findings", ()))

    @property
    def unread(self) -> list[Mapping[str, Any]]:
        return list(self.report.get("unread", ()))

    @property
    def is_whole(self) -> bool:
        """Whether every file system of the disk was read to its end."""
        return self.state == InspectionState.READY and bool(self.report.get("is_read"))

    @property
    def percent(self) -> int:
        return min(100, self.bytes_done * 100 // self.bytes_total) if self.bytes_total else 0

    @property
    def left_to_do(self) -> list[Mapping[str, Any]]:
        """What only somebody inside the machine can remove, in its own file system."""
        return self._only_inside(on_fat=False)

    @property
    def left_on_fat(self) -> list[Mapping[str, Any]]:
        """The same on partitions with FAT: paths there are not paths of the machine."""
        return self._only_inside(on_fat=True)

    def _only_inside(self, *, on_fat: bool) -> list[Mapping[str, Any]]:
        fat = {part["number"] for part in self.report.get("parts", []) if part["kind"] == "FAT"}
        return [
            one
            for one in self.findings
            if not one["is_removable"] and (one["part"] in fat) is on_fat
        ]

    def by_kind(self) -> list[tuple[Kind, list[Mapping[str, Any]]]]:
        """What was found, kind by kind, the worst first."""
        found = {name: [one for one in self.findings if one["kind"] == name] for name in KINDS}
        return [(KINDS[name], many) for name, many in found.items() if many]


class PublicationQuerySet(OwnedQuerySet):
    def waiting(self) -> Self:
        return self.filter(state=PublicationState.ASKED)

    def count_by_state(self) -> dict[str, int]:
        return dict(self.order_by().values_list("state").annotate(models.Count("pk")))


class Publication(Stateful):
    """The wish to open an entry to everybody, which an administrator answers."""

    KIND = "publication"
    MOVES = PUBLICATION_MOVES
    DEADLINES = PUBLICATION_DEADLINES

    state = models.CharField(
        max_length=10, choices=PublicationState, default=PublicationState.ASKED
    )
    entry = models.ForeignKey(Entry, models.PROTECT, related_name="publications")
    # Who asked; None: a program without an account here.
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, blank=True, related_name="+"
    )
    message = models.TextField(blank=True)
    answered_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, blank=True, related_name="+"
    )
    answered_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    objects = PublicationQuerySet.as_manager()

    class Meta:
        ordering = ["pk"]
        constraints = [
            models.CheckConstraint(
                condition=Q(state__in=PublicationState.values),
                name="marketplace_publication_state",
            ),
            models.UniqueConstraint(
                fields=["entry"],
                condition=Q(state=PublicationState.ASKED),
                name="marketplace_publication_one",
            ),
        ]

    def __str__(self) -> str:
        return str(self.entry)

    def get_absolute_url(self) -> str:
        return self.entry.permalink

    @property
    def verbs(self) -> frozenset[str]:
        """What an administrator may ask of it now."""
        return frozenset(verb for verb, states in PUBLICATION_VERBS.items() if self.state in states)

    def audience(self) -> tuple[int, ...]:
        return (self.owner_id,) if self.owner_id else ()

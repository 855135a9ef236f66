"""Other catalogues that this one imports entries from."""

from collections.abc import Mapping
from typing import Any, Self

from django.db import models
from django.db.models import Q
from django.urls import reverse

from core.machine import Stateful
from marketplace.states import SOURCE_DEADLINES, SOURCE_MOVES, SourceKind, SourceState

#: What became of what an import saw and did not add, as ``outcomes.Figure``.
_FIGURES: Mapping[str, str] = {
    "known": "here already",
    "twice": "the same file as another",
    "unwanted": "left out by the filters",
    "over": "over already",
    "refused": "refused",
}


class SourceQuerySet(models.QuerySet["Source"]):
    def visible_to(self, user: Any) -> Self:
        """Administrators' own."""
        return self if user.is_authenticated and user.is_staff else self.none()


class Source(Stateful):
    """A catalogue elsewhere, and which of its entries are wanted."""

    KIND = "source"
    MOVES = SOURCE_MOVES
    DEADLINES = SOURCE_DEADLINES

    state = models.CharField(max_length=10, choices=SourceState, default=SourceState.OFF)
    cloud = models.CharField(max_length=40)  # whose workers import it
    name = models.CharField(max_length=80, unique=True)
    kind = models.CharField(max_length=14, choices=SourceKind)
    url = models.CharField(max_length=500, unique=True)
    note = models.CharField(max_length=300, blank=True)
    is_shipped = models.BooleanField(default=False)  # came with the portal
    # Filters: {"os": [...], "arch": [...], "endorser": [...], "words": "..."}; empty: everything.
    wanted = models.JSONField(default=dict, blank=True)
    every_hours = models.PositiveIntegerField(default=24)
    due_at = models.DateTimeField(null=True, blank=True)
    imported_at = models.DateTimeField(null=True, blank=True)  # the last time that it went well
    seen = models.PositiveIntegerField(default=0)
    added = models.PositiveIntegerField(default=0)
    figures = models.JSONField(default=dict, blank=True)  # of those that were seen and not added
    refused = models.JSONField(default=list, blank=True)  # [[what, sentence], …] of the last time

    objects = SourceQuerySet.as_manager()

    class Meta:
        ordering = ["name"]
        indexes = [
            models.Index(
                fields=["next_tick_at"],
                name="marketplace_source_due",
                condition=Q(next_tick_at__isnull=False),
            )
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(state__in=SourceState.values), name="marketplace_source_state"
            ),
        ]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("marketplace:source", args=[self.uuid])

    @property
    def is_on(self) -> bool:
        return self.state != SourceState.OFF

    @property
    def not_added(self) -> list[tuple[int, str]]:
        """Why not all that the last import saw is new here: how many, and in words."""
        return [
            (self.figures[name], words)
            for name, words in _FIGURES.items()
            if self.figures.get(name)
        ]

"""The history of everything: one append-only table of events."""

import uuid
from typing import Any

from django.conf import settings
from django.db import models
from django.utils import timezone

from core.logs import request_id


class EventQuerySet(models.QuerySet["Event"]):
    def of(self, subject: uuid.UUID) -> "EventQuerySet":
        """Everything that happened to one thing, oldest first."""
        return self.filter(subject=subject).order_by("pk")


class Event(models.Model):
    """One change of state, one act of a person, or one denial. Never updated or deleted."""

    at = models.DateTimeField(default=timezone.now, db_index=True)
    kind = models.CharField(max_length=40)
    subject = models.UUIDField(db_index=True)
    verb = models.CharField(max_length=40)  # "moved", "asked", "denied", or an act's own word
    was = models.CharField(max_length=20, blank=True)
    now = models.CharField(max_length=20, blank=True)
    reason = models.CharField(max_length=500, blank=True)
    detail = models.JSONField(default=dict, blank=True)
    by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+"
    )  # None: the portal itself
    reference = models.CharField(max_length=64, blank=True)  # request or task id, as in the log

    objects = EventQuerySet.as_manager()

    class Meta:
        ordering = ["pk"]

    def __str__(self) -> str:
        return f"{self.kind} {self.subject} {self.verb} {self.now}".strip()


def record(
    kind: str,
    subject: uuid.UUID,
    verb: str,
    *,
    by: Any = None,
    was: str = "",
    now: str = "",
    reason: str = "",
    **detail: Any,
) -> Event:
    """Append one event. ``detail`` must be JSON, and free of secrets."""
    return Event.objects.create(
        kind=kind,
        subject=subject,
        verb=verb,
        by=by,
        was=was,
        now=now,
        reason=reason[:500],
        detail=detail,
        reference=request_id.get(),
    )

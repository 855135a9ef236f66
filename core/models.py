"""The history of everything: one append-only table of events, which is the audit as well."""

import uuid
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

from core.audit import without_secrets
from core.caller import caller
from core.logs import request_id

#: The subject of events about something that has no row: a name nobody has, a page.
NOTHING = uuid.UUID(int=0)
#: The same denial is written once in so long: whoever knocks a thousand times fills no table.
DENIED_AGAIN = timedelta(minutes=1)


class Outcome(models.TextChoices):
    DONE = "done", "Done"
    DENIED = "denied", "Denied"
    FAILED = "failed", "Failed"


class EventQuerySet(models.QuerySet["Event"]):
    def of(self, subject: uuid.UUID) -> "EventQuerySet":
        """Everything that happened to one thing, oldest first."""
        return self.filter(subject=subject).order_by("pk")

    def visible_to(self, user: Any) -> "EventQuerySet":
        """An administrator sees all; others what they did and what concerns their things."""
        if user.is_staff:
            return self
        mine = self.filter(Q(owner=user.pk) | Q(by=user.pk) | Q(on_behalf_of=user.pk))
        return mine.telling(user)

    def telling(self, user: Any) -> "EventQuerySet":
        """Without what ``user`` was denied of others' things: not even that these exist."""
        others = Q(owner__isnull=False) & ~Q(owner=user.pk)
        return self.exclude(others, outcome=Outcome.DENIED)


class Event(models.Model):
    """One change of state, one act, or one denial. The database refuses to change or delete it."""

    at = models.DateTimeField(default=timezone.now, db_index=True)
    kind = models.CharField(max_length=40)
    subject = models.UUIDField()
    subject_name = models.CharField(max_length=100, blank=True)  # as it was called then
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+", db_index=False
    )  # whose thing it is
    verb = models.CharField(max_length=40)  # "moved", "asked", or an act's own word
    outcome = models.CharField(max_length=8, choices=Outcome, default=Outcome.DONE)
    was = models.CharField(max_length=20, blank=True)
    now = models.CharField(max_length=20, blank=True)
    reason = models.CharField(max_length=500, blank=True)
    detail = models.JSONField(default=dict, blank=True)  # before, after, …: never a secret
    by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+", db_index=False
    )  # None: the portal itself, or a visitor
    on_behalf_of = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+", db_index=False
    )  # as whom an administrator acted
    door = models.CharField(max_length=8, default="task")
    address = models.CharField(max_length=45, blank=True)  # where the request came from
    reference = models.CharField(max_length=64, blank=True)  # request or task id, as in the log

    objects = EventQuerySet.as_manager()

    class Meta:
        ordering = ["pk"]
        # Each serves one filter of the audit, newest first, without sorting a million lines.
        indexes = [
            models.Index(fields=["by", "at"], name="core_event_by"),
            models.Index(fields=["owner", "at"], name="core_event_owner"),
            models.Index(
                fields=["on_behalf_of", "at"],
                condition=Q(on_behalf_of__isnull=False),
                name="core_event_on_behalf",
            ),
            models.Index(fields=["subject", "at"], name="core_event_subject"),
            models.Index(fields=["subject_name", "at"], name="core_event_name"),
            models.Index(fields=["kind", "at"], name="core_event_kind"),
            models.Index(fields=["verb", "at"], name="core_event_verb"),
            models.Index(fields=["door", "at"], name="core_event_door"),
            models.Index(fields=["outcome", "at"], name="core_event_outcome_at"),
            models.Index(fields=["reference"], name="core_event_reference"),
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(outcome__in=Outcome.values), name="core_event_outcome"
            )
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.subject} {self.verb} {self.now}".strip()


def record(
    kind: str,
    subject: uuid.UUID,
    verb: str,
    *,
    by: Any = None,
    owner: int | None = None,
    label: str = "",
    outcome: str = Outcome.DONE,
    was: str = "",
    now: str = "",
    reason: str = "",
    **detail: Any,
) -> Event:
    """Append one event. ``detail`` must be JSON, and free of secrets: these are left out.

    ``owner`` is the primary key of the person whose thing it is, ``label`` what the thing is
    called. Who really acts, from where and through which door, comes from ``core.caller``.
    """
    known = caller.get()
    actor = by.pk if by is not None else None
    acts_for_somebody = known.administrator is not None and actor == known.acts_as
    return Event.objects.create(
        kind=kind,
        subject=subject,
        subject_name=label[:100],
        owner_id=owner,
        verb=verb,
        outcome=outcome,
        by_id=known.administrator if acts_for_somebody else actor,
        on_behalf_of_id=actor if acts_for_somebody else None,
        was=was,
        now=now,
        reason=without_secrets(reason)[:500],
        detail=without_secrets(detail),
        door=known.door,
        address=known.address,
        reference=request_id.get(),
    )


def deny(
    kind: str, subject: uuid.UUID, verb: str, *, by: Any = None, reason: str = "", **more: Any
) -> None:
    """Append that ``verb`` was refused; ``more`` as ``record``. The same again is left out.

    Call it outside of a transaction that the refusal rolls back.
    """
    known = caller.get()
    again = Event.objects.filter(
        at__gt=timezone.now() - DENIED_AGAIN,
        subject=subject,
        kind=kind,
        verb=verb,
        outcome=Outcome.DENIED,
        address=known.address,
        reason=reason[:500],
    )
    if by is not None:
        again = again.filter(Q(by=by.pk) | Q(on_behalf_of=by.pk))
    if not again.exists():
        record(kind, subject, verb, by=by, outcome=Outcome.DENIED, reason=reason, **more)

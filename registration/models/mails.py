"""Mails on their way, and the days of which the administrators were told."""

import uuid

from django.db import models
from django.db.models import Q
from django.utils import timezone


class OutgoingMailQuerySet(models.QuerySet["OutgoingMail"]):
    def due(self) -> "OutgoingMailQuerySet":
        """What is to be tried now, the longest overdue first."""
        return self.filter(next_try_at__lte=timezone.now()).order_by("next_try_at", "pk")

    def waiting(self) -> "OutgoingMailQuerySet":
        return self.filter(next_try_at__isnull=False)

    def troubled(self) -> "OutgoingMailQuerySet":
        """What was tried in vain, given up or not."""
        return self.exclude(error="")

    def given_up(self) -> "OutgoingMailQuerySet":
        return self.filter(next_try_at=None)


class OutgoingMail(models.Model):
    """A mail that has not left yet, written in the transaction that it tells of.

    The row is gone as soon as the mail has left. Of a mail that was given up, all but what it
    said is kept for a while, so that an administrator sees who was not told.
    """

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)  # its Message-ID
    kind = models.CharField(max_length=30)
    to = models.CharField(max_length=254, blank=True)  # "": nobody, and it costs the same
    reply_to = models.CharField(max_length=254, blank=True)
    subject = models.CharField(max_length=300)
    # Text, HTML and files, by registration.sealing: the links in it open doors.
    sealed = models.TextField(blank=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    next_try_at = models.DateTimeField(null=True, default=timezone.now)  # null: given up
    tries = models.PositiveSmallIntegerField(default=0)
    error = models.CharField(max_length=300, blank=True)  # of the latest try

    objects = OutgoingMailQuerySet.as_manager()

    class Meta:
        ordering = ["pk"]
        indexes = [
            models.Index(
                fields=["next_try_at"],
                condition=Q(next_try_at__isnull=False),
                name="registration_mail_due",
            )
        ]

    def __str__(self) -> str:
        return self.subject


class Digest(models.Model):
    """A day whose mail about who waits has been written: whoever adds the row writes it."""

    day = models.DateField(unique=True)

    class Meta:
        ordering = ["day"]

    def __str__(self) -> str:
        return f"digest of {self.day}"

"""What administrators write once for everybody: policies, rules, reasons and mails."""

import uuid

from django.db import models
from django.utils import timezone

from registration.models.people import User


class Policy(models.Model):
    """One version of the terms, conditions and policies. Never changed once published."""

    version = models.PositiveIntegerField(unique=True)
    text = models.TextField()  # Markdown
    changes = models.CharField(max_length=300, blank=True)  # what is new in it, in a sentence
    asks_again = models.BooleanField(default=True)  # whether everybody has to agree anew
    published_at = models.DateTimeField(default=timezone.now, editable=False)
    published_by = models.ForeignKey(User, models.PROTECT, null=True, related_name="+")

    class Meta:
        ordering = ["-version"]

    def __str__(self) -> str:
        return f"version {self.version}"


class ApprovalRule(models.Model):
    """Requests that need no administrator: by the domain of the confirmed address."""

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    pattern = models.CharField(max_length=253, unique=True)  # example.org or *.example.org
    note = models.CharField(max_length=200, blank=True)
    is_enabled = models.BooleanField(default=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    created_by = models.ForeignKey(User, models.PROTECT, related_name="+")
    used_count = models.PositiveIntegerField(default=0, editable=False)
    used_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        ordering = ["pattern"]

    def __str__(self) -> str:
        return self.pattern


def patterns_of(email: str) -> list[str]:
    """Every pattern that lets in this address, the most specific first.

    ``*.example.org`` means every domain below example.org, and not example.org itself.
    """
    domain = email.rpartition("@")[2].lower()
    labels = domain.split(".")
    return [domain, *(f"*.{'.'.join(labels[cut:])}" for cut in range(1, len(labels)))]


class ReasonTemplate(models.Model):
    """A reason for a rejection that is given often."""

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    title = models.CharField(max_length=60, unique=True)
    text = models.CharField(max_length=500)

    class Meta:
        ordering = ["title"]

    def __str__(self) -> str:
        return self.title


class MailText(models.Model):
    """A mail in this site's own words; mails without one use the shipped text."""

    kind = models.CharField(max_length=30, unique=True)
    subject = models.CharField(max_length=150)
    text = models.TextField()  # with {placeholders}
    changed_at = models.DateTimeField(default=timezone.now, editable=False)
    changed_by = models.ForeignKey(User, models.PROTECT, related_name="+")

    class Meta:
        ordering = ["kind"]

    def __str__(self) -> str:
        return self.kind

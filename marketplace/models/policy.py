"""Which images this site lets machines start from. Source: stratuslab.md 7.6."""

import uuid

from django.conf import settings
from django.db import models

from marketplace.states import Colour, Subject


class PolicyLine(models.Model):
    """One value on one of the six lists. A list without a line is not active."""

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    subject = models.CharField(max_length=8, choices=Subject)
    colour = models.CharField(max_length=5, choices=Colour)
    value = models.CharField(max_length=254)  # e-mails and checksums in lower case
    note = models.CharField(max_length=200, blank=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["subject", "colour", "value"]
        constraints = [
            models.UniqueConstraint(
                fields=["subject", "colour", "value"], name="marketplace_policy_once"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_subject_display()} {self.value} on the {self.get_colour_display()}"

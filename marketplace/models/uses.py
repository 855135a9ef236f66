"""What is known of images beyond their entries: who used them, with which sizes, where they are."""

from django.conf import settings
from django.db import models


class Use(models.Model):
    """How often one person has launched an image by one entry. Shown to others as numbers only,
    and only to those who may see the entry.
    """

    entry = models.ForeignKey("marketplace.Entry", models.CASCADE, related_name="uses")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+")
    launches = models.PositiveIntegerField(default=0)
    last_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["entry", "user"], name="marketplace_use_of_entry_once"),
        ]

    def __str__(self) -> str:
        return f"{self.entry_id} by {self.user_id}"


class TestedSize(models.Model):
    """A size of machine that this image has come up with on this site, so that SSH answered."""

    __test__ = False  # no test, whatever its name begins with

    entry = models.ForeignKey("marketplace.Entry", models.CASCADE, related_name="tested_sizes")
    size = models.CharField(max_length=40)  # the instance type's name
    vcpus = models.PositiveIntegerField()
    memory_mib = models.PositiveIntegerField()
    times = models.PositiveIntegerField(default=0)
    last_at = models.DateTimeField()

    class Meta:
        ordering = ["memory_mib", "vcpus", "size"]
        constraints = [
            models.UniqueConstraint(
                fields=["entry", "size", "vcpus", "memory_mib"],
                name="marketplace_entry_tested_once",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.entry_id} with {self.size}"


class LocationCheck(models.Model):
    """What was found when a location was looked at last."""

    url = models.CharField(max_length=500, unique=True)
    checked_at = models.DateTimeField()
    is_there = models.BooleanField()
    said = models.CharField(max_length=300, blank=True)  # a sentence
    size_bytes = models.PositiveBigIntegerField(null=True, blank=True)  # of the file, as sent

    def __str__(self) -> str:
        return self.url[:100]


class Reminder(models.Model):
    """That an endorser was written to about an entry, so that it happens once."""

    key = models.CharField(max_length=80, unique=True)  # "expiry:<entry>:<user>"
    entry = models.ForeignKey("marketplace.Entry", models.PROTECT, related_name="+")
    about = models.CharField(max_length=20)  # "expiry", "deprecated", …
    at = models.DateTimeField()
    to = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, null=True, blank=True, related_name="+"
    )

    def __str__(self) -> str:
        return f"{self.about} of {self.entry_id}"

"""Sizes of machines: those that a site offers, and those of people."""

from typing import Any, Self

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models
from django.db.models import Q

LARGEST_VCPUS = 64
LARGEST_MEMORY_MIB = 1024 * 1024
SMALLEST_MEMORY_MIB = 96


class InstanceTypeQuerySet(models.QuerySet["InstanceType"]):
    def of_site(self) -> Self:
        return self.filter(owner=None)

    def offered_to(self, user: Any) -> Self:
        """What ``user`` may launch with; one's own takes the place of the site's of its name."""
        own = self.filter(owner=user)
        site = Q(owner=None, is_offered=True) & ~Q(name__in=own.values("name"))
        return self.filter(site | Q(owner=user))


class InstanceType(models.Model):
    """A size that the site offers, or one of a person's own.

    Machines copy it: changing a type changes no machine.
    """

    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, null=True, blank=True, related_name="sizes"
    )  # None: the site's
    name = models.CharField(
        max_length=40,
        validators=[RegexValidator(r"^[A-Za-z0-9][\w.-]*$", "Letters, digits, . _ - only.")],
    )
    description = models.CharField(max_length=120, blank=True)
    vcpus = models.PositiveSmallIntegerField(
        "vCPUs", validators=[MinValueValidator(1), MaxValueValidator(LARGEST_VCPUS)]
    )
    memory_mib = models.PositiveIntegerField(
        "memory (MiB)",
        validators=[MinValueValidator(SMALLEST_MEMORY_MIB), MaxValueValidator(LARGEST_MEMORY_MIB)],
    )
    swap_mib = models.PositiveIntegerField(
        "swap (MiB)", default=0, validators=[MaxValueValidator(LARGEST_MEMORY_MIB)]
    )
    is_default = models.BooleanField("default", default=False)
    is_offered = models.BooleanField("offered", default=True)

    objects = InstanceTypeQuerySet.as_manager()

    class Meta:
        ordering = ["memory_mib", "vcpus", "name"]
        constraints = [
            models.UniqueConstraint(
                fields=["is_default"], condition=Q(is_default=True), name="vms_type_one_default"
            ),
            models.UniqueConstraint(
                fields=["name"], condition=Q(owner__isnull=True), name="vms_type_name"
            ),
            models.UniqueConstraint(
                fields=["owner", "name"],
                condition=Q(owner__isnull=False),
                name="vms_type_own_name",
            ),
        ]

    def __str__(self) -> str:
        return self.name

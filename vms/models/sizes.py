"""The sizes of machines that a site offers."""

from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models
from django.db.models import Q

LARGEST_VCPUS = 64
LARGEST_MEMORY_MIB = 1024 * 1024
SMALLEST_MEMORY_MIB = 96


class InstanceType(models.Model):
    """A size that the site offers. Machines copy it: changing a type changes no machine."""

    name = models.CharField(
        max_length=40,
        unique=True,
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

    class Meta:
        ordering = ["memory_mib", "vcpus", "name"]
        constraints = [
            models.UniqueConstraint(
                fields=["is_default"], condition=Q(is_default=True), name="vms_type_one_default"
            )
        ]

    def __str__(self) -> str:
        return self.name

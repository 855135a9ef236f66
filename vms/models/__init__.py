"""The tables of machines. No verbs here: those are in ``actions``."""

from vms.models.building import Build, BuildPiece, BuildStep, OwnedQuerySet
from vms.models.clusters import Batch, Cluster
from vms.models.machines import VM, ContextMethod, Tenure, VMQuerySet
from vms.models.networks import Network, Nic
from vms.models.readiness import CloudStatus, Readiness, Sample
from vms.models.recipes import Backup, Recipe
from vms.models.saving import Saving
from vms.models.sizes import (
    LARGEST_MEMORY_MIB,
    LARGEST_VCPUS,
    SMALLEST_MEMORY_MIB,
    InstanceType,
)

__all__ = [
    "LARGEST_MEMORY_MIB",
    "LARGEST_VCPUS",
    "SMALLEST_MEMORY_MIB",
    "VM",
    "Backup",
    "Batch",
    "Build",
    "BuildPiece",
    "BuildStep",
    "CloudStatus",
    "Cluster",
    "ContextMethod",
    "InstanceType",
    "Network",
    "Nic",
    "OwnedQuerySet",
    "Readiness",
    "Recipe",
    "Sample",
    "Saving",
    "Tenure",
    "VMQuerySet",
]

"""Machines, for programs. One router: its modules share addresses."""

from vms.api import backups, batches, building, clusters, launching, networks, saving, sizes
from vms.api.machines import router

__all__ = [
    "backups",
    "batches",
    "building",
    "clusters",
    "launching",
    "networks",
    "router",
    "saving",
    "sizes",
]

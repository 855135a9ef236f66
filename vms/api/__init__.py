"""Machines, for programs. One router: its modules share addresses."""

from vms.api import backups, batches, building, launching, saving, sizes
from vms.api.machines import router

__all__ = ["backups", "batches", "building", "launching", "router", "saving", "sizes"]

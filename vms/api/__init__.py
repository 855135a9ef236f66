"""Machines, for programs. One router: its modules share addresses."""

from vms.api import building, launching, saving
from vms.api.machines import router

__all__ = ["building", "launching", "router", "saving"]

"""Machines, for programs. One router: its modules share addresses."""

from vms.api import launching
from vms.api.machines import router

__all__ = ["launching", "router"]

"""Clusters: what each of their machines is told, and what it says of it. No database here."""

from vms.clusters.plan import (
    LONGEST_HOOK_BYTES,
    LONGEST_MINUTES,
    STEPS,
    Node,
    Plan,
    Wishes,
    problems,
)
from vms.clusters.said import Said, last_lines, read
from vms.clusters.script import lists as script_of_lists
from vms.clusters.script import script

__all__ = [
    "LONGEST_HOOK_BYTES", "LONGEST_MINUTES", "STEPS", "Node", "Plan", "Said", "Wishes",
    "last_lines", "problems", "read", "script", "script_of_lists",
]  # fmt: skip

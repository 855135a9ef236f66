"""The steps of machines' lives."""

from vms.lifecycle.machines import STAGED_WITHIN, VM_STEPS
from vms.lifecycle.readiness import READINESS_STEPS, watch_readiness

__all__ = ["READINESS_STEPS", "STAGED_WITHIN", "VM_STEPS", "watch_readiness"]

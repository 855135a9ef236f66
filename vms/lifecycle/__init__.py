"""The steps of the lives of machines, and of what is made with them."""

from vms.lifecycle.machines import STAGED_WITHIN, VM_STEPS
from vms.lifecycle.readiness import READINESS_STEPS, watch_readiness
from vms.lifecycle.saving import SAVING_STEPS

__all__ = ["READINESS_STEPS", "SAVING_STEPS", "STAGED_WITHIN", "VM_STEPS", "watch_readiness"]

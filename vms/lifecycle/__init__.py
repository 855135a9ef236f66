"""The steps of the lives of machines, and of what is made with them."""

from vms.lifecycle.building import BUILD_STEPS, settle_kept
from vms.lifecycle.clusters import CLUSTER_STEPS, end_empty_clusters
from vms.lifecycle.leasing import look_at_leases
from vms.lifecycle.machines import STAGED_WITHIN, VM_STEPS
from vms.lifecycle.networks import NETWORK_STEPS, NIC_STEPS
from vms.lifecycle.readiness import READINESS_STEPS, watch_readiness
from vms.lifecycle.saving import SAVING_STEPS, disk_bytes, launch_path, shut_down_to_save
from vms.lifecycle.telling import tell_of_batches

__all__ = [
    "BUILD_STEPS",
    "CLUSTER_STEPS",
    "NETWORK_STEPS",
    "NIC_STEPS",
    "READINESS_STEPS",
    "SAVING_STEPS",
    "STAGED_WITHIN",
    "VM_STEPS",
    "disk_bytes",
    "end_empty_clusters",
    "launch_path",
    "look_at_leases",
    "settle_kept",
    "shut_down_to_save",
    "tell_of_batches",
    "watch_readiness",
]

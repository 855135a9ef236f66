"""Lives of machines and of what is made with them, as data."""

from vms.states.building import (
    BUILD_DEADLINES,
    BUILD_MEANINGS,
    BUILD_MOVES,
    BuildState,
    StepState,
)
from vms.states.clusters import (
    CLUSTER_DEADLINES,
    CLUSTER_MEANINGS,
    CLUSTER_MOVES,
    ClusterState,
)
from vms.states.machines import VM_DEADLINES, VM_MEANINGS, VM_MOVES, VM_VERBS, VmState
from vms.states.networks import (
    NETWORK_DEADLINES,
    NETWORK_MEANINGS,
    NETWORK_MOVES,
    NIC_DEADLINES,
    NIC_HOLDS,
    NIC_MOVES,
    NetworkState,
    NicState,
)
from vms.states.readiness import READINESS_DEADLINES, READINESS_MOVES, ReadinessState
from vms.states.saving import (
    LOSABLE,
    OPEN,
    SAVING_DEADLINES,
    SAVING_MEANINGS,
    SAVING_MOVES,
    SavingState,
)

__all__ = [
    "BUILD_DEADLINES",
    "BUILD_MEANINGS",
    "BUILD_MOVES",
    "CLUSTER_DEADLINES",
    "CLUSTER_MEANINGS",
    "CLUSTER_MOVES",
    "LOSABLE",
    "NETWORK_DEADLINES",
    "NETWORK_MEANINGS",
    "NETWORK_MOVES",
    "NIC_DEADLINES",
    "NIC_HOLDS",
    "NIC_MOVES",
    "OPEN",
    "READINESS_DEADLINES",
    "READINESS_MOVES",
    "SAVING_DEADLINES",
    "SAVING_MEANINGS",
    "SAVING_MOVES",
    "VM_DEADLINES",
    "VM_MEANINGS",
    "VM_MOVES",
    "VM_VERBS",
    "BuildState",
    "ClusterState",
    "NetworkState",
    "NicState",
    "ReadinessState",
    "SavingState",
    "StepState",
    "VmState",
]

"""The lives of private networks and of machines' cards on them, as data."""

from collections.abc import Mapping
from datetime import timedelta

from django.db.models import TextChoices

from core.machine import Deadline, Deadlines, Moves


class NetworkState(TextChoices):
    CREATING = "creating", "Creating"
    READY = "ready", "Ready"
    DELETING = "deleting", "Deleting"
    DELETED = "deleted", "Deleted"
    FAILED = "failed", "Failed"


N = NetworkState

NETWORK_MOVES: Moves = {
    N.CREATING: frozenset({N.READY, N.FAILED, N.DELETING}),
    N.READY: frozenset({N.DELETING}),
    N.DELETING: frozenset({N.DELETED, N.READY}),
    N.DELETED: frozenset(),
    N.FAILED: frozenset({N.DELETING}),
}

_SOON = timedelta(seconds=1)

NETWORK_DEADLINES: Deadlines = {
    N.CREATING: Deadline(
        timedelta(minutes=5), N.FAILED, _SOON, "The engine did not make it within {limit}."
    ),
    N.DELETING: Deadline(
        timedelta(minutes=10), N.READY, _SOON, "The engine did not remove it within {limit}."
    ),
}

NETWORK_MEANINGS: Mapping[str, str] = {
    N.CREATING: "The site is making it.",
    N.READY: "Machines can be put on it.",
    N.DELETING: "It is being removed.",
    N.DELETED: "Gone. Its history stays.",
    N.FAILED: "It did not come to be.",
}


class NicState(TextChoices):
    PLANNED = "planned", "Waits for its machine"
    ATTACHING = "attaching", "Attaching"
    ATTACHED = "attached", "Attached"
    DETACHING = "detaching", "Detaching"
    DETACHED = "detached", "Detached"


C = NicState

NIC_MOVES: Moves = {
    C.PLANNED: frozenset({C.ATTACHED, C.DETACHED}),
    C.ATTACHING: frozenset({C.ATTACHED, C.DETACHING, C.DETACHED}),
    C.ATTACHED: frozenset({C.DETACHING, C.DETACHED}),
    C.DETACHING: frozenset({C.ATTACHED, C.DETACHED}),
    C.DETACHED: frozenset(),
}

NIC_DEADLINES: Deadlines = {
    C.ATTACHING: Deadline(
        timedelta(minutes=1), C.DETACHING, _SOON, "The engine did not plug it in within {limit}."
    ),
    C.DETACHING: Deadline(
        timedelta(seconds=30), C.ATTACHED, _SOON, "The guest did not let go of it within {limit}."
    ),
}

#: The address is the machine's as long as one of these lasts.
NIC_HOLDS = frozenset({C.PLANNED, C.ATTACHING, C.ATTACHED, C.DETACHING})

"""The life of a cluster, as data."""

from collections.abc import Mapping
from datetime import timedelta

from django.db.models import TextChoices

from core.machine import Deadline, Deadlines, Moves


class ClusterState(TextChoices):
    STARTING = "starting", "Starting"
    WIRING = "wiring", "Being set up"
    READY = "ready", "Ready"
    FAILED = "failed", "Failed"
    ENDING = "ending", "Ending"
    ENDED = "ended", "Ended"


C = ClusterState

CLUSTER_MOVES: Moves = {
    C.STARTING: frozenset({C.WIRING, C.FAILED, C.ENDING}),
    C.WIRING: frozenset({C.READY, C.FAILED, C.ENDING}),
    C.READY: frozenset({C.ENDING}),
    C.FAILED: frozenset({C.ENDING}),
    C.ENDING: frozenset({C.ENDED}),
    C.ENDED: frozenset(),
}

_SOON = timedelta(seconds=1)

CLUSTER_DEADLINES: Deadlines = {
    C.STARTING: Deadline(
        timedelta(hours=37), C.FAILED, _SOON, "Its machines did not start within {limit}."
    ),
    C.WIRING: Deadline(
        timedelta(hours=5), C.FAILED, _SOON, "Its machines were not set up within {limit}."
    ),
    C.ENDING: Deadline(
        timedelta(hours=1), C.ENDED, _SOON, "Not every machine ended within {limit}."
    ),
}

CLUSTER_MEANINGS: Mapping[str, str] = {
    C.STARTING: "Its machines are on their way.",
    C.WIRING: "Its machines run, and set themselves up: names, keys, shared folder, packages.",
    C.READY: "Its machines have set themselves up, and know each other.",
    C.FAILED: "It did not come to be. What is left of its machines waits for a look, or a kill.",
    C.ENDING: "Its machines are killed; then its network is removed.",
    C.ENDED: "Gone. Its history stays.",
}

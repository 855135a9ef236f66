"""Whether a running machine has been seen to answer, as data."""

from datetime import timedelta

from django.db.models import TextChoices

from core.machine import Deadline, Deadlines, Moves

_SOON = timedelta(seconds=1)


class ReadinessState(TextChoices):
    """Whether a running machine has been seen to answer."""

    IDLE = "idle"
    WATCHING = "watching"
    SLOW = "slow"
    READY = "ready"
    SILENT = "silent"


R = ReadinessState

READINESS_MOVES: Moves = {
    R.IDLE: frozenset({R.WATCHING}),
    R.WATCHING: frozenset({R.READY, R.SLOW, R.IDLE}),
    R.SLOW: frozenset({R.READY, R.SILENT, R.WATCHING, R.IDLE}),
    R.READY: frozenset({R.WATCHING, R.IDLE}),
    R.SILENT: frozenset({R.WATCHING, R.IDLE}),
}

READINESS_DEADLINES: Deadlines = {
    R.WATCHING: Deadline(
        timedelta(minutes=10),
        R.SLOW,
        _SOON,
        "Not everything was seen within {limit}: it is looked for twice a minute until an hour is "
        "over. The console log may say what the guest does.",
    ),
    # A guest under emulation may take that long.
    R.SLOW: Deadline(
        timedelta(minutes=50),
        R.SILENT,
        timedelta(seconds=30),
        "Not everything was seen within an hour, and it is looked for no more until the machine "
        "starts anew. The console log may say why.",
    ),
}

"""Whether a running machine has been seen to answer, as data."""

from datetime import timedelta

from django.db.models import TextChoices

from core.machine import Deadline, Deadlines, Moves

_SOON = timedelta(seconds=1)


class ReadinessState(TextChoices):
    """Whether a running machine has been seen to answer."""

    IDLE = "idle"
    WATCHING = "watching"
    READY = "ready"
    SILENT = "silent"


R = ReadinessState

READINESS_MOVES: Moves = {
    R.IDLE: frozenset({R.WATCHING}),
    R.WATCHING: frozenset({R.READY, R.SILENT, R.IDLE}),
    R.READY: frozenset({R.WATCHING, R.IDLE}),
    R.SILENT: frozenset({R.WATCHING, R.IDLE}),
}

READINESS_DEADLINES: Deadlines = {
    R.WATCHING: Deadline(
        timedelta(minutes=10),
        R.SILENT,
        _SOON,
        "Not everything answered within {limit}; the console log may say why.",
    ),
}

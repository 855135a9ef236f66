"""The life of an image that is created by itself, and of its steps, as data."""

from collections.abc import Mapping
from datetime import timedelta

from django.db.models import TextChoices

from core.machine import Deadline, Deadlines, Moves


class BuildState(TextChoices):
    STARTING = "starting", "Starting its machine"
    WORKING = "working", "Working"
    SAVING = "saving", "Saving the image"
    KEPT = "kept", "Ready, machine kept running"
    DONE = "done", "Done"
    FAILED = "failed", "Failed"
    CANCELLED = "cancelled", "Cancelled"


B = BuildState

BUILD_MOVES: Moves = {
    B.STARTING: frozenset({B.WORKING, B.FAILED, B.CANCELLED}),
    B.WORKING: frozenset({B.SAVING, B.KEPT, B.FAILED, B.CANCELLED}),
    B.SAVING: frozenset({B.DONE, B.FAILED, B.CANCELLED}),
    B.KEPT: frozenset({B.SAVING, B.DONE, B.CANCELLED}),
    B.DONE: frozenset(),
    B.FAILED: frozenset({B.SAVING}),
    B.CANCELLED: frozenset(),
}

_SOON = timedelta(seconds=1)

#: Its own time-outs, which are on the row, end STARTING and WORKING sooner.
BUILD_DEADLINES: Deadlines = {
    B.STARTING: Deadline(
        timedelta(hours=37), B.FAILED, _SOON, "Its machine did not start within {limit}."
    ),
    B.WORKING: Deadline(
        timedelta(hours=25), B.FAILED, _SOON, "Its steps did not end within {limit}."
    ),
    B.SAVING: Deadline(
        timedelta(hours=37), B.FAILED, _SOON, "The image was not saved within {limit}."
    ),
}

BUILD_MEANINGS: Mapping[str, str] = {
    B.STARTING: "A machine is started from the base image.",
    B.WORKING: "The machine takes the steps, one after another.",
    B.SAVING: "Every step has succeeded. The machine is shut down, and its disk becomes an image.",
    B.KEPT: "Every step has succeeded. The machine was to be kept running: look at it, then save.",
    B.DONE: "The image is there.",
    B.FAILED: (
        "It came to nothing. The log says more; its machine, if it is there, waits for a look or "
        "a kill."
    ),
    B.CANCELLED: "It was called off.",
}


class StepState(TextChoices):
    WAITING = "waiting", "Waits"
    RUNNING = "running", "Running"
    DONE = "done", "Done"
    FAILED = "failed", "Failed"
    SKIPPED = "skipped", "Not run"

"""The life of an image that a machine's disk is to become, as data."""

from collections.abc import Mapping
from datetime import timedelta

from django.db.models import TextChoices

from core.machine import Deadline, Deadlines, Moves


class SavingState(TextChoices):
    PLANNED = "planned", "Planned"
    COPYING = "copying", "Copying the disk"
    SIGNING = "signing", "Signing"
    DONE = "done", "Saved"
    FAILED = "failed", "Failed"
    DROPPED = "dropped", "Not saved"


S = SavingState

#: What failed or was dropped can be planned again, as long as the machine is there.
SAVING_MOVES: Moves = {
    S.PLANNED: frozenset({S.COPYING, S.DROPPED, S.FAILED}),
    S.COPYING: frozenset({S.SIGNING, S.DROPPED, S.FAILED}),
    S.SIGNING: frozenset({S.DONE, S.FAILED}),
    S.DONE: frozenset(),
    S.FAILED: frozenset({S.PLANNED, S.DROPPED}),
    S.DROPPED: frozenset({S.PLANNED}),
}

_SOON = timedelta(seconds=1)

#: PLANNED waits for the machine to be off: it is at rest.
SAVING_DEADLINES: Deadlines = {
    S.COPYING: Deadline(
        timedelta(hours=25), S.FAILED, _SOON, "Its disk was not saved within {limit}."
    ),
    S.SIGNING: Deadline(
        timedelta(minutes=10), S.FAILED, _SOON, "Its entry could not be signed within {limit}."
    ),
}

#: The machine is not given back while one of these lasts.
OPEN = frozenset({S.PLANNED, S.COPYING, S.SIGNING})
#: Whoever kills the machine loses the image. One that is signed is whole.
LOSABLE = frozenset({S.PLANNED, S.COPYING})

SAVING_MEANINGS: Mapping[str, str] = {
    S.PLANNED: "When the machine is shut down, its disk becomes a new image.",
    S.COPYING: "The machine is off. Its disk is copied, and its checksums are computed.",
    S.SIGNING: "The disk is saved. Its metadata are written, signed and published to you.",
    S.DONE: "The image is there.",
    S.FAILED: "The image did not come to be.",
    S.DROPPED: "Nothing of the machine is kept.",
}

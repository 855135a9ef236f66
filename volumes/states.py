"""The lives of disks, of what plugs them in, of snapshots, downloads and offers, as data."""

from collections.abc import Mapping
from datetime import timedelta

from django.db.models import TextChoices

from core.machine import Deadline, Deadlines, Moves


class VolumeState(TextChoices):
    CREATING = "creating", "Creating"
    UPLOADING = "uploading", "Uploading"
    FETCHING = "fetching", "Fetching"
    CHECKING = "checking", "Checking"
    UNPACKING = "unpacking", "Reading"
    CONVERTING = "converting", "Converting"
    COPYING = "copying", "Copying"
    SAVING = "saving", "Saving"
    CLEANING = "cleaning", "Cleaning"
    CLEARING = "clearing", "Clearing up"
    AVAILABLE = "available", "Available"
    IN_USE = "in_use", "In use"
    GROWING = "growing", "Growing"
    RESTORING = "restoring", "Restoring"
    BINNED = "binned", "In the bin"
    DELETING = "deleting", "Deleting"
    DELETED = "deleted", "Deleted"
    FAILED = "failed", "Failed"


V = VolumeState

VOLUME_MOVES: Moves = {
    V.CREATING: frozenset({V.AVAILABLE, V.CLEARING}),
    V.UPLOADING: frozenset({V.CHECKING, V.CLEARING}),
    V.FETCHING: frozenset({V.CHECKING, V.CLEARING}),
    V.CHECKING: frozenset({V.UNPACKING, V.CLEARING}),
    V.UNPACKING: frozenset({V.CONVERTING, V.CLEARING}),
    V.CONVERTING: frozenset({V.AVAILABLE, V.CLEARING}),
    V.COPYING: frozenset({V.AVAILABLE, V.CLEARING}),
    V.SAVING: frozenset({V.AVAILABLE, V.CLEARING}),
    V.CLEANING: frozenset({V.AVAILABLE, V.CLEARING}),
    V.CLEARING: frozenset({V.FAILED}),
    V.AVAILABLE: frozenset({V.IN_USE, V.GROWING, V.RESTORING, V.BINNED}),
    V.IN_USE: frozenset({V.AVAILABLE, V.GROWING}),
    V.GROWING: frozenset({V.AVAILABLE, V.IN_USE}),
    V.RESTORING: frozenset({V.AVAILABLE}),
    V.BINNED: frozenset({V.AVAILABLE, V.DELETING}),
    V.DELETING: frozenset({V.DELETED, V.BINNED}),
    V.DELETED: frozenset(),
    V.FAILED: frozenset({V.DELETED}),
}

_SOON = timedelta(seconds=2)

#: A state listed here is moving: a worker looks at it until it leaves. An upload waits for
#: its browser, and an end for those that never come back.
VOLUME_DEADLINES: Deadlines = {
    V.CREATING: Deadline(
        timedelta(minutes=10), V.CLEARING, _SOON, "The site had no room for it within {limit}."
    ),
    V.UPLOADING: Deadline(
        timedelta(days=30), V.CLEARING, timedelta(minutes=5), "It was not uploaded within {limit}."
    ),
    V.FETCHING: Deadline(
        timedelta(hours=24), V.CLEARING, _SOON, "It could not be fetched within {limit}."
    ),
    V.CHECKING: Deadline(
        timedelta(minutes=10), V.CLEARING, _SOON, "It could not be checked within {limit}."
    ),
    V.UNPACKING: Deadline(
        timedelta(hours=24), V.CLEARING, _SOON, "It could not be read within {limit}."
    ),
    V.CONVERTING: Deadline(
        timedelta(hours=24), V.CLEARING, _SOON, "It could not be converted within {limit}."
    ),
    V.COPYING: Deadline(
        timedelta(hours=24), V.CLEARING, _SOON, "It could not be copied within {limit}."
    ),
    V.SAVING: Deadline(
        timedelta(hours=24), V.CLEARING, _SOON, "It could not be saved within {limit}."
    ),
    V.CLEANING: Deadline(
        timedelta(hours=24), V.CLEARING, _SOON, "It could not be cleaned within {limit}."
    ),
    V.CLEARING: Deadline(timedelta(hours=24), V.FAILED, _SOON, ""),
    V.GROWING: Deadline(
        timedelta(minutes=5), V.AVAILABLE, _SOON, "The engine did not grow it within {limit}."
    ),
    V.RESTORING: Deadline(
        timedelta(minutes=30), V.AVAILABLE, _SOON, "The engine did not restore it within {limit}."
    ),
    V.DELETING: Deadline(
        timedelta(minutes=30), V.BINNED, _SOON, "The engine did not remove it within {limit}."
    ),
}

#: Its bytes are on their way; nothing but cancelling can be asked of it.
ARRIVING = frozenset(
    {
        V.UPLOADING, V.FETCHING, V.CHECKING, V.UNPACKING, V.CONVERTING, V.COPYING, V.SAVING,
        V.CLEANING,
    }
)  # fmt: skip
#: It holds data that a person may use.
USABLE = frozenset({V.AVAILABLE, V.IN_USE, V.GROWING, V.RESTORING})
#: It holds nothing any more: no quota counts it.
GONE = frozenset({V.DELETED, V.FAILED})
#: What every list of disks leaves out unless it is asked for.
UNLISTED = frozenset({V.BINNED, V.DELETING, V.DELETED})

#: What may be asked of a disk, by state; who may ask is ``Volume.access_of``.
VOLUME_VERBS: Mapping[str, frozenset[str]] = {
    "attach": frozenset({V.AVAILABLE, V.IN_USE}),
    "change": USABLE | {V.CREATING} | ARRIVING,
    "share": USABLE | {V.CREATING} | ARRIVING,
    "cancel": ARRIVING,
    "grow": frozenset({V.AVAILABLE, V.IN_USE}),
    "snapshot": frozenset({V.AVAILABLE, V.IN_USE}),
    "restore_snapshot": frozenset({V.AVAILABLE}),
    "copy": frozenset({V.AVAILABLE, V.IN_USE}),
    "download": frozenset({V.AVAILABLE, V.IN_USE}),
    "offer": frozenset({V.AVAILABLE}),
    "delete": frozenset({V.AVAILABLE}),
    "recover": frozenset({V.BINNED}),
    "purge": frozenset({V.BINNED}),
    "dismiss": frozenset({V.FAILED}),
}

#: What each state means, for whoever meets the word for the first time.
VOLUME_MEANINGS: Mapping[str, str] = {
    V.CREATING: "The site is making it.",
    V.UPLOADING: "Its file is on its way from your computer.",
    V.FETCHING: "The portal fetches its file from the address that was given.",
    V.CHECKING: "The portal looks at the head of the file: what it is, and whether it may come in.",
    V.UNPACKING: "The file is read once: unpacked if it is packed, and its checksums computed.",
    V.CONVERTING: "The disk in the file is written into the site's storage.",
    V.COPYING: "It is being copied from another disk.",
    V.SAVING: "It is being copied from a machine, and its checksums are computed.",
    V.CLEANING: "It is being copied from another disk, without what was to be removed.",
    V.CLEARING: "What had come in is being removed.",
    V.AVAILABLE: "Ready: no machine has it.",
    V.IN_USE: "Plugged into a machine.",
    V.GROWING: "It is being made larger.",
    V.RESTORING: "It goes back to one of its snapshots.",
    V.BINNED: "Deleted, and kept for a while: it can be restored as it was.",
    V.DELETING: "Its bytes are being removed.",
    V.DELETED: "Gone. Its history stays.",
    V.FAILED: "It did not come to be; nothing of it is kept but this record.",
}


class AttachmentState(TextChoices):
    PLANNED = "planned", "Waits for its machine"
    ATTACHING = "attaching", "Attaching"
    ATTACHED = "attached", "Attached"
    DETACHING = "detaching", "Detaching"
    DETACHED = "detached", "Detached"


A = AttachmentState

ATTACHMENT_MOVES: Moves = {
    A.PLANNED: frozenset({A.ATTACHED, A.DETACHED}),
    A.ATTACHING: frozenset({A.ATTACHED, A.DETACHING, A.DETACHED}),
    A.ATTACHED: frozenset({A.DETACHING, A.DETACHED}),
    A.DETACHING: frozenset({A.ATTACHED, A.DETACHED}),
    A.DETACHED: frozenset(),
}

ATTACHMENT_DEADLINES: Deadlines = {
    A.PLANNED: Deadline(
        timedelta(hours=2), A.DETACHED, _SOON, "Its machine did not start within {limit}."
    ),
    # What the engine may have plugged in after all is unplugged again.
    A.ATTACHING: Deadline(
        timedelta(minutes=1),
        A.DETACHING,
        timedelta(seconds=1),
        "The engine did not plug it in within {limit}.",
    ),
    A.DETACHING: Deadline(
        timedelta(seconds=30),
        A.ATTACHED,
        timedelta(seconds=1),
        "The guest did not let go of it within {limit}.",
    ),
}

#: The disk is the machine's as long as one of these lasts.
HOLDING = frozenset({A.PLANNED, A.ATTACHING, A.ATTACHED, A.DETACHING})


class SnapshotState(TextChoices):
    TAKING = "taking", "Being taken"
    READY = "ready", "Ready"
    DELETING = "deleting", "Deleting"
    DELETED = "deleted", "Deleted"
    FAILED = "failed", "Failed"


N = SnapshotState

SNAPSHOT_MOVES: Moves = {
    N.TAKING: frozenset({N.READY, N.FAILED, N.DELETED}),
    N.READY: frozenset({N.DELETING, N.DELETED}),
    N.DELETING: frozenset({N.DELETED, N.FAILED}),
    N.FAILED: frozenset({N.DELETING, N.DELETED}),
    N.DELETED: frozenset(),
}

SNAPSHOT_DEADLINES: Deadlines = {
    N.TAKING: Deadline(
        timedelta(minutes=5), N.FAILED, _SOON, "The engine took no snapshot within {limit}."
    ),
    N.DELETING: Deadline(
        timedelta(minutes=10), N.FAILED, _SOON, "The engine did not remove it within {limit}."
    ),
}

#: It takes room on the site, or may: what the engine did of one that failed, nobody has seen.
SNAPSHOT_HOLDS = frozenset({N.TAKING, N.READY, N.DELETING, N.FAILED})


class ExportState(TextChoices):
    PREPARING = "preparing", "Being prepared"
    PACKING = "packing", "Being packed"
    READY = "ready", "Ready"
    EXPIRED = "expired", "Removed"
    FAILED = "failed", "Failed"


X = ExportState

EXPORT_MOVES: Moves = {
    X.PREPARING: frozenset({X.PACKING, X.READY, X.FAILED, X.EXPIRED}),
    X.PACKING: frozenset({X.READY, X.FAILED, X.EXPIRED}),
    X.READY: frozenset({X.EXPIRED}),
    X.EXPIRED: frozenset(),
    X.FAILED: frozenset(),
}

EXPORT_DEADLINES: Deadlines = {
    X.PREPARING: Deadline(
        timedelta(hours=12), X.FAILED, _SOON, "It could not be prepared within {limit}."
    ),
    X.PACKING: Deadline(
        timedelta(hours=24), X.FAILED, _SOON, "It could not be packed within {limit}."
    ),
}


class OfferState(TextChoices):
    OFFERED = "offered", "Waits for an answer"
    ACCEPTED = "accepted", "Accepted"
    DECLINED = "declined", "Declined"
    WITHDRAWN = "withdrawn", "Withdrawn"


O = OfferState  # noqa: E741

OFFER_MOVES: Moves = {
    O.OFFERED: frozenset({O.ACCEPTED, O.DECLINED, O.WITHDRAWN}),
    O.ACCEPTED: frozenset(),
    O.DECLINED: frozenset(),
    O.WITHDRAWN: frozenset(),
}

#: No offer waits for a worker.
OFFER_DEADLINES: Deadlines = {}

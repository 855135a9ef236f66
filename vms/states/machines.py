"""A machine's life as data: words, arrows, deadlines and verbs."""

from collections.abc import Mapping
from datetime import timedelta

from django.db.models import TextChoices

from core.machine import Deadline, Deadlines, Moves


class VmState(TextChoices):
    PENDING = "pending"
    PROLOG = "prolog"
    BOOT = "boot"
    RUNNING = "running"
    SHUTDOWN = "shutdown"
    EPILOG = "epilog"
    DONE = "done"
    FAILED = "failed"
    UNKNOWN = "unknown"


S = VmState

VM_MOVES: Moves = {
    S.PENDING: frozenset({S.PROLOG, S.EPILOG, S.FAILED}),
    S.PROLOG: frozenset({S.BOOT, S.EPILOG, S.FAILED}),
    S.BOOT: frozenset({S.RUNNING, S.UNKNOWN, S.EPILOG, S.FAILED}),
    S.RUNNING: frozenset({S.BOOT, S.SHUTDOWN, S.UNKNOWN, S.EPILOG}),
    S.SHUTDOWN: frozenset({S.RUNNING, S.UNKNOWN, S.EPILOG}),
    S.EPILOG: frozenset({S.DONE, S.FAILED, S.UNKNOWN}),
    S.FAILED: frozenset({S.EPILOG}),
    S.UNKNOWN: frozenset({S.BOOT, S.RUNNING, S.EPILOG}),
}

_SOON = timedelta(seconds=1)

#: A state listed here is moving: a worker looks at it until it leaves.
VM_DEADLINES: Deadlines = {
    S.PENDING: Deadline(
        timedelta(minutes=10), S.FAILED, _SOON, "The site had no room for it within {limit}."
    ),
    S.PROLOG: Deadline(
        # As long as an image may be on its way; ``lifecycle`` gives the engine less.
        timedelta(hours=36),
        S.FAILED,
        _SOON,
        "Its image was not ready within {limit}.",
    ),
    S.BOOT: Deadline(
        timedelta(minutes=5), S.FAILED, _SOON, "The engine did not start it within {limit}."
    ),
    S.SHUTDOWN: Deadline(
        timedelta(minutes=2),
        S.RUNNING,
        timedelta(seconds=2),
        "The guest ignored the power button for {limit} and goes on running. Shut it down "
        "from inside, try again, or kill it.",
    ),
    S.EPILOG: Deadline(
        # As long as its disk may take to be saved; ``lifecycle`` gives the engine less.
        timedelta(hours=36),
        S.FAILED,
        timedelta(seconds=2),
        "It was not removed within {limit}. Kill it again.",
    ),
}

#: What a person may ask for, by state. Buttons and actions both read this.
VM_VERBS: Mapping[str, frozenset[str]] = {
    "shut_down": frozenset({S.RUNNING}),
    "save": frozenset({S.RUNNING, S.UNKNOWN}),
    "power_off": frozenset({S.RUNNING, S.SHUTDOWN}),
    "extend": frozenset(set(S) - {S.EPILOG, S.DONE}),
    "reboot": frozenset({S.RUNNING}),
    "start": frozenset({S.UNKNOWN}),
    "console": frozenset({S.BOOT, S.RUNNING, S.SHUTDOWN}),
    "kill": frozenset(set(S) - {S.EPILOG, S.DONE}),
}

#: What each state means, for whoever meets the word for the first time.
VM_MEANINGS: Mapping[str, str] = {
    S.PENDING: "Accepted. It waits for room on the site, and for its address.",
    S.PROLOG: "Its disks are being prepared: the image is copied and checked.",
    S.BOOT: "The hypervisor is starting it.",
    S.RUNNING: "The hypervisor runs it. The guest may still be booting; see the milestones.",
    S.SHUTDOWN: "The power button was pressed. The guest is closing down.",
    S.EPILOG: (
        "It is off. Its disk is saved, if that was asked for; then its disk, memory and ports are "
        "given back."
    ),
    S.DONE: "Gone. Everything it held has been released; its history stays.",
    S.FAILED: (
        "Something went wrong. It still holds what it reserved, its disks too, until you kill it."
    ),
    S.UNKNOWN: (
        "The engine does not find it running: the guest halted itself, or its host was "
        "restarted. It still holds its disk and ports. Start it again, or kill it."
    ),
}

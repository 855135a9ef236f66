"""What a made-up machine has been through: its states, when, and the words that go with them."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from vms.states import VmState

S = VmState

_STARTED = (S.PENDING, S.PROLOG, S.BOOT, S.RUNNING)

#: How a machine comes to be in a state.
PATHS: Mapping[str, Sequence[str]] = {
    S.PENDING: (S.PENDING,),
    S.PROLOG: (S.PENDING, S.PROLOG),
    S.BOOT: (S.PENDING, S.PROLOG, S.BOOT),
    S.RUNNING: _STARTED,
    S.UNKNOWN: (*_STARTED, S.UNKNOWN),
    S.FAILED: (S.PENDING, S.PROLOG, S.FAILED),
    S.SHUTDOWN: (*_STARTED, S.SHUTDOWN),
    S.EPILOG: (*_STARTED, S.EPILOG),
    S.DONE: (*_STARTED, S.SHUTDOWN, S.EPILOG, S.DONE),
}

#: Of a hundred machines, how many are in each state.
SHARES: Mapping[str, int] = {
    S.RUNNING: 60, S.DONE: 20, S.FAILED: 5, S.UNKNOWN: 4, S.PENDING: 3, S.PROLOG: 2,
    S.BOOT: 2, S.SHUTDOWN: 2, S.EPILOG: 2,
}  # fmt: skip

#: Seconds that a state which ends by itself lasts: least and most.
_LASTS: Mapping[str, tuple[float, float]] = {
    S.PENDING: (0.2, 3),
    S.PROLOG: (0.3, 40),
    S.BOOT: (0.3, 2),
    S.SHUTDOWN: (2, 30),
    S.EPILOG: (0.1, 1),
}
_REASONS: Mapping[str, Sequence[str]] = {
    S.FAILED: (
        "Its image was not ready within 60 minutes.",
        "The bytes of the image have another SHA-1 than its entry says.",
    ),
    S.UNKNOWN: (
        "The machine powered itself off.",
        "The host was restarted while this machine ran. Start it again, or kill it.",
    ),
    S.SHUTDOWN: ("Shut down, asked by its owner.",),
}
_OLDEST_DAYS = 90
_YOUNG_S = 90


@dataclass(frozen=True, slots=True)
class Visit:
    state: str
    at: datetime
    reason: str = ""


def live(rng: random.Random, now: datetime) -> list[Visit]:
    """One life up to ``now``, its states oldest first."""
    state = rng.choices(list(SHARES), list(SHARES.values()))[0]
    path = PATHS[state]
    young = state in _LASTS
    age_s = rng.uniform(1, _YOUNG_S) if young else _age_s(rng)
    at = now - timedelta(seconds=age_s)
    visits = []
    for step in path:
        visits.append(Visit(step, at, rng.choice(_REASONS.get(step, ("",)))))
        least, most = _LASTS.get(step, (age_s / 4, age_s / 2))
        at = min(at + timedelta(seconds=rng.uniform(least, most)), now)
    return visits


def _age_s(rng: random.Random) -> float:
    """Many young machines, few old ones."""
    return min(60 + rng.expovariate(1 / (6 * 86400)), _OLDEST_DAYS * 86400.0)

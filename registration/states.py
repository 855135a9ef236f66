"""The life of an account: who has asked, who is in, who was refused."""

from collections.abc import Mapping

from django.db.models import TextChoices

from core.machine import Deadlines, Moves


class AccountState(TextChoices):
    APPLIED = "applied", "Waiting"
    ACTIVE = "active", "Active"
    REJECTED = "rejected", "Rejected"


S = AccountState

ACCOUNT_MOVES: Moves = {
    S.APPLIED: frozenset({S.ACTIVE, S.REJECTED}),
    S.ACTIVE: frozenset(),
    S.REJECTED: frozenset({S.APPLIED}),
}

#: No state of an account waits for a worker.
ACCOUNT_DEADLINES: Deadlines = {}

#: What an administrator may ask for, by state.
ACCOUNT_VERBS: Mapping[str, frozenset[str]] = {
    "approve": frozenset({S.APPLIED}),
    "reject": frozenset({S.APPLIED}),
    "reconsider": frozenset({S.REJECTED}),
}

#: Who may sign in.
LET_IN: frozenset[str] = frozenset({S.ACTIVE})

#: Who no longer holds a user name or an e-mail address: both are free for others.
NAMELESS: frozenset[str] = frozenset({S.REJECTED})

"""The life of an account, of a wish for more quota, and of a delivery to a webhook."""

from collections.abc import Mapping
from datetime import timedelta

from django.db.models import TextChoices

from core.machine import Deadline, Deadlines, Moves


class AccountState(TextChoices):
    APPLIED = "applied", "Address not confirmed"
    CONFIRMED = "confirmed", "Waiting"
    ACTIVE = "active", "Active"
    REJECTED = "rejected", "Rejected"
    WITHDRAWN = "withdrawn", "Withdrawn"
    SUSPENDED = "suspended", "Suspended"
    CLOSED = "closed", "Closed"


S = AccountState

ACCOUNT_MOVES: Moves = {
    S.APPLIED: frozenset({S.CONFIRMED, S.REJECTED, S.WITHDRAWN}),
    S.CONFIRMED: frozenset({S.APPLIED, S.ACTIVE, S.REJECTED, S.WITHDRAWN}),
    S.ACTIVE: frozenset({S.CONFIRMED, S.SUSPENDED, S.CLOSED}),
    S.REJECTED: frozenset({S.APPLIED, S.CONFIRMED}),
    S.WITHDRAWN: frozenset({S.APPLIED, S.CONFIRMED}),
    S.SUSPENDED: frozenset({S.ACTIVE, S.CLOSED}),
    S.CLOSED: frozenset(),
}

#: No state of an account waits for a worker.
ACCOUNT_DEADLINES: Deadlines = {}

#: What an administrator may ask for, by state.
ACCOUNT_VERBS: Mapping[str, frozenset[str]] = {
    "vouch": frozenset({S.APPLIED}),  # for the address, in place of its owner
    "approve": frozenset({S.CONFIRMED}),
    "reject": frozenset({S.APPLIED, S.CONFIRMED}),
    "reconsider": frozenset({S.REJECTED}),
    "take_back": frozenset({S.ACTIVE}),  # an approval, until the person has signed in
    "suspend": frozenset({S.ACTIVE}),
    "resume": frozenset({S.SUSPENDED}),
    "close": frozenset({S.ACTIVE, S.SUSPENDED}),
}

#: What a person may ask for about their own request, by state.
REQUEST_VERBS: Mapping[str, frozenset[str]] = {
    "confirm": frozenset({S.APPLIED}),
    "resend": frozenset({S.APPLIED}),
    "correct": frozenset({S.APPLIED, S.CONFIRMED}),
    "withdraw": frozenset({S.APPLIED, S.CONFIRMED}),
    "apply_again": frozenset({S.REJECTED, S.WITHDRAWN}),
}

#: Who may sign in.
LET_IN: frozenset[str] = frozenset({S.ACTIVE})

#: Who is told, with the right password, where the account stands, and gets no further.
TOLD: frozenset[str] = frozenset({S.APPLIED, S.CONFIRMED, S.REJECTED, S.WITHDRAWN, S.SUSPENDED})

#: Who no longer holds a user name: it is free for others. A closed account keeps its own,
#: which stands on disks and images.
NAMELESS: frozenset[str] = frozenset({S.REJECTED, S.WITHDRAWN})

#: Who gave up their request, or lost it, or their account.
GONE: frozenset[str] = NAMELESS | {S.CLOSED}

#: Who holds no e-mail address. One that nobody has confirmed is nobody's yet: whoever writes
#: somebody else's keeps nobody away, and learns nothing from being refused.
ADDRESSLESS: frozenset[str] = GONE | {S.APPLIED}


class WishState(TextChoices):
    WAITING = "waiting", "Waiting"
    GRANTED = "granted", "Granted"
    DECLINED = "declined", "Declined"
    WITHDRAWN = "withdrawn", "Withdrawn"


W = WishState

WISH_MOVES: Moves = {
    W.WAITING: frozenset({W.GRANTED, W.DECLINED, W.WITHDRAWN}),
    W.GRANTED: frozenset(),
    W.DECLINED: frozenset({W.WAITING}),
    W.WITHDRAWN: frozenset(),
}

WISH_DEADLINES: Deadlines = {}

#: What an administrator may ask for, by state.
WISH_VERBS: Mapping[str, frozenset[str]] = {
    "grant": frozenset({W.WAITING}),
    "decline": frozenset({W.WAITING}),
    "reconsider": frozenset({W.DECLINED}),
}


class DeliveryState(TextChoices):
    WAITING = "waiting", "Waiting"
    DELIVERED = "delivered", "Delivered"
    GIVEN_UP = "given_up", "Given up"


D = DeliveryState

DELIVERY_MOVES: Moves = {
    D.WAITING: frozenset({D.DELIVERED, D.GIVEN_UP}),
    D.DELIVERED: frozenset({D.WAITING}),
    D.GIVEN_UP: frozenset({D.WAITING}),
}

DELIVERY_DEADLINES: Deadlines = {
    # Longer than all pauses between its tries.
    D.WAITING: Deadline(
        timedelta(days=2), D.GIVEN_UP, reason="It was not delivered within 2 days."
    ),
}

#: What the person whose webhook it is may ask for, by state.
DELIVERY_VERBS: Mapping[str, frozenset[str]] = {
    "send_again": frozenset({D.DELIVERED, D.GIVEN_UP}),
}

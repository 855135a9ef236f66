"""Documents that wait for their endorser, taken back by whoever sent them."""

from core.errors import Refused
from core.machine import StaleState
from marketplace.models import Pending
from marketplace.states import PendingState
from registration.models import User


def withdraw_document(pending: Pending, *, by: User) -> None:
    """Have the link in its mail publish nothing any more. Its draft can be signed again.

    Raises:
        Refused: ``not_yours``, ``pending_state``.
    """
    if pending.owner_id != by.pk:
        raise Refused("not_yours", "Only who sent a document takes it back.")
    if pending.state != PendingState.WAITING:
        raise _answered()
    try:
        pending.move(PendingState.WITHDRAWN, by=by, verb="withdrawn")
    except StaleState:
        raise _answered() from None


def _answered() -> Refused:
    return Refused("pending_state", "It does not wait any more: it was answered, or lapsed.")

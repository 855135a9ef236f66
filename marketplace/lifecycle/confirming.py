"""WAITING: nothing to do but to lapse; the deadline does it."""

from collections.abc import Mapping

from cloud.driver import CloudDriver
from core.machine import Go, Step
from marketplace.models import Pending
from marketplace.states import PendingState


def wait(pending: Pending, cloud: CloudDriver) -> Go | None:
    """WAITING: the owner of the address answers, or nobody does."""
    return None


STEPS: Mapping[str, Step[Pending]] = {PendingState.WAITING: wait}

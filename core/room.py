"""Steps that take room on the site's disk: what they do while there is none."""

import functools
import logging
from datetime import timedelta
from typing import TypeVar

from django.utils import timezone

from cloud.driver import CloudDriver
from cloud.errors import CloudFull
from core.machine import Go, Stateful, Step

logger = logging.getLogger(__name__)

#: Room comes when somebody removes something; each look may read a large file's tables.
LOOK_EVERY = timedelta(minutes=3)
#: Then somebody has to hear of it.
GIVE_UP_AFTER = timedelta(hours=6)

S = TypeVar("S", bound=Stateful)


def waiting_for_room(step: Step[S]) -> Step[S]:
    """Look again in minutes when the engine is full, and end in words when it stays so."""

    @functools.wraps(step)
    def patient(row: S, cloud: CloudDriver) -> Go | None:
        try:
            return step(row, cloud)
        except CloudFull as full:
            now = timezone.now()
            logger.warning("room.missing", extra={"subject": row.token, "error": str(full)})
            if now - row.state_since >= GIVE_UP_AFTER:
                hours = GIVE_UP_AFTER // timedelta(hours=1)
                reason = f"There was no room for it on the site's disk for {hours} hours. {full}"
                return Go(row.DEADLINES[str(row.state)].then, reason)
            row.keep(next_tick_at=now + LOOK_EVERY)
            return None

    return patient

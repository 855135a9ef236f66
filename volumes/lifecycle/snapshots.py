"""The steps of a snapshot.

No step waits, none writes its row but through ``keep``, and each may run twice.
"""

from collections.abc import Mapping
from contextlib import suppress
from datetime import timedelta

from django.conf import settings
from django.utils import timezone

from cloud.driver import CloudDriver
from cloud.errors import NotFound
from core.machine import Go, StaleState, Step
from volumes.models import Snapshot
from volumes.states import SnapshotState

#: So long the page says what went wrong; then it is removed from the engine, if it is there.
FAILED_KEPT = timedelta(hours=1)
AT_ONCE = 200


def taking(snapshot: Snapshot, cloud: CloudDriver) -> Go | None:
    """TAKING: have the engine keep what the disk holds; it is quiet if it has."""
    cloud.create_snapshot(snapshot.volume.cloud_ref, token=snapshot.token)
    return Go(SnapshotState.READY)


def deleting(snapshot: Snapshot, cloud: CloudDriver) -> Go | None:
    """DELETING: have the engine forget it; with its disk it has."""
    with suppress(NotFound):
        cloud.delete_snapshot(snapshot.volume.cloud_ref, token=snapshot.token)
    return Go(SnapshotState.DELETED)


def remove_failed() -> None:
    """The engine may have taken what it did not say in time, or not have removed it."""
    over = Snapshot.objects.filter(
        state=SnapshotState.FAILED,
        state_since__lte=timezone.now() - FAILED_KEPT,
        volume__cloud__in=list(settings.CLOUDS),
    )
    for snapshot in over.select_related("volume").order_by("state_since")[:AT_ONCE]:
        with suppress(StaleState):  # its owner has just asked for it
            snapshot.move(SnapshotState.DELETING, reason=snapshot.reason)


STEPS: Mapping[str, Step[Snapshot]] = {
    SnapshotState.TAKING: taking,
    SnapshotState.DELETING: deleting,
}

"""The steps of a snapshot.

No step waits, none writes its row but through ``keep``, and each may run twice.
"""

from collections.abc import Mapping
from contextlib import suppress

from cloud.driver import CloudDriver
from cloud.errors import NotFound
from core.machine import Go, Step
from volumes.models import Snapshot
from volumes.states import SnapshotState


def taking(snapshot: Snapshot, cloud: CloudDriver) -> Go | None:
    """TAKING: have the engine keep what the disk holds; it is quiet if it has."""
    cloud.create_snapshot(snapshot.volume.cloud_ref, token=snapshot.token)
    return Go(SnapshotState.READY)


def deleting(snapshot: Snapshot, cloud: CloudDriver) -> Go | None:
    """DELETING: have the engine forget it; with its disk it has."""
    with suppress(NotFound):
        cloud.delete_snapshot(snapshot.volume.cloud_ref, token=snapshot.token)
    return Go(SnapshotState.DELETED)


STEPS: Mapping[str, Step[Snapshot]] = {
    SnapshotState.TAKING: taking,
    SnapshotState.DELETING: deleting,
}

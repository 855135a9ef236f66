"""Where the rows and a cloud disagree about disks at rest: one listing, every few minutes.

V1. The site keeps another amount of it than was written down: write it down.
V2. There, and its row is over: our clean-up was lost, or came too early -> delete it there. So
    are snapshots.
V3. There, and no row of ours: a stranger -> report. Never delete.
V4. Not there, and the row holds data: lost -> report.

Rows that are moving are left to their steps.
"""

import logging
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from uuid import UUID

from django.utils import timezone

from cloud.driver import CloudDriver
from cloud.errors import CloudError
from cloud.types import VolumeInfo
from core.clouds import clouds
from volumes.models import Snapshot, Volume
from volumes.states import GONE, SnapshotState, VolumeState

logger = logging.getLogger(__name__)

V = VolumeState
#: A row that has just ended may have a worker that is at its engine still.
OVER_FOR = timedelta(hours=1)
AT_REST = (V.AVAILABLE, V.IN_USE, V.BINNED)


def compare(cloud: str) -> None:
    """One call to the engine, and everything that follows from it."""
    asked_at = timezone.now()
    driver = clouds[cloud]
    try:
        there = {info.token: info for info in driver.list_volumes() if _is_uuid(info.token)}
    except CloudError as exc:
        logger.warning("volumes.not_listed", extra={"cloud": cloud, "detail": exc.detail})
        return
    known = _compare_known(cloud, there, asked_at)
    _end_left_over(driver, [info for token, info in there.items() if token not in known], asked_at)
    _end_snapshots(driver, there.values(), asked_at)


def _is_uuid(token: str) -> bool:
    try:
        UUID(token)
    except ValueError:
        return False
    return True


def _compare_known(cloud: str, there: Mapping[str, VolumeInfo], asked_at: datetime) -> set[str]:
    """V1 and V4; the tokens of all rows that are not over."""
    known = set()
    rows = Volume.objects.filter(cloud=cloud).exclude(state__in=GONE).order_by()
    columns = ("pk", "uuid", "state", "state_since", "used_bytes")
    for pk, uuid, state, since, used_bytes in rows.values_list(*columns).iterator():
        known.add(str(uuid))
        if state not in AT_REST:
            continue
        info = there.get(str(uuid))
        if info is None and since < asked_at:
            logger.error("volume.lost", extra={"cloud": cloud, "subject": str(uuid)})
        elif info and info.used_bytes not in (None, used_bytes):
            Volume.objects.filter(pk=pk, state__in=AT_REST).update(used_bytes=info.used_bytes)
    return known


def _end_left_over(driver: CloudDriver, unknown: Iterable[VolumeInfo], asked_at: datetime) -> None:
    """V2 and V3."""
    by_token = {info.token: info for info in unknown}
    rows = Volume.objects.filter(uuid__in=list(by_token)).values_list(
        "uuid", "state", "state_since"
    )
    ended = {str(uuid): (state, since) for uuid, state, since in rows}
    for token, info in by_token.items():
        if token not in ended:
            logger.warning("volume.stranger", extra={"subject": token})
            continue
        state, since = ended[token]
        if state in GONE and since < asked_at - OVER_FOR:
            logger.info("volume.left_over", extra={"subject": token})
            _quietly(driver.delete_volume, info.ref)


def _end_snapshots(driver: CloudDriver, there: Iterable[VolumeInfo], asked_at: datetime) -> None:
    holders = {token: info.ref for info in there for token in info.snapshots if _is_uuid(token)}
    over = Snapshot.objects.filter(
        uuid__in=list(holders),
        state=SnapshotState.DELETED,
        state_since__lt=asked_at - OVER_FOR,
    )
    for uuid in over.values_list("uuid", flat=True):
        logger.info("snapshot.left_over", extra={"subject": str(uuid)})
        _quietly(driver.delete_snapshot, holders[str(uuid)], token=str(uuid))


def _quietly(ask: Callable[..., None], ref: str, **more: str) -> None:
    try:
        ask(ref, **more)
    except CloudError as exc:  # one disk's trouble is not the others'
        logger.warning("volumes.not_ended", extra={"subject": ref, "detail": exc.detail})

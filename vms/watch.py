"""The ear of a worker: a thread per cloud that hears from the engine what has changed.

A courtesy that makes pages quick; what it misses, ``reconcile`` finds.
"""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from django.conf import settings
from django.db import Error as DatabaseError
from django.db import close_old_connections

from cloud.errors import CloudError, Unsupported
from core.clouds import clouds
from vms import reconcile, tasks

logger = logging.getLogger(__name__)

RETRY_S = 2.0


def start(stop: threading.Event) -> list[threading.Thread]:
    """Listen to every cloud, until ``stop`` is set."""
    return [_start_one(cloud, stop) for cloud in settings.CLOUDS]


def _start_one(cloud: str, stop: threading.Event) -> threading.Thread:
    thread = threading.Thread(
        target=_listen, args=(cloud, stop), name=f"watch-{cloud}", daemon=True
    )
    thread.start()
    return thread


def _listen(cloud: str, stop: threading.Event) -> None:
    """Hear until told to stop; a bug ends this ear, is logged, and another takes over."""
    finished = False
    try:
        _hear(cloud, stop)
        finished = True
    finally:
        if not finished and not stop.wait(RETRY_S):
            _start_one(cloud, stop)


def _hear(cloud: str, stop: threading.Event) -> None:
    while not stop.is_set():
        try:
            for number, ref in enumerate(clouds[cloud].watch(stop.is_set)):
                if not number:
                    _catch_up(cloud)
                if ref:
                    _follow_up(cloud, ref)
        except Unsupported:
            return
        except CloudError as exc:
            logger.warning("watch.lost", extra={"cloud": cloud, "detail": exc.detail})
        stop.wait(RETRY_S)


def _catch_up(cloud: str) -> None:
    """What happened while nobody listened."""
    with _database():
        reconcile.sweep(cloud)


def _follow_up(cloud: str, ref: str) -> None:
    with _database():
        try:
            tasks.follow_up(cloud, ref)
        except CloudError as exc:
            logger.warning("watch.failed", extra={"ref": ref, "detail": exc.detail})


@contextmanager
def _database() -> Iterator[None]:
    """Connections as a request has them. A database that is away must not end the ear."""
    close_old_connections()
    try:
        yield
    except DatabaseError as exc:
        logger.warning("watch.failed", exc_info=exc)
    finally:
        close_old_connections()

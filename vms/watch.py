"""The ear of a worker: a thread per cloud that hears from the engine what has changed.

A courtesy that makes pages quick; what it misses, ``reconcile`` finds.
"""

import logging
import threading

from django.conf import settings
from django.db import close_old_connections

from cloud.errors import CloudError, Unsupported
from core.clouds import clouds
from vms import tasks

logger = logging.getLogger(__name__)

RETRY_S = 2.0


def start(stop: threading.Event) -> list[threading.Thread]:
    """Listen to every cloud, until ``stop`` is set."""
    threads = [
        threading.Thread(target=_listen, args=(cloud, stop), name=f"watch-{cloud}", daemon=True)
        for cloud in settings.CLOUDS
    ]
    for thread in threads:
        thread.start()
    return threads


def _listen(cloud: str, stop: threading.Event) -> None:
    while not stop.is_set():
        try:
            for ref in clouds[cloud].watch(stop.is_set):
                if ref:
                    _follow_up(cloud, ref)
        except Unsupported:
            return
        except CloudError as exc:
            logger.warning("watch.lost", extra={"cloud": cloud, "detail": exc.detail})
        stop.wait(RETRY_S)


def _follow_up(cloud: str, ref: str) -> None:
    close_old_connections()
    try:
        tasks.follow_up(cloud, ref)
    except CloudError as exc:
        logger.warning("watch.failed", extra={"ref": ref, "detail": exc.detail})
    finally:
        close_old_connections()

"""Doorbells: a Celery message that says "look at this row", and nothing else.

A bell may get lost with its broker; the row may not, because the sweep rings every row
that is due. So ringing never fails its caller.
"""

import logging
from datetime import timedelta
from functools import partial
from typing import Any

from django.db import transaction
from kombu.exceptions import OperationalError

logger = logging.getLogger(__name__)

NOW = timedelta(0)


def ring(task: Any, pk: int, *, queue: str, after: timedelta = NOW) -> None:
    """Have ``task(pk)`` called from ``queue``, once this transaction has committed."""
    transaction.on_commit(partial(_send, task, pk, queue, after.total_seconds()), robust=True)


def _send(task: Any, pk: int, queue: str, countdown_s: float) -> None:
    try:
        task.apply_async((pk,), queue=queue, countdown=countdown_s or None)
    except (OperationalError, OSError) as exc:
        logger.warning("bell.lost", extra={"task": task.name, "pk": pk, "error": str(exc)})

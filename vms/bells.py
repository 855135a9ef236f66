"""Bells of machines and of what is made with them. Steps ring them too: no task is known here."""

from datetime import timedelta
from typing import Any

from celery import current_app

from core.bells import NOW, ring


def ring_row(row: Any, *, after: timedelta = NOW) -> None:
    """Have a worker of this row's cloud look at it, once this transaction commits."""
    task = current_app.signature(f"vms.tick_{row.KIND}")
    ring(task, row.pk, queue=f"cloud.{row.cloud}", after=after)

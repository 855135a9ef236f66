"""How made-up rows are told from real ones, and how they get into the tables."""

from collections.abc import Iterator
from typing import TypeVar

from django.db import models

DOMAIN = "demo.invalid"
PREFIX = "demo_"
BATCH = 500

M = TypeVar("M", bound=models.Model)


def make(rows: Iterator[M]) -> list[M]:
    """Insert ``rows`` and return them."""
    found = list(rows)
    if not found:
        return []
    return type(found[0])._default_manager.bulk_create(found, batch_size=BATCH)

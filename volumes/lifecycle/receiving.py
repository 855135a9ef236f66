"""UPLOADING: wait for the bytes, and give up on those that never come.

No step waits, none writes its row but through ``keep``, and each may run twice.
"""

import os
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from django.utils import timezone

from cloud.driver import CloudDriver
from core.machine import Go, Step
from volumes import appending, landing
from volumes.models import Arrival, Volume
from volumes.states import VolumeState


def receive(volume: Volume, cloud: CloudDriver) -> Go | None:
    """Whoever brings the bytes may be killed after the last one: the file's size says it too."""
    arrival = Arrival.objects.get(volume=volume)
    there = appending.offset(volume)
    if there == arrival.length:
        make_durable(landing.received(volume))
        # What comes next reads it all, and counts anew.
        return Go(VolumeState.CHECKING, fields={"bytes_done": there})
    now = timezone.now()
    if arrival.expires_at is not None and arrival.expires_at <= now:
        return Go(VolumeState.CLEARING, _too_late(arrival.expires_at, there))
    if there != volume.bytes_done:
        volume.keep(bytes_done=there)
    return None


def make_durable(path: Path) -> None:
    """The row will say that all of the file is here: a power cut must not prove it wrong."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fdatasync(fd)
    finally:
        os.close(fd)


def _too_late(expired_at: datetime, there: int) -> str:
    came = f"{there} bytes had come" if there else "No byte had come"
    return (
        f"Nobody went on with the upload until {expired_at:%-d %B %Y, %H:%M} UTC. {came}. "
        "Upload the file again."
    )


STEPS: Mapping[str, Step[Volume]] = {VolumeState.UPLOADING: receive}

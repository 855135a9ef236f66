"""UPLOADING: wait for the bytes, and give up on those that never come.

No step waits, none writes its row but through ``keep``, and each may run twice.
"""

from collections.abc import Mapping
from datetime import datetime

from django.utils import timezone

from cloud.diskfiles.appending import make_durable
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


def _too_late(expired_at: datetime, there: int) -> str:
    came = f"{there} bytes had come" if there else "No byte had come"
    return (
        f"Nobody went on with the upload until {expired_at:%-d %B %Y, %H:%M} UTC. {came}. "
        "Upload the file again."
    )


STEPS: Mapping[str, Step[Volume]] = {VolumeState.UPLOADING: receive}

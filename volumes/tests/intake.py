"""A file that has landed, and the way that it takes from there."""

from django.utils import timezone

from core.machine import tick
from registration.tests.factories import UserFactory
from volumes import landing
from volumes.lifecycle import VOLUME_STEPS
from volumes.models import Arrival, Origin, Volume
from volumes.states import VolumeState
from volumes.tests.factories import VolumeFactory

MIB = 1 << 20
#: Of whoever sends files here.
QUOTA_BYTES = 256 * MIB


def landed(content: bytes, *, owner=None, **arrival) -> Volume:
    """A disk whose file has come in whole and is looked at next."""
    owner = owner or UserFactory(quota_disk_bytes=QUOTA_BYTES)
    volume = VolumeFactory(
        owner=owner,
        state=VolumeState.CHECKING,
        origin=Origin.UPLOADED,
        cloud_ref="",
        size_bytes=max(512, -(-len(content) // 512) * 512),
        next_tick_at=timezone.now(),
    )
    Arrival.objects.create(volume=volume, length=len(content), **arrival)
    landing.make(volume).write_bytes(content)
    return volume


def step(volume: Volume) -> Volume:
    """One look at it, now."""
    Volume.objects.filter(pk=volume.pk).update(next_tick_at=timezone.now(), lease_until=None)
    tick(Volume.objects.get(pk=volume.pk), VOLUME_STEPS)
    return Volume.objects.get(pk=volume.pk)


def arrive(volume: Volume) -> Volume:
    """Until it is at rest."""
    for _ in range(8):
        volume = step(volume)
        if not volume.is_moving:
            return volume
    raise AssertionError(f"It is still {volume.state}: {volume.reason}")

"""FETCHING: bring a file from an address that a person gave.

A fetch that breaks goes on where it ended, as long as the server still has the same version.
"""

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import BinaryIO

from django.conf import settings
from django.utils import timezone

from cloud.driver import CloudDriver
from core import fetch
from core.machine import Go, Step, progress
from registration.models import GIB
from volumes import landing
from volumes.models import Arrival, Volume
from volumes.states import VolumeState

#: A server that sends nothing for so long is given up.
PATIENCE = timedelta(minutes=15)


def bring(volume: Volume, cloud: CloudDriver) -> Go | None:
    arrival = Arrival.objects.get(volume=volume)
    have = landing.received_bytes(volume)
    if arrival.length is not None and have == arrival.length:
        return Go(VolumeState.CHECKING)  # all of it came, and the news of it got lost
    try:
        with landing.make(volume).open("r+b" if have else "wb") as file:
            _fetch(volume, arrival, file, have)
    except fetch.Unfetchable as error:
        return _not_fetched(volume, arrival, error)
    return Go(VolumeState.CHECKING)


def _fetch(volume: Volume, arrival: Arrival, file: BinaryIO, have: int) -> None:
    tell = progress(volume)
    room = landing.room_bytes() + have

    def on_head(head: fetch.Head) -> None:
        if head.length is not None and head.length > room:
            raise fetch.Unfetchable("The site's disk has no room for it now. Ask an administrator.")
        file.truncate(head.offset)
        arrival.length, arrival.validator = head.length, head.validator
        arrival.last_at = timezone.now()
        arrival.save(update_fields=["length", "validator", "last_at"])
        volume.keep(reason="", bytes_done=head.offset, bytes_total=head.length or 0)

    head = fetch.fetch(
        arrival.url,
        _writer(file, lambda done: tell(done, arrival.length or done)),
        offset=have,
        validator=arrival.validator,
        most_bytes=min(settings.PORTAL_ARRIVAL_GIB * GIB, room),
        allowed=fetch.networks(settings.PORTAL_FETCH_NETWORKS),
        on_head=on_head,
    )
    arrival.length = head.length if head.length is not None else file.tell()
    arrival.save(update_fields=["length"])


def _writer(file: BinaryIO, on_done: Callable[[int], None]) -> fetch.Sink:
    def write(offset: int, piece: bytes) -> None:
        file.seek(offset)
        file.write(piece)
        on_done(offset + len(piece))

    return write


def _not_fetched(volume: Volume, arrival: Arrival, error: fetch.Unfetchable) -> Go | None:
    """Give up on what can't be had; of what is not to be had now, say so and try again."""
    if landing.received_bytes(volume) > volume.bytes_done:
        arrival.last_at = timezone.now()
        arrival.save(update_fields=["last_at"])
    if not error.is_passing or timezone.now() - arrival.last_at > PATIENCE:
        return Go(VolumeState.CLEARING, str(error))
    volume.keep(reason=f"{error} The portal tries again.")
    return None


STEPS: Mapping[str, Step[Volume]] = {VolumeState.FETCHING: bring}

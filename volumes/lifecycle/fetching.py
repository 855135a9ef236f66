"""FETCHING: bring a file from an address that a person gave.

A fetch that breaks goes on where it ended, as long as the server still has the same version.
"""

from collections.abc import Mapping
from datetime import timedelta

from django.conf import settings
from django.utils import timezone

from cloud.diskfiles import headers
from cloud.diskfiles.appending import make_durable
from cloud.driver import CloudDriver
from core import fetch
from core.errors import Refused
from core.machine import Go, Step, progress
from registration.models import GIB
from volumes import landing
from volumes.appending import Busy, Writer
from volumes.lifecycle.reserving import STEP_BYTES, reserve
from volumes.models import Arrival, Volume
from volumes.states import VolumeState

#: A server that sends nothing for so long, or next to nothing, is given up.
PATIENCE = timedelta(minutes=15)


def bring(volume: Volume, cloud: CloudDriver) -> Go | None:
    if not volume.owner.is_active:
        return Go(VolumeState.CLEARING, "The account that it is fetched for is not active.")
    try:
        writer = Writer(volume)
    except Busy:  # a worker that was taken for dead is at it still
        return None
    try:
        volume.keep()  # whoever lost the lease on the way to the lock touches nothing
        return _brought(volume, Arrival.objects.get(volume=volume), writer)
    except Refused as refused:
        return Go(VolumeState.CLEARING, str(refused))
    finally:
        writer.close()


def _brought(volume: Volume, arrival: Arrival, writer: Writer) -> Go | None:
    if writer.offset != arrival.length:  # or all of it came, and the news of it got lost
        began, had = timezone.now(), writer.offset
        if not volume.reason:  # patience begins with the first try that fails
            _be_patient(arrival)
        try:
            _fetch(volume, arrival, writer)
        except fetch.Unfetchable as error:
            spent_s = (timezone.now() - began).total_seconds()
            if writer.offset - had > fetch.SLOWEST_BYTES_S * spent_s:
                _be_patient(arrival)
            return _not_fetched(volume, arrival, error)
    make_durable(landing.received(volume))
    return Go(VolumeState.CHECKING)


def _be_patient(arrival: Arrival) -> None:
    arrival.last_at = timezone.now()
    arrival.save(update_fields=["last_at"])


def _fetch(volume: Volume, arrival: Arrival, writer: Writer) -> None:
    def on_head(head: fetch.Head) -> None:
        writer.begin_at(head.offset)
        arrival.length, arrival.validator = head.length, head.validator
        if head.length is not None:
            _count(volume, head.length)
        arrival.save(update_fields=["length", "validator"])
        volume.keep(reason="", bytes_done=head.offset, bytes_total=head.length or 0)

    fetch.fetch(
        arrival.url,
        _sink(volume, arrival, writer),
        offset=writer.offset,
        validator=arrival.validator,
        most_bytes=settings.PORTAL_ARRIVAL_GIB * GIB,
        allowed=fetch.networks(settings.PORTAL_FETCH_NETWORKS),
        ports=settings.PORTAL_FETCH_PORTS,
        on_head=on_head,
    )
    arrival.length = writer.offset
    arrival.save(update_fields=["length"])


def _count(volume: Volume, size_bytes: int, *, spare_bytes: int = 0) -> None:
    """Before it lands: room for it, and its owner's quota.

    Raises:
        Unfetchable: there is no room now.
        Refused: ``quota_disk``.
    """
    there = landing.received_bytes(volume)
    if size_bytes - there > landing.unpromised_bytes(but=volume):
        raise fetch.Unfetchable("The site's disk has no room for it now. Ask an administrator.")
    if size_bytes > volume.size_bytes:
        size_bytes = headers.padded(size_bytes)
        reserve(volume, size_bytes, spare_bytes=spare_bytes, what="The file at this address")


def _sink(volume: Volume, arrival: Arrival, writer: Writer) -> fetch.Sink:
    """Counts what comes without a length in steps, before it is written."""
    tell = progress(volume)

    def write(offset: int, piece: bytes) -> None:
        done = offset + len(piece)
        if arrival.length is None and done > volume.size_bytes:
            _count(volume, done, spare_bytes=STEP_BYTES)
        _must_be_in_time(volume)
        if landing.room_bytes() == 0:
            raise fetch.Unfetchable("The site's disk is full now.", is_passing=True)
        writer.write([piece])
        tell(done, arrival.length or done)

    return write


def _must_be_in_time(volume: Volume) -> None:
    """The table's deadline is looked at between steps, and this one step may last for days."""
    limit = volume.DEADLINES[VolumeState.FETCHING].after
    if timezone.now() - volume.state_since > limit:
        hours = int(limit.total_seconds() // 3600)
        raise fetch.Unfetchable(f"It could not be fetched within {hours} hours.")


def _not_fetched(volume: Volume, arrival: Arrival, error: fetch.Unfetchable) -> Go | None:
    """Give up on what can't be had; of what is not to be had now, say so and try again."""
    if not error.is_passing or timezone.now() - arrival.last_at > PATIENCE:
        return Go(VolumeState.CLEARING, str(error))
    volume.keep(reason=f"{error} The portal tries again.")
    return None


STEPS: Mapping[str, Step[Volume]] = {VolumeState.FETCHING: bring}

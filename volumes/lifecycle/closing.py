"""Disks of closed accounts: into the bin, as soon as they are at rest."""

from contextlib import suppress
from datetime import timedelta

from django.conf import settings
from django.db.models import Q
from django.utils import timezone

from core.machine import StaleState
from registration.states import AccountState
from volumes.models import Offer, Volume
from volumes.states import OfferState, VolumeState

WHY = "The account of its owner was closed."


def bin_what_is_left() -> None:
    """What a machine held when the account was closed, or what was being made then: nobody is
    there to delete it. What an administrator has just taken out stays for a while, and as long
    as it is offered to somebody."""
    left = Volume.objects.filter(owner__state=AccountState.CLOSED, state=VolumeState.AVAILABLE)
    spared = Q(purge_at__gt=timezone.now()) | Q(offers__state=OfferState.OFFERED)
    for disk in left.exclude(pk__in=left.filter(spared)).select_related("owner"):
        with suppress(StaleState):  # it has just gone on; the next look finds it
            _bin(disk)


def _bin(disk: Volume) -> None:
    def withdraw() -> None:
        for offer in Offer.objects.filter(volume=disk, state=OfferState.OFFERED):
            offer.move(OfferState.WITHDRAWN, reason=WHY)

    until = timezone.now() + timedelta(days=settings.PORTAL_BIN_DAYS)
    disk.move(VolumeState.BINNED, verb="delete", reason=WHY, purge_at=until, alongside=withdraw)

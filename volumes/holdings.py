"""What accounts hold here: their disks.

Machines come first when an account is closed: a disk in one of them is let go when that has
ended, and goes into the bin then (``volumes.lifecycle.closing``).
"""

from collections.abc import Sequence

from core.errors import Refused
from core.sizes import in_words
from registration.models import User
from volumes.actions import making, offers
from volumes.models import Offer, Share, Visibility, Volume
from volumes.quota import bytes_held
from volumes.states import OfferState, VolumeState

#: Names in a sentence; the others are counted.
NAMED = 5


class Disks:
    """The ``registration.holdings.Holding`` of this floor."""

    def lines(self, person: User) -> list[str]:
        disks = _held(person)
        if not disks:
            return []
        noun = "disk" if len(disks) == 1 else "disks"
        names = ", ".join(f"{disk} ({disk.get_state_display()})" for disk in disks[:NAMED])
        more = f" and {len(disks) - NAMED} more" if len(disks) > NAMED else ""
        return [f"{len(disks)} {noun}, {in_words(bytes_held(person))}: {names}{more}"]

    def stop(self, person: User, *, by: User, verb: str) -> None:
        """Disks lie still by themselves."""

    def hand_over(self, person: User, *, to: User, by: User, is_over_quota: bool) -> None:
        """With their snapshots and shares, in whatever state they are; the bin too."""
        to = User.objects.select_for_update(no_key=True).get(
            pk=to.pk
        )  # one quota, whoever else gives
        more_bytes = bytes_held(person)
        if more_bytes and not is_over_quota:
            _must_fit(to, more_bytes)
        for disk in _locked(person):
            offers.give(disk, to=to, by=by)
        _end_what_is_open_to(person, by=by)

    def remove(self, person: User, *, by: User) -> None:
        """Into the bin, from where an administrator can take them back for a while.

        What a machine still holds, or what is being made, follows as soon as it is at rest.
        """
        for disk in _locked(person):
            if "delete" in disk.verbs:
                making.delete(disk, by=by)
            elif "cancel" in disk.verbs:
                making.cancel(disk, by=by)
            elif disk.state != VolumeState.BINNED:
                _close_to_others(disk, by=by)
        _end_what_is_open_to(person, by=by)


def _held(person: User) -> Sequence[Volume]:
    return list(Volume.objects.filter(owner=person).held().order_by("pk"))


def _locked(person: User) -> Sequence[Volume]:
    rows = Volume.objects.filter(owner=person).held().order_by("pk")
    return list(rows.select_related("owner").select_for_update(no_key=True, of=("self",)))


def _must_fit(to: User, more_bytes: int) -> None:
    """Raises: Refused: ``quota_disk``."""
    held, limit = bytes_held(to), to.quota.disk_bytes
    if held + more_bytes > limit:
        raise Refused(
            "quota_disk",
            f"The disk quota of {to} is {in_words(limit)}: they hold {in_words(held)} and this "
            f"would add {in_words(more_bytes)}. Raise their quota, or give it beyond the quota.",
        )


def _close_to_others(disk: Volume, *, by: User) -> None:
    """Machines that have it keep it until they let go; no other one gets it."""
    disk.announce()  # to those whom it was open to
    for share in disk.shares.select_related("user", "group"):
        _end_share(share, disk, by=by)
    if disk.visibility != Visibility.PRIVATE:
        change = {"before": {"visibility": disk.visibility}, "after": {"visibility": "private"}}
        Volume.objects.filter(pk=disk.pk).update(visibility=Visibility.PRIVATE)
        disk.visibility = Visibility.PRIVATE
        disk.record_event("changed", by=by, **change)


def _end_what_is_open_to(person: User, *, by: User) -> None:
    """Shares by name, and offers that wait for an answer."""
    for share in Share.objects.filter(user=person).select_related("volume__owner", "user"):
        _end_share(share, share.volume, by=by)
        share.volume.announce()
    waiting = Offer.objects.select_for_update(of=("self",)).filter(
        to=person, state=OfferState.OFFERED
    )
    for offer in waiting.select_related("volume"):
        offer.move(
            OfferState.DECLINED, by=by, verb="offer_declined", reason="Their account was closed."
        )
        offer.volume.announce()


def _end_share(share: Share, disk: Volume, *, by: User) -> None:
    whom = str(share.user) if share.user_id else f"group {share.group}"
    share.delete()
    disk.record_event("share_stopped", by=by, whom=whom, access=share.access)


DISKS = Disks()

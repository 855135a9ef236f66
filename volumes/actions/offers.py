"""Hand a disk over to somebody who accepts it."""

from uuid import uuid4

from django.conf import settings
from django.db import transaction
from django.db.models import Sum
from django.urls import reverse

from core.errors import Refused
from core.sizes import in_words
from registration import emails, names, throttle
from registration.models import User
from registration.states import AccountState
from volumes.actions import downloads
from volumes.actions.sharing import named
from volumes.asking import alone_with, must
from volumes.models import DiskType, Offer, Snapshot, Volume
from volumes.quota import must_fit, must_fit_image
from volumes.states import VOLUME_VERBS, OfferState

#: Each is a mail: in a window (throttle.WINDOW), by one person.
MOST_OFFERS = 20


def offer(volume: Volume, *, by: User, username: str) -> Offer:
    """Offer a disk to an account, and mail it. The disk is its owner's until they accept.

    An administrator offers what a closed account has left.

    Raises:
        Refused: ``not_yours``, ``disk_state``, ``disk_in_use``, ``disk_offered``,
            ``nobody_of_that_name``, ``offer_self``, ``too_many_attempts``.
    """
    must(volume, "offer", by=by)
    to = named(by, names.one_line(username), field="username")
    if to.pk == by.pk:
        raise Refused("offer_self", "It is your own disk already.", field="username")
    if until := throttle.take(MOST_OFFERS, "disk_offers", str(by.uuid)):
        sentence = (
            f"You offered {MOST_OFFERS} disks in a short time. Go on after {until:%H:%M} UTC."
        )
        raise Refused("too_many_attempts", sentence)
    with alone_with(volume, "offer", by=by):
        made = Offer.objects.create(volume=volume, owner=volume.owner, to=to)
        volume.record_event("offer", by=by, whom=str(to))
        emails.disk_offered(
            to, by, disk=_in_a_mail(volume), size=in_words(volume.size_bytes), link=_link()
        )
        made.announce()
        volume.announce()
    return made


def withdraw_offer(offered: Offer, *, by: User) -> None:
    """Keep the disk after all. Raises: Refused: ``not_yours``, ``offer_over``."""
    is_left = by.is_staff and offered.owner.state == AccountState.CLOSED
    if offered.owner_id != by.pk and not is_left:
        offered.record_denial("offer_withdrawn", by=by)
        raise Refused("not_yours", "Only who offered the disk may withdraw the offer.")
    with transaction.atomic():
        _take_up(offered)
        offered.move(OfferState.WITHDRAWN, by=by, verb="offer_withdrawn")
        offered.volume.announce()


def decline_offer(offered: Offer, *, by: User) -> None:
    """Leave the disk to its owner. Raises: Refused: ``not_yours``, ``offer_over``."""
    _must_be_to(offered, by, "offer_declined")
    with transaction.atomic():
        volume = _take_up(offered)
        offered.move(OfferState.DECLINED, by=by, verb="offer_declined")
        _tell(offered.owner, by, volume, "declined. It stays yours")
        volume.announce()


def accept_offer(offered: Offer, *, by: User) -> Volume:
    """Become the owner of a disk, with its snapshots, shares and visibility.

    Raises:
        Refused: ``not_yours``, ``offer_over``, ``not_active``, ``disk_in_use``, ``quota_disk``,
            ``quota_images``.
    """
    _must_be_to(offered, by, "offer_accepted")
    with transaction.atomic():
        by = User.objects.select_for_update(no_key=True).get(pk=by.pk)
        if not by.is_active:
            raise Refused("not_active", "Your account is not active; ask an administrator.")
        volume = _take_up(offered)
        if volume.state not in VOLUME_VERBS["offer"]:
            raise Refused(
                "disk_in_use",
                f"{volume} is {volume.get_state_display().lower()} now: it can be taken over "
                "once its owner has it at rest.",
            )
        must_fit(by, bytes_with_snapshots(volume))
        if volume.type == DiskType.MACHINE_IMAGE_ORIGIN:
            must_fit_image(by)
        giver = offered.owner
        offered.move(OfferState.ACCEPTED, by=by, verb="offer_accepted")
        give(volume, to=by, by=by)
        Volume.objects.filter(pk=volume.pk).update(purge_at=None)
        _tell(giver, by, volume, "accepted. It is theirs now")
    return volume


def _tell(giver: User, who: User, volume: Volume, answer: str) -> None:
    if giver.is_active:
        emails.disk_offer_answered(giver, who, disk=_in_a_mail(volume), answer=answer)


def bytes_with_snapshots(volume: Volume) -> int:
    """What the disk counts for in a quota, with its snapshots."""
    kept = Snapshot.objects.held().filter(volume=volume).aggregate(n=Sum("size_bytes"))["n"]
    return volume.size_bytes + int(kept or 0)


def give(volume: Volume, *, to: User, by: User) -> None:
    """Make ``to`` the owner. Call it in a transaction that has the disk locked.

    An offer of it that waits is withdrawn; whom it is shared with stays. Downloads end whose
    people may not read it any more. Quotas are not looked at.
    """
    before = volume.owner
    for waiting in Offer.objects.filter(volume=volume, state=OfferState.OFFERED):
        waiting.move(OfferState.WITHDRAWN, by=by, reason="The disk has another owner.")
    change = {"before": {"owner": before.username}, "after": {"owner": to.username}}
    volume.record_event("handed_over", by=by, **change)  # in the list of who gives
    volume.announce()
    volume.shares.filter(user=to).delete()
    # Of the other's disks, one may have been made with the same key.
    fresh = uuid4()
    Volume.objects.filter(pk=volume.pk).update(owner=to, create_key=fresh)
    volume.owner, volume.create_key = to, fresh
    volume.record_event("taken_over", by=by, **change)  # and of who takes
    downloads.end_of_others(volume, by=by)
    volume.announce()


def _must_be_to(offered: Offer, by: User, verb: str) -> None:
    if offered.to_id != by.pk:
        offered.record_denial(verb, by=by)
        raise Refused("not_yours", "This disk is offered to somebody else.")


def _take_up(offered: Offer) -> Volume:
    """The disk, locked, of an offer that still waits. Raises: Refused: ``offer_over``."""
    volume = Volume.objects.select_for_update(no_key=True).get(pk=offered.volume_id)
    offered.refresh_from_db(from_queryset=Offer.objects.select_for_update())
    if offered.state != OfferState.OFFERED or volume.owner_id != offered.owner_id:
        state = offered.get_state_display().lower()
        sentence = f"This offer is over: {state}."
        raise Refused("offer_over", sentence)
    offered.volume = volume
    return volume


def _in_a_mail(volume: Volume) -> str:
    """A tag with a link in it would make the mail its writer's."""
    return f"disk {volume.token[:8]}" if names.has_link(volume.tag) else str(volume)


def _link() -> str:
    return f"{settings.PORTAL_URL}{reverse('volumes:offers')}"

"""Disks that change hands."""

from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import Q, Sum
from ninja import Field, Router, Schema, Status

from registration.bearer import ApiRequest
from registration.doors import find_or_404
from volumes import actions
from volumes.api.disks import DiskOut, find, shown
from volumes.models import Offer
from volumes.states import SNAPSHOT_HOLDS, OfferState

router = Router()

MOST_ROWS = 100


class OfferedDisk(Schema):
    uuid: UUID
    tag: str
    size_bytes: int
    counts_bytes: int = Field(description="With its snapshots: what counts in the quota")


class OfferOut(Schema):
    uuid: UUID
    disk: OfferedDisk
    owner: str = Field(description="Who offers it, a user name")
    to: str = Field(description="Whom it is offered to, a user name")
    state: OfferState
    created_at: datetime

    @staticmethod
    def resolve_disk(offer: Offer) -> dict[str, Any]:
        volume = offer.volume
        same = {name: getattr(volume, name) for name in ("uuid", "tag", "size_bytes")}
        if (kept := getattr(offer, "snapshot_bytes", None)) is None:  # of a list: counted with it
            return same | {"counts_bytes": actions.bytes_with_snapshots(volume)}
        return same | {"counts_bytes": volume.size_bytes + kept}

    @staticmethod
    def resolve_owner(offer: Offer) -> str:
        return offer.owner.username

    @staticmethod
    def resolve_to(offer: Offer) -> str:
        return offer.to.username


class OfferIn(Schema):
    username: str = Field(description="Of somebody who has an account here. They get a mail")


@router.post("/disks/{uuid:disk}/offer", response={201: OfferOut}, url_name="offer_disk",
             summary="Offer a disk to somebody")  # fmt: skip
def offer_disk(request: ApiRequest, disk: UUID, wanted: OfferIn) -> Status[Offer]:
    """It is yours until they accept; then it is theirs, with its snapshots and shares."""
    volume = find(request, disk, verb="offer")
    return Status(201, actions.offer(volume, by=request.user, username=wanted.username))


@router.get("/offers", response=list[OfferOut], url_name="offers",
            summary="Disks that wait to change hands, to you or from you")  # fmt: skip
def list_offers(request: ApiRequest) -> list[Offer]:
    """The newest hundred."""
    mine = Offer.objects.waiting().filter(Q(owner=request.user) | Q(to=request.user))
    holds = Q(volume__snapshots__state__in=SNAPSHOT_HOLDS)
    mine = mine.annotate(
        snapshot_bytes=Sum("volume__snapshots__size_bytes", filter=holds, default=0)
    )
    return list(mine.select_related("volume", "owner", "to").order_by("-pk")[:MOST_ROWS])


@router.post("/offers/{uuid:offer}/accept", response=DiskOut, summary="Take a disk over",
             url_name="accept_offer")  # fmt: skip
def accept_offer(request: ApiRequest, offer: UUID) -> dict[str, Any]:
    """It counts in your quota from then on. The answer is the disk."""
    found = _find(request, offer, "offer_accepted", to=request.user)
    return shown(request, actions.accept_offer(found, by=request.user).uuid)


@router.post("/offers/{uuid:offer}/decline", response=OfferOut, url_name="decline_offer",
             summary="Leave an offered disk to its owner")  # fmt: skip
def decline_offer(request: ApiRequest, offer: UUID) -> Offer:
    found = _find(request, offer, "offer_declined", to=request.user)
    actions.decline_offer(found, by=request.user)
    return found


@router.post("/offers/{uuid:offer}/withdraw", response=OfferOut, url_name="withdraw_offer",
             summary="Keep a disk that you offered")  # fmt: skip
def withdraw_offer(request: ApiRequest, offer: UUID) -> Offer:
    found = _find(request, offer, "offer_withdrawn", owner=request.user)
    actions.withdraw_offer(found, by=request.user)
    return found


def _find(request: ApiRequest, key: UUID, verb: str, **whose: Any) -> Offer:
    rows = Offer.objects.filter(**whose).select_related("volume", "owner", "to")
    return find_or_404(rows, request, verb, uuid=key)

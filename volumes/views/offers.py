"""Disks that change hands."""

import uuid
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db.models import Count, Q, Sum
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from core import sizes
from core.errors import Refused
from core.http import is_fragment
from registration.doors import answers, find_or_404
from volumes import actions, quota
from volumes.forms.disk import OfferForm
from volumes.models import Offer
from volumes.states import SNAPSHOT_HOLDS
from volumes.views.asking import Question, ask, turned_away
from volumes.views.door import UserRequest, find

MOST_SHOWN = 100


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def offer(request: UserRequest, key: uuid.UUID) -> HttpResponse:
    volume = find(request, key, verb="offer")
    if away := turned_away(request, volume, "offer"):
        return away
    form = OfferForm(answers(request))
    if form.is_valid():
        try:
            made = actions.offer(volume, by=request.user, **form.cleaned_data)
        except Refused as refused:
            form.refuse(refused)
        else:
            sentence = f"{volume} is offered to {made.to}, who gets a mail. It is yours until then."
            messages.success(request, sentence)
            return redirect(volume)
    size = sizes.in_words(actions.bytes_with_snapshots(volume))
    question = Question(
        heading=f"Hand over {volume}",
        submit="Offer it",
        notes=(
            f"If they accept, it is theirs with its snapshots, and counts {size} in their "
            "quota instead of yours.",
            "Whom it is shared with and whether it is public stay as they are; you see it no "
            "longer, unless they share it with you.",
            "Until they answer it stays yours: nothing may write to it, and you can withdraw the "
            "offer. Deleting the disk withdraws it too.",
        ),
    )
    return ask(request, volume, form, question)


@login_required
@require_POST
def withdraw(request: UserRequest, key: uuid.UUID) -> HttpResponse:
    volume = find(request, key, verb="offer_withdrawn")
    rows = Offer.objects.waiting().filter(volume=volume).select_related("volume", "owner", "to")
    found = rows.first()
    try:
        if found is None:
            raise Refused("offer_over", "It is not offered to anybody, or not any more.")
        actions.withdraw_offer(found, by=request.user)
    except Refused as refused:
        messages.error(request, str(refused))
    else:
        messages.success(request, f"The offer is withdrawn. {volume} stays yours.")
    return redirect(volume)


@login_required
@require_safe
def index(request: UserRequest) -> HttpResponse:
    template = "volumes/_offers.html" if is_fragment(request) else "volumes/offers.html"
    return render(request, template, _context(request))


@login_required
@require_safe
def notice(request: UserRequest) -> HttpResponse:
    """The line on other pages that says that disks are offered; it follows what happens."""
    waiting = Offer.objects.waiting_for(request.user).count()
    return render(request, "volumes/_offers_notice.html", {"disk_offers": waiting})


def _context(request: UserRequest) -> dict[str, Any]:
    user = request.user
    waiting = Offer.objects.waiting().select_related("volume", "owner", "to").order_by("-pk")
    holds = Q(volume__snapshots__state__in=SNAPSHOT_HOLDS)
    waiting = waiting.annotate(
        snapshots=Count("volume__snapshots", filter=holds),
        snapshot_bytes=Sum("volume__snapshots__size_bytes", filter=holds, default=0),
    )
    left = quota.bytes_left(user)
    return {
        "to_me": [_row(one, left) for one in waiting.filter(to=user)[:MOST_SHOWN]],
        "from_me": list(waiting.filter(owner=user)[:MOST_SHOWN]),
        "left": left,
        "crumbs": [{"label": "Disks", "url": reverse("volumes:list")}],
    }


def _row(one: Any, left: int) -> dict[str, Any]:
    """An offer with what it would count for, and whether that fits."""
    counts = one.volume.size_bytes + one.snapshot_bytes
    return {
        "offer": one,
        "size": one.volume.size_bytes,
        "snapshots": one.snapshots,
        "counts": counts,
        "fits": counts <= left,
    }


@login_required
@require_POST
def accept(request: UserRequest, offer: uuid.UUID) -> HttpResponse:
    return _answer(request, offer, "offer_accepted")


@login_required
@require_POST
def decline(request: UserRequest, offer: uuid.UUID) -> HttpResponse:
    return _answer(request, offer, "offer_declined")


def _answer(request: UserRequest, key: uuid.UUID, verb: str) -> HttpResponse:
    mine = Offer.objects.filter(to=request.user).select_related("volume", "owner", "to")
    found = find_or_404(mine, request, verb, uuid=key)
    try:
        if verb == "offer_accepted":
            volume = actions.accept_offer(found, by=request.user)
            messages.success(request, f"{volume} is yours now.")
            return redirect(volume)
        actions.decline_offer(found, by=request.user)
    except Refused as refused:
        messages.error(request, str(refused))
    else:
        messages.success(request, f"Declined: {found.volume} stays with {found.owner}.")
    return redirect("volumes:offers")

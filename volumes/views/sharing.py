"""Whom a disk is open to."""

import uuid
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods, require_POST

from core.errors import Refused
from core.http import UNPROCESSABLE
from registration.doors import answers
from volumes import actions
from volumes.actions.sharing import name_of
from volumes.forms.disk import AccessForm, ShareForm
from volumes.models import Share, Visibility, Volume
from volumes.views.asking import crumbs_of, turned_away
from volumes.views.door import UserRequest, find


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def index(request: UserRequest, key: uuid.UUID) -> HttpResponse:
    volume = find(request, key, verb="share")
    if away := turned_away(request, volume, "share"):
        return away
    form = ShareForm(answers(request), owner=request.user)
    if form.is_valid():
        try:
            made = actions.share(volume, by=request.user, **form.cleaned_data)
        except Refused as refused:
            form.refuse(refused)
        else:
            messages.success(request, f"{volume} is shared with {name_of(made)}.")
            return redirect("volumes:sharing", volume.uuid)
    status = UNPROCESSABLE if form.is_bound else 200
    return render(request, "volumes/sharing.html", _context(volume, form), status=status)


def _context(volume: Volume, form: ShareForm) -> dict[str, Any]:
    return {
        "volume": volume,
        "form": form,
        "shares": volume.shares.select_related("user", "group"),
        "is_public": volume.visibility == Visibility.PUBLIC,
        "crumbs": crumbs_of(volume),
    }


@login_required
@require_POST
def change(request: UserRequest, key: uuid.UUID, share: int) -> HttpResponse:
    volume, given = _find(request, key, share, "share_changed")
    form = AccessForm(request.POST)
    access = form.cleaned_data["access"] if form.is_valid() else ""
    try:
        actions.change_share(given, by=request.user, access=access)
    except Refused as refused:
        messages.error(request, str(refused))
    else:
        messages.success(request, f"What {name_of(given)} may do is changed.")
    return redirect("volumes:sharing", volume.uuid)


@login_required
@require_POST
def stop(request: UserRequest, key: uuid.UUID, share: int) -> HttpResponse:
    volume, given = _find(request, key, share, "share_stopped")
    try:
        actions.stop_sharing(given, by=request.user)
    except Refused as refused:
        messages.error(request, str(refused))
    else:
        messages.success(request, f"{volume} is no longer shared with {name_of(given)}.")
    return redirect("volumes:sharing", volume.uuid)


def _find(request: UserRequest, key: uuid.UUID, share: int, verb: str) -> tuple[Volume, Share]:
    volume = find(request, key, verb=verb)
    shares = Share.objects.select_related("user", "group", "volume", "volume__owner")
    return volume, get_object_or_404(shares, volume=volume, pk=share)

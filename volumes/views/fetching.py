"""A disk from an address."""

from typing import Any
from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from core.errors import Refused
from core.http import UNPROCESSABLE
from registration.doors import answers
from registration.models import User
from volumes import actions
from volumes.forms.fetching import FetchForm
from volumes.models import Arrival, Origin, Volume
from volumes.states import VolumeState
from volumes.views.door import UserRequest


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def fetch(request: UserRequest) -> HttpResponse:
    form = FetchForm(answers(request), again=_asked_before(request))
    if form.is_valid():
        try:
            volume = actions.fetch(owner=request.user, wanted=form.wanted())
        except Refused as refused:
            form.refuse(refused)
        else:
            return redirect(volume)
    status = UNPROCESSABLE if form.is_bound else 200
    return render(request, "volumes/fetch.html", {"form": form}, status=status)


def may_fetch_again(volume: Volume, user: User) -> bool:
    """Whether the form can be filled in as it was for this one, which failed."""
    is_theirs = volume.owner_id == user.pk and volume.state == VolumeState.FAILED
    return is_theirs and volume.origin == Origin.FETCHED


def _asked_before(request: UserRequest) -> dict[str, Any]:
    """What was asked for when one of this person's own fetches failed, or nothing."""
    try:
        key = UUID(request.GET.get("again", ""))
    except ValueError:
        return {}
    failed = Arrival.objects.filter(volume__owner=request.user, volume__uuid=key)
    row = failed.select_related("volume").first()
    if row is None or not may_fetch_again(row.volume, request.user):
        return {}
    return {
        "url": row.url,
        "tag": row.volume.tag,
        "type": row.volume.type,
        "visibility": row.volume.visibility,
        "expected_bytes": row.expected_bytes,
        "sha1": row.expected_sha1,
        "sha256": row.expected_sha256,
    }

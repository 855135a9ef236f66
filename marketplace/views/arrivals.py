"""A document on its way from an address, until it is an entry; then on to where it was wanted."""

import uuid
from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from core.errors import Refused
from marketplace.actions import arrivals
from marketplace.judging import judge
from marketplace.models import DocumentArrival
from marketplace.states import ArrivalState, PendingState
from registration.doors import UserRequest, find_or_404


@login_required
@require_safe
def arrival(request: UserRequest, key: uuid.UUID) -> HttpResponse:
    """A document that has become an entry is left behind for that entry, or for its launch."""
    shown = _find(request, key)
    if entry := _entry_of(shown):
        return redirect(_beyond(shown, entry))
    crumbs = [{"label": "Marketplace", "url": reverse("marketplace:catalogue")}]
    return render(request, "marketplace/arrival.html", {**_context(shown), "crumbs": crumbs})


@login_required
@require_safe
def progress(request: UserRequest, key: uuid.UUID) -> HttpResponse:
    """What changes of the page while it is open."""
    return render(request, "marketplace/_arrival.html", _context(_find(request, key)))


@login_required
@require_POST
def again(request: UserRequest, key: uuid.UUID) -> HttpResponse:
    shown = _find(request, key)
    try:
        arrivals.fetch_again(shown, by=request.user)
    except Refused as refused:
        messages.error(request, str(refused))
    return redirect(shown)


def _find(request: UserRequest, key: uuid.UUID) -> DocumentArrival:
    rows = DocumentArrival.objects.visible_to(request.user)
    found: DocumentArrival = find_or_404(
        rows.select_related("entry", "pending__entry"), request, uuid=key
    )
    return found


def _context(shown: DocumentArrival) -> dict[str, Any]:
    entry = _entry_of(shown)
    has_failed = shown.state == ArrivalState.FAILED
    return {
        "arrival": shown,
        "entry": entry,
        "beyond": _beyond(shown, entry) if entry else "",
        "problems": judge(bytes(shown.xml)).problems if has_failed and shown.xml else (),
        "is_waiting": bool(shown.pending and shown.pending.state == PendingState.WAITING),
    }


def _entry_of(shown: DocumentArrival) -> Any:
    return shown.entry or (shown.pending.entry if shown.pending else None)


def _beyond(shown: DocumentArrival, entry: Any) -> str:
    if not shown.to_launch:
        return str(entry.permalink)
    return f"{reverse('vms:launch')}?{urlencode({'image': entry.identifier})}"

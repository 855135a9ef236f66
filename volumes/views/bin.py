"""The bin: deleted disks, for as long as they can be restored."""

from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.db.models import Count, Q
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from core.http import is_fragment, query_without
from registration.models import User
from volumes import actions, table
from volumes.models import Snapshot, Volume, VolumeQuerySet
from volumes.states import SNAPSHOT_HOLDS
from volumes.views.door import UserRequest
from volumes.views.making import picked, tell

ROWS = 25


@login_required
@require_safe
def index(request: UserRequest) -> HttpResponse:
    template = "volumes/_bin.html" if is_fragment(request) else "volumes/bin.html"
    return render(request, template, _context(request))


def _in_bin(user: User) -> VolumeQuerySet:
    if not user.is_staff:
        return table.rows_of(user, table.BIN)
    everything: VolumeQuerySet = Volume.objects.visible_to(user)
    return everything.filter(state__in=table.BINNED)


def _context(request: UserRequest) -> dict[str, Any]:
    user = request.user
    own = _in_bin(user).filter(owner=user)
    tab = table.ALL if user.is_staff and request.GET.get("tab") == table.ALL else table.MINE
    rows = _in_bin(user) if tab == table.ALL else own
    keys = rows.order_by("purge_at", "-pk").values_list("pk", flat=True)
    page = Paginator(keys, ROWS).get_page(request.GET.get("page"))
    snapshots = Count("snapshots", filter=Q(snapshots__state__in=SNAPSHOT_HOLDS))
    shown = Volume.objects.filter(pk__in=list(page.object_list)).select_related("owner")
    shown = shown.annotate(snapshot_count=snapshots).order_by("purge_at", "-pk")
    kept = Snapshot.objects.held().filter(volume__owner=user, volume__state__in=table.BINNED)
    return {
        "page": page,
        "rows": table.shown(shown, user),
        "tab": tab,
        "own": own.count(),
        "everybodys": _in_bin(user).count() if user.is_staff else 0,
        "own_bytes": own.bytes_held() + sum(kept.values_list("size_bytes", flat=True)),
        "days": settings.PORTAL_BIN_DAYS,
        "now": timezone.now(),
        "query": query_without(request, "page"),
    }


@login_required
@require_POST
def bulk(request: UserRequest) -> HttpResponse:
    """Restore what was ticked; what is to end for good is asked about first."""
    verb = "purge" if request.POST.get("verb") == "purge" else "recover"
    volumes = picked(request, verb)
    if not volumes:
        messages.error(request, "Choose at least one disk first.")
        return redirect("volumes:bin")
    if verb == "purge":
        keys = urlencode([("disk", volume.token) for volume in volumes])
        return redirect(f"{reverse('volumes:purge_many')}?{keys}")
    tell(request, verb, *actions.ask_many(volumes, verb, by=request.user))
    return redirect("volumes:bin")

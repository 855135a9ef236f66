"""What is left of its maker in a disk, and the taking out of it."""

import shlex
from uuid import UUID, uuid4

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db.models import QuerySet
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from core.errors import Refused
from core.http import is_fragment
from marketplace import actions
from marketplace.models import Inspection
from registration.doors import UserRequest, find_or_404
from volumes.actions.cleaning import MOST_PATHS
from volumes.asking import Situation
from volumes.models import Access, Volume


def _visible(request: UserRequest) -> QuerySet[Inspection]:
    return Inspection.objects.visible_to(request.user).select_related("volume", "volume__owner")


@login_required
@require_safe
def inspection(request: UserRequest, key: UUID) -> HttpResponse:
    """The report; ``?in=disk``: in short, beside a disk or a draft of it."""
    found = find_or_404(_visible(request), request, uuid=key)
    if is_fragment(request) and request.GET.get("in") == "disk":
        return render(request, "marketplace/_report.html", {"report": found, "is_shown": True})
    situation = Situation.of(found.volume, request.user)
    is_owner = situation.access == Access.OWN
    context = {
        "inspection": found,
        "volume": found.volume,
        "is_owner": is_owner,
        "why_not": _why_not(situation) if is_owner else "",
        "command": command_inside(found),
        "most_paths": MOST_PATHS,
        "create_key": uuid4(),
        "crumbs": [
            {"label": "Disks", "url": reverse("volumes:list")},
            {"label": str(found.volume), "url": found.volume.get_absolute_url()},
        ],
    }
    name = "_inspection" if is_fragment(request) else "inspection"
    return render(request, f"marketplace/{name}.html", context)


def _why_not(situation: Situation) -> str:
    """Why the disk can be neither read nor copied now; "" if it can."""
    refusal = situation.refusal("copy") or situation.being_written()
    return str(refusal) if refusal else ""


def command_inside(inspection: Inspection) -> str:
    """What removes, typed inside the machine, whatever cannot be named from outside; or ""."""
    paths = [one["path"] for one in inspection.left_to_do if one["path"].isprintable()]
    return shlex.join(["sudo", "rm", "-rf", "--", *paths]) if paths else ""


@login_required
@require_POST
def inspect(request: UserRequest, key: UUID) -> HttpResponse:
    """Have a disk of one's own looked into, again if it has been."""
    visible = Volume.objects.visible_to(request.user).select_related("owner")
    volume = find_or_404(visible, request, "inspected", uuid=key)
    try:
        found = actions.inspect(volume, by=request.user, again="again" in request.POST)
    except Refused as refused:
        messages.error(request, str(refused))
        return redirect(volume)
    return redirect(found)


@login_required
@require_POST
def clean(request: UserRequest, key: UUID) -> HttpResponse:
    """Make a copy of the disk without what is ticked."""
    found = find_or_404(_visible(request), request, "clean", uuid=key)
    try:
        made = actions.remove_found(
            found,
            by=request.user,
            paths=_ticked(request.POST.getlist("found")),
            create_key=UUID(request.POST.get("create_key", "")),
        )
    except ValueError:
        messages.error(request, "This page is out of date: load it again.")
        return redirect(found)
    except Refused as refused:
        messages.error(request, str(refused))
        return redirect(found)
    messages.success(
        request, f"A copy of {found.volume} without what you ticked is on its way: {made}."
    )
    return redirect(Inspection.objects.get(volume=made))


def _ticked(lines: list[str]) -> list[tuple[int, str]]:
    """Raises: ValueError."""
    pairs = (line.partition(":") for line in lines)
    return [(int(part), path) for part, _, path in pairs]

"""What is left of its maker in a disk, and the taking out of it."""

from uuid import UUID, uuid4

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db.models import QuerySet
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST, require_safe

from core.errors import Refused
from core.http import is_fragment
from marketplace import actions
from marketplace.models import Inspection
from registration.doors import UserRequest, find_or_404, path_to
from volumes.models import Access, Volume


def _visible(request: UserRequest) -> QuerySet[Inspection]:
    """A report is the owner's of the disk, and the administrators'."""
    rows = Inspection.objects.select_related("volume", "volume__owner")
    return rows if request.user.is_staff else rows.filter(volume__owner=request.user)


@login_required
@require_safe
def inspection(request: UserRequest, key: UUID) -> HttpResponse:
    found = find_or_404(_visible(request), request, uuid=key)
    context = {
        "inspection": found,
        "volume": found.volume,
        "is_owner": found.volume.access_of(request.user) == Access.OWN,
        "create_key": uuid4(),
        "back": path_to(request, ""),
    }
    name = "_inspection" if is_fragment(request) else "inspection"
    return render(request, f"marketplace/{name}.html", context)


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

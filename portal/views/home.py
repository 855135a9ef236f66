"""The first page: what there is, what is yours, and what waits for you."""

from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.db.models import Count
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_safe

from marketplace.models import Entry
from marketplace.search.finding import cards, loaded
from registration.models import User
from vms import actions
from vms.models import VM, CloudStatus
from vms.states import VmState
from volumes.models import Offer, Volume
from volumes.states import USABLE, VolumeState

CARDS = 6
ROWS = 8


@require_safe
def home(request: HttpRequest) -> HttpResponse:
    launchable = Entry.objects.visible_to(request.user).listed().launchable()
    keys = list(launchable.values_list("pk", flat=True)[:CARDS])  # of the narrow index
    context: dict[str, Any] = {"cards": cards(loaded(keys))}
    if request.user.is_authenticated:
        context |= _mine(request.user)
    return render(request, "home.html", context)


def _mine(user: Any) -> dict[str, Any]:
    mine = VM.objects.filter(owner=user).alive().for_rows()
    machines = list(mine[:ROWS])
    use = actions.machine_use(user)
    disk = actions.disk_use(user)
    clouds = list(CloudStatus.objects.order_by("pk"))
    return {
        "machines": machines,
        "machine_count": use[0].used,
        "quota": [*use, disk],
        "attention": _attention(user, clouds),
        "has_keys": user.ssh_keys.exists(),
        "disks": _disks(user, clouds),
    }


def _disks(user: Any, clouds: Sequence[CloudStatus]) -> dict[str, Any]:
    """How many disks a person keeps, and what the site lacks for that, in its own words."""
    status = next((one for one in clouds if one.cloud == settings.DEFAULT_CLOUD), None)
    kept = Volume.objects.filter(owner=user, state__in=USABLE).order_by()
    counts = dict(kept.values_list("state").annotate(Count("pk")))
    return {
        "count": sum(counts.values()),
        "in_use": counts.get(VolumeState.IN_USE, 0),
        "lacks": status.lacks.get("create_volume", "") if status else "",
    }


def _attention(user: Any, clouds: Sequence[CloudStatus]) -> list[dict[str, str]]:
    """What waits for this person, the most urgent first: text, url, action."""
    stuck = VM.objects.filter(owner=user, state__in=(VmState.FAILED, VmState.UNKNOWN)).for_rows()
    found = [
        {
            "text": f"{vm.name} is {vm.get_state_display()}. {vm.reason}",
            "url": vm.get_absolute_url(),
            "action": "Look at it",
        }
        for vm in stuck[:ROWS]
    ]
    if offers := Offer.objects.waiting_for(user).count():
        text = "A disk is offered to you." if offers == 1 else f"{offers} disks are offered to you."
        url = reverse("volumes:offers")
        found.append({"text": text, "url": url, "action": "Accept or decline"})
    if user.is_staff:
        if waiting := User.objects.waiting().count():
            noun = "registration waits" if waiting == 1 else "registrations wait"
            text = f"{waiting} {noun} for an administrator."
            url = reverse("registration:queue")
            found.append({"text": text, "url": url, "action": "Decide"})
        for status in (one for one in clouds if one.trouble):
            text = f"Cloud {status.cloud}: {status.trouble}"
            found.append({"text": text, "url": reverse("doctor"), "action": "Check the site"})
    return found

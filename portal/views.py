"""Pages that belong to no app, or to all."""

from typing import Any

import redis
from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.db import DatabaseError, connection
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.urls import reverse
from django.views.decorators.http import require_safe

from core.models import Event
from marketplace.models import Entry
from portal import doctor as checks
from registration.models import User
from vms import actions
from vms.models import VM, CloudStatus
from vms.states import VM_MEANINGS, VmState

CARDS = 6
ROWS = 8
EVENTS = 50


@require_safe
def home(request: HttpRequest) -> HttpResponse:
    entries = Entry.objects.visible_to(request.user).launchable()[:CARDS]
    context: dict[str, Any] = {"entries": entries}
    if request.user.is_authenticated:
        context |= _mine(request.user)
    return render(request, "home.html", context)


def _mine(user: Any) -> dict[str, Any]:
    mine = VM.objects.filter(owner=user).alive().for_rows()
    machines = list(mine[:ROWS])
    use = actions.machine_use(user)
    return {
        "machines": machines,
        "machine_count": use[0].used,
        "quota": use,
        "attention": _attention(user),
        "has_keys": user.ssh_keys.exists(),
        "disks": _disks(use[0].used),
    }


def _disks(machines: int) -> dict[str, Any]:
    """What a person's disks are on this site, and what the site lacks, in its own words."""
    status = CloudStatus.objects.filter(cloud=settings.DEFAULT_CLOUD).first()
    return {"count": machines, "lacks": status.lacks.get("create_volume", "") if status else ""}


def _attention(user: Any) -> list[dict[str, str]]:
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
    if user.is_staff:
        if waiting := User.objects.waiting().count():
            noun = "registration waits" if waiting == 1 else "registrations wait"
            text = f"{waiting} {noun} for an administrator."
            url = reverse("registration:queue")
            found.append({"text": text, "url": url, "action": "Decide"})
        for status in CloudStatus.objects.exclude(trouble=""):
            text = f"Cloud {status.cloud}: {status.trouble}"
            found.append({"text": text, "url": reverse("doctor"), "action": "Check the site"})
    return found


@require_safe
def healthz(request: HttpRequest) -> HttpResponse:
    """For whoever watches the portal: 200 if database and Redis answer, else 503."""
    broken = []
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError:
        broken.append("database")
    try:
        redis.Redis.from_url(settings.REDIS_URL, socket_timeout=1).ping()
    except redis.RedisError:
        broken.append("redis")
    return JsonResponse({"ok": not broken, "broken": broken}, status=503 if broken else 200)


def _administrators_only(request: HttpRequest) -> None:
    if not request.user.is_authenticated or not request.user.is_staff:
        raise Http404


@login_required
@require_safe
def doctor(request: HttpRequest) -> HttpResponse:
    """The self-test of the installation, for administrators."""
    _administrators_only(request)
    return render(request, "portal/doctor.html", {"checks": checks.run()})


@login_required
@require_safe
def audit(request: HttpRequest) -> HttpResponse:
    """Who did what, newest first, for administrators."""
    _administrators_only(request)
    events = Event.objects.select_related("by").order_by("-pk")
    subject = request.GET.get("q", "").strip()[:80]
    if subject:
        events = events.filter(by__username__iexact=subject) | events.filter(
            subject__icontains=subject
        )
    page = Paginator(events, EVENTS).get_page(request.GET.get("page"))
    query = request.GET.copy()
    query.pop("page", None)
    context = {"page": page, "q": subject, "query": query.urlencode()}
    return render(request, "portal/audit.html", context)


@require_safe
def guide(request: HttpRequest) -> HttpResponse:
    """First machine in a minute, and what the words mean."""
    meanings = [(state.value, state.label, VM_MEANINGS[state]) for state in VmState]
    return render(request, "portal/help.html", {"meanings": meanings})


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    return render(request, "404.html", status=404)


def broken(request: HttpRequest) -> HttpResponse:
    """Without context processors: what broke may be one of them."""
    context = {"reference": getattr(request, "reference", "")}
    return HttpResponse(render_to_string("500.html", context), status=500)

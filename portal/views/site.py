"""The installation itself: whether it is well, and how it is used."""

import redis
from django.conf import settings
from django.db import DatabaseError, connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from portal import api
from portal import doctor as checks
from registration.doors import UserRequest, administrators_only
from vms.states import VM_MEANINGS, VmState
from volumes.states import VOLUME_MEANINGS, VolumeState


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


@administrators_only
@require_safe
def doctor(request: UserRequest) -> HttpResponse:
    """The self-test of the installation, for administrators."""
    return render(request, "portal/doctor.html", {"checks": checks.run()})


@require_safe
def guide(request: HttpRequest) -> HttpResponse:
    """First machine in a minute, and what the words mean."""
    meanings = [(state.value, state.label, VM_MEANINGS[state]) for state in VmState]
    disks = [(state.value, state.label, VOLUME_MEANINGS[state]) for state in VolumeState]
    return render(request, "portal/help.html", {"meanings": meanings, "disk_meanings": disks})


@require_safe
def api_guide(request: HttpRequest) -> HttpResponse:
    """The API, operation by operation; made from what the API itself says."""
    context = {"operations": api.operations(), "api_url": f"{settings.PORTAL_URL}/api/v1"}
    return render(request, "portal/api.html", context)

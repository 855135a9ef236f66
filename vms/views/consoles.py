"""Consoles: the page, the grant, and the log."""

import uuid

from django.contrib.auth.decorators import login_required
from django.http import HttpResponse, JsonResponse
from django.shortcuts import render
from django.views.decorators.http import require_POST, require_safe

from cloud.errors import CloudError, NotFound
from core.errors import Refused
from core.http import UNPROCESSABLE
from registration.acting import who_acts
from vms import console, grants
from vms.states import VmState
from vms.views.door import UserRequest, find


@login_required
@require_safe
def console_page(request: UserRequest, key: uuid.UUID) -> HttpResponse:
    kind = "serial" if request.GET.get("kind") == "serial" else "screen"
    return render(request, "vms/console.html", {"vm": find(request, key), "kind": kind})


@login_required
@require_POST
def console_grant(request: UserRequest, key: uuid.UUID) -> HttpResponse:
    """A single-use grant for the console gateway, as JSON."""
    vm = find(request, key)
    kind = "serial" if request.POST.get("kind") == "serial" else "screen"
    if "console" not in vm.verbs:
        sentence = f"{vm} is {vm.get_state_display()}: it has no console now."
        return JsonResponse({"detail": sentence}, status=UNPROCESSABLE)
    session = request.session.session_key or ""
    acts = who_acts(request)
    grant = grants.Grant(
        request.user.pk, vm.token, kind, grants.digest(session), acts.pk if acts else None
    )
    try:
        return JsonResponse({"grant": grants.give(grant), "path": console.PATH})
    except Refused as refused:
        return JsonResponse({"detail": str(refused)}, status=503)


@login_required
@require_safe
def console_log(request: UserRequest, key: uuid.UUID) -> HttpResponse:
    """The end of the serial line's log, as plain text; the page makes it safe to look at."""
    vm = find(request, key)
    if vm.state == VmState.DONE:
        return HttpResponse(status=204)  # it went with the machine; who reads it still may go on
    status, text = 200, ""
    if vm.cloud_ref:
        try:
            text = console.tail(vm).decode("utf-8", "replace")
        except NotFound:
            text = ""  # it has just gone, and the log with it
        except CloudError as exc:
            status, text = 503, str(exc)
    return HttpResponse(text, content_type="text/plain; charset=utf-8", status=status)

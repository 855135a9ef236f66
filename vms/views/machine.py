"""One machine: its page, and what is asked of it."""

import uuid
from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpResponse, JsonResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from core.errors import Refused
from core.http import is_fragment, show
from core.models import Event
from marketplace.models import ImageFile
from vms import actions, history, sampling, saved, timeline
from vms.models import VM
from vms.views.door import UserRequest, find


@login_required
@require_safe
def detail(request: UserRequest, key: uuid.UUID) -> HttpResponse:
    vm = find(request, key)
    template = "vms/_detail.html" if is_fragment(request) else "vms/detail.html"
    return render(request, template, _detail_context(request, vm))


def _detail_context(request: UserRequest, vm: VM) -> dict[str, Any]:
    saving = vm.saved_as
    events = list(Event.objects.of(vm.uuid).select_related("by"))
    image = _image(vm)
    started = timeline.running_since(events)
    return {
        "vm": vm,
        "image_news": actions.image_news(vm, request.user),
        "history": history.told(events),
        "saving": saving,
        "saving_lines": saved.lines(saving),
        "steps": timeline.steps(vm, events, image),
        "milestones": timeline.milestones(vm.readiness, started),
        "running_since": started,
        "attributes": sorted(vm.attributes.items()),
        "ssh_key_lines": vm.ssh_keys.splitlines(),
    }


def _image(vm: VM) -> ImageFile | None:
    if vm.entry is None:
        return None
    return ImageFile.objects.filter(cloud=vm.cloud, identifier=vm.entry.identifier).first()


@login_required
@require_POST
def ask(request: UserRequest, key: uuid.UUID, verb: str) -> HttpResponse:
    vm = find(request, key, verb=verb)
    refusal = ""
    try:
        actions.VERBS[verb](vm, by=request.user)
    except Refused as refused:
        refusal = str(refused)
    return answer(request, key, refusal)


def answer(request: UserRequest, key: uuid.UUID, refusal: str = "") -> HttpResponse:
    """What changes with what was asked: a row of the list, or all of the machine's page."""
    vm = find(request, key)
    if request.POST.get("in") == "row":
        return show(request, "vms/_row.html", {"vm": vm}, page=reverse("vms:list"), refusal=refusal)
    page = vm.get_absolute_url()
    return show(
        request, "vms/_detail.html", _detail_context(request, vm), page=page, refusal=refusal
    )


@login_required
@require_safe
def usage(request: UserRequest, key: uuid.UUID) -> HttpResponse:
    """What the plots draw, as JSON."""
    vm = find(request, key)
    return JsonResponse(sampling.series(vm.samples.order_by("at")))

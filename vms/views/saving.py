"""A machine that is to become an image: said how, called off, or switched off for it."""

import uuid
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST

from core.errors import Refused
from core.http import UNPROCESSABLE
from marketplace import actions as marketplace
from registration.doors import answers, find_or_404
from vms import actions
from vms.forms.saving import FIELDS, SaveForm, image_defaults
from vms.models import VM
from vms.states import VmState
from vms.views.door import UserRequest
from vms.views.machine import answer

_WAYS = {
    VmState.RUNNING: "shut_down",
    VmState.UNKNOWN: "save",
}


def _find(request: UserRequest, key: uuid.UUID, verb: str = "") -> VM:
    """One's own: an image is signed in its owner's name."""
    own = VM.objects.for_rows().filter(owner=request.user)
    return find_or_404(own, request, verb, uuid=key)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def save(request: UserRequest, key: uuid.UUID) -> HttpResponse:
    """What the image is called; then the machine is shut down and saved, or only planned to be."""
    vm = _find(request, key, "save" if request.method == "POST" else "")
    form = SaveForm(answers(request), initial=_known(vm))
    if form.is_valid() and _asked(request, vm, form):
        return redirect(vm)
    context = {
        "vm": vm,
        "saving": vm.saved_as,
        "form": form,
        "way": _WAYS.get(VmState(vm.state), ""),
        "days": settings.PORTAL_SAVED_IMAGE_DAYS,
    }
    return render(request, "vms/save.html", context, status=UNPROCESSABLE if form.is_bound else 200)


def _known(vm: VM) -> dict[str, Any]:
    """What was planned; else what the profile and the base say."""
    saving = vm.saved_as
    if saving is not None:
        return {name: getattr(saving, name) for name in FIELDS}
    base = vm.entry or marketplace.base_of(vm.root_disk, vm.owner)
    return dict(image_defaults(vm.owner, base))


def _asked(request: UserRequest, vm: VM, form: SaveForm) -> bool:
    try:
        if request.POST.get("go") == "plan":
            actions.plan_saving(vm, form.image, by=request.user)
            messages.success(request, f"When {vm} is shut down, it becomes {form.image.title}.")
        else:
            actions.save(vm, form.image, by=request.user)
    except Refused as refused:
        form.refuse(refused)
        return False
    return True


@login_required
@require_POST
def drop(request: UserRequest, key: uuid.UUID) -> HttpResponse:
    vm = _find(request, key, "drop_saving")
    refusal = ""
    try:
        actions.drop_saving(vm, by=request.user)
    except Refused as refused:
        refusal = str(refused)
    return answer(request, key, refusal)


@login_required
@require_POST
def save_planned(request: UserRequest, key: uuid.UUID, *, power_off: bool = False) -> HttpResponse:
    """As it is planned; ``power_off``: without asking the guest."""
    vm = _find(request, key, "power_off" if power_off else "save")
    refusal = ""
    try:
        actions.save(vm, None, by=request.user, power_off=power_off)
    except Refused as refused:
        refusal = str(refused)
    return answer(request, key, refusal)

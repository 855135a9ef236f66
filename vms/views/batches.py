"""Batches: machines that were launched together."""

import uuid
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST, require_safe

from core.http import is_fragment
from registration.doors import find_or_404
from vms import actions, progress
from vms.batches.exports import FORMATS
from vms.models import VM, Batch
from vms.views.door import UserRequest

ROWS = 25
#: What is asked of a whole batch.
VERBS = {"shut_down": "Shut down", "kill": "Kill"}


@login_required
@require_safe
def index(request: UserRequest) -> HttpResponse:
    """Batches, the newest first."""
    batches = Batch.objects.visible_to(request.user).select_related("owner")
    page = Paginator(batches, ROWS).get_page(request.GET.get("page"))
    counted = progress.counts([batch.pk for batch in page])
    context = {"page": page, "rows": [(batch, counted[batch.pk]) for batch in page]}
    return render(request, "vms/batches.html", context)


@login_required
@require_safe
def detail(request: UserRequest, key: uuid.UUID) -> HttpResponse:
    """How far its machines are: one line for each."""
    template = "vms/_batch.html" if is_fragment(request) else "vms/batch.html"
    return render(request, template, _context(_find(request, key)))


def _context(batch: Batch) -> dict[str, Any]:
    machines = list(VM.objects.filter(batch=batch).for_rows().order_by("pk"))
    return {
        "batch": batch,
        "lines": [progress.line(vm) for vm in machines],
        "progress": progress.together(batch.created_at, machines),
        "verbs": {verb: sum(verb in vm.verbs for vm in machines) for verb in (*VERBS, "save")},
        "formats": FORMATS.items(),
    }


@login_required
@require_POST
def ask(request: UserRequest, key: uuid.UUID, verb: str) -> HttpResponse:
    """Shut down or kill all of its machines that may be asked."""
    batch = _find(request, key, verb=verb)
    machines = [vm for vm in VM.objects.filter(batch=batch).for_rows() if verb in vm.verbs]
    done, refusals = actions.ask_many(machines, verb, by=request.user)
    if done:
        plural = "" if done == 1 else "s"
        messages.success(request, f"{VERBS[verb]}: asked of {done} machine{plural}.")
    for refused in refusals:
        messages.error(request, str(refused))
    if not machines:
        messages.error(request, "No machine of this batch can be asked that now.")
    return redirect(batch)


def _find(request: UserRequest, key: uuid.UUID, *, verb: str = "") -> Batch:
    batches = Batch.objects.visible_to(request.user).select_related("owner")
    batch: Batch = find_or_404(batches, request, verb, uuid=key)
    return batch

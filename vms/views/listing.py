"""The list of machines, and what is asked of several at once."""

import uuid
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.db.models import Count
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST, require_safe

from core.http import is_fragment
from vms import actions
from vms.forms import BulkForm
from vms.models import VM
from vms.states import VmState
from vms.views.door import UserRequest, find

ROWS = 25
#: Sort words of the list, each a column and its fallback.
SORTS = {
    "id": ("pk",),
    "name": ("name", "pk"),
    "state": ("state", "-pk"),
    "cpu": ("cpu_percent", "-pk"),
    "memory": ("memory_mib", "-pk"),
    "age": ("-created_at",),
}


@login_required
@require_safe
def index(request: UserRequest) -> HttpResponse:
    template = "vms/_list.html" if is_fragment(request) else "vms/list.html"
    return render(request, template, _list_context(request))


def _list_context(request: UserRequest) -> dict[str, Any]:
    everything = VM.objects.visible_to(request.user)
    counts = dict(everything.values_list("state").annotate(Count("pk")))
    alive = sum(count for state, count in counts.items() if state != VmState.DONE)
    wanted = request.GET.get("state", "")
    text = request.GET.get("q", "").strip()[:200]
    rows = everything.for_rows().search(text)
    rows = rows.filter(state=wanted) if wanted in VmState.values else (
        rows if wanted == "all" else rows.alive()
    )  # fmt: skip
    if request.user.is_staff and request.GET.get("mine"):
        rows = rows.filter(owner=request.user)
    sort = request.GET.get("sort", "-id")
    rows = rows.order_by(*_order(sort))
    query = request.GET.copy()
    query.pop("page", None)
    return {
        "page": Paginator(rows, ROWS).get_page(request.GET.get("page")),
        "query": query.urlencode(),
        "q": text,
        "sort": sort,
        "state": wanted,
        "states": [(s.value, s.label, counts.get(s.value, 0)) for s in VmState],
        "alive": alive,
        "total": sum(counts.values()),
        "is_filtered": bool(text or wanted or request.GET.get("mine")),
        "mine": bool(request.GET.get("mine")),
        "names": bool(request.GET.get("names")),
    }


def _order(sort: str) -> tuple[str, ...]:
    columns = SORTS.get(sort.lstrip("-"), SORTS["id"])
    if sort.startswith("-"):
        return tuple(c[1:] if c.startswith("-") else f"-{c}" for c in columns)
    return columns


@login_required
@require_safe
def row(request: UserRequest, key: uuid.UUID) -> HttpResponse:
    """One line of the list."""
    names = bool(request.GET.get("names"))
    return render(request, "vms/_row.html", {"vm": find(request, key), "names": names})


@login_required
@require_POST
def bulk(request: UserRequest) -> HttpResponse:
    """Shut down or kill a selection, or a pasted list of ids."""
    form = BulkForm(request.POST)
    if not form.is_valid():
        messages.error(request, "Choose machines, and what is to happen to them.")
        return redirect("vms:list")
    vms = _chosen(request, form)
    done, refusals = actions.ask_many(vms, form.cleaned_data["verb"], by=request.user)
    verb = dict(form.fields["verb"].choices)[form.cleaned_data["verb"]]  # type: ignore[attr-defined]
    if done:
        messages.success(request, f"{verb}: asked of {done} machine{'s' if done != 1 else ''}.")
    for refused in refusals[:5]:
        messages.error(request, str(refused))
    if not vms:
        messages.error(request, "None of these ids names a machine of yours.")
    return redirect("vms:list")


def _chosen(request: UserRequest, form: BulkForm) -> list[VM]:
    mine = VM.objects.visible_to(request.user).for_rows()
    words = form.cleaned_data["ids"].replace(",", " ").split()
    numbers = [int(word) for word in words if word.isdecimal() and len(word) < 18]
    by_uuid = mine.filter(uuid__in=form.cleaned_data["vm"])
    return list((by_uuid | mine.filter(pk__in=numbers)).distinct())

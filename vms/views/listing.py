"""The list of machines, and what is asked of several at once."""

import uuid
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.db.models import Count
from django.http import HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST, require_safe

from core.http import is_fragment
from registration.models import User
from vms import actions
from vms.batches.exports import FORMATS
from vms.forms import BulkForm
from vms.models import VM, VMQuerySet
from vms.states import VmState
from vms.views.door import UserRequest, find

ROWS = 25
#: Refusals that are shown one by one.
MOST_TOLD = 50
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
    rows = filtered(request.user, request.GET).for_rows()
    sort = request.GET.get("sort", "-id")
    rows = rows.order_by(*_order(sort))
    query = request.GET.copy()
    query.pop("page", None)
    return {
        "page": Paginator(rows, ROWS).get_page(request.GET.get("page")),
        "query": query.urlencode(),
        "q": _text(request.GET),
        "sort": sort,
        "state": wanted,
        "states": [(s.value, s.label, counts.get(s.value, 0)) for s in VmState],
        "alive": alive,
        "total": sum(counts.values()),
        "is_filtered": bool(_text(request.GET) or wanted or request.GET.get("mine")),
        "mine": bool(request.GET.get("mine")),
        "names": bool(request.GET.get("names")),
        "formats": FORMATS.items(),
    }


def filtered(user: User, asked: QueryDict) -> VMQuerySet:
    """What the filters of the list leave of the machines that ``user`` may see."""
    rows = VM.objects.visible_to(user).search(_text(asked))
    wanted = asked.get("state", "")
    if wanted in VmState.values:
        rows = rows.filter(state=wanted)
    elif wanted != "all":
        rows = rows.alive()
    if user.is_staff and asked.get("mine"):
        rows = rows.filter(owner=user)
    return rows


def _text(asked: QueryDict) -> str:
    return asked.get("q", "").strip()[:200]


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
    for refused in refusals[:MOST_TOLD]:
        messages.error(request, str(refused))
    if len(refusals) > MOST_TOLD:
        messages.error(request, f"{len(refusals) - MOST_TOLD} more were refused.")
    if not vms:
        messages.error(request, "None of these ids names a machine of yours.")
    return redirect("vms:list")


def _chosen(request: UserRequest, form: BulkForm) -> list[VM]:
    mine = VM.objects.visible_to(request.user).for_rows()
    words = form.cleaned_data["ids"].replace(",", " ").split()
    numbers = [int(word) for word in words if word.isdecimal() and len(word) < 18]
    by_uuid = mine.filter(uuid__in=form.cleaned_data["vm"])
    return list((by_uuid | mine.filter(pk__in=numbers)).distinct())

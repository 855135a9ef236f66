"""The table of disks."""

import uuid
from typing import Any

from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from core.http import is_fragment, query_without
from volumes import table
from volumes.models import DiskType, Visibility, Volume
from volumes.states import UNLISTED
from volumes.views.door import UserRequest, find

ROWS = 25


@login_required
@require_safe
def index(request: UserRequest) -> HttpResponse:
    asked = table.Asked.of(request.GET, request.user)
    if request.GET.get("part") == "tabs":
        return render(request, "volumes/_tabs.html", tabs_context(request, asked))
    template = "volumes/_list.html" if is_fragment(request) else "volumes/list.html"
    return render(request, template, _list_context(request, asked))


def tabs_context(request: UserRequest, asked: table.Asked) -> dict[str, Any]:
    counts = table.counts(request.user)
    tabs = [(tab, label, counts[tab]) for tab, label in table.tabs_of(request.user)]
    return {
        "asked": asked,
        "tabs": tabs,
        "total": counts[asked.tab],
        "kept": query_without(request, "tab", "page", "part"),
        "binned": table.rows_of(request.user, table.BIN).count(),
    }


def _list_context(request: UserRequest, asked: table.Asked) -> dict[str, Any]:
    tabs = tabs_context(request, asked)
    rows = table.ordered(table.chosen(request.user, asked), asked.sort)
    paginator = Paginator(rows.values_list("pk", flat=True), ROWS)
    if not asked.is_filtered:
        paginator.count = tabs["total"]  # known already
    page = paginator.get_page(request.GET.get("page"))
    return tabs | {
        "page": page,
        "rows": table.shown(table.loaded(page.object_list), request.user),
        "states": [(state.value, state.label) for state in table.LISTED],
        "visibilities": Visibility.choices,
        "types": DiskType.choices,
        "sort": asked.sort,
        "query": query_without(request, "page", "part"),
        "filters": query_without(request, "page", "part", "sort"),
    }


@login_required
@require_safe
def row(request: UserRequest, key: uuid.UUID) -> HttpResponse:
    """One line of the table; nothing of a disk that the table no longer has."""
    volume = find(request, key)
    if volume.state in UNLISTED:
        raise Http404
    return row_of(request, volume)


def row_of(request: UserRequest, volume: Volume, refusal: str = "") -> HttpResponse:
    [shown] = table.shown([volume], request.user)
    status = 422 if refusal else 200
    context = {"row": shown, "refusal": refusal}
    return render(request, "volumes/_row.html", context, status=status)

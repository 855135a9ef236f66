"""The list of users, for administrators."""

from typing import Any

from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import HttpResponse, StreamingHttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from core.http import csv_answer, query_without
from registration import names
from registration.doors import UserRequest, administrators_only
from registration.models import User
from registration.states import AccountState
from vms import people

ROWS = 25


@administrators_only
@require_safe
def index(request: UserRequest) -> HttpResponse:
    everybody = User.objects.visible_to(request.user)
    found, asked = _chosen(request)
    counts = everybody.count_by_state()
    page = Paginator(found, ROWS).get_page(request.GET.get("page"))
    context = asked | {
        "page": page,
        "rows": people.rows(list(page.object_list)),
        "states": [
            (state.value, state.label, counts.get(state.value, 0)) for state in AccountState
        ],
        "onlies": people.ONLY.items(),
        "total": sum(counts.values()),
        "query": query_without(request, "page"),
        "filters": query_without(request, "page", "sort"),
    }
    return render(request, "vms/people.html", context)


@administrators_only
@require_safe
def table(request: UserRequest) -> StreamingHttpResponse:
    """The same list, all of it, as CSV."""
    found, _ = _chosen(request)
    return csv_answer(request, f"users-{timezone.now():%Y-%m-%d}", people.table(found))


def _chosen(request: UserRequest) -> tuple["QuerySet[User]", dict[str, Any]]:
    asked = {name: request.GET.get(name, "") for name in ("state", "only", "sort")}
    asked["sort"] = asked["sort"] or people.FIRST
    text = names.one_line(request.GET.get("q", ""))[:100]
    found = people.chosen(
        User.objects.visible_to(request.user), state=asked["state"], only=asked["only"], text=text
    )
    return people.ordered(found, asked["sort"]), asked | {"q": text}

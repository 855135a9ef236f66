"""Other catalogues that entries come from. Administrators' own."""

import uuid
from typing import Any

from django.contrib import messages
from django.core.paginator import Paginator
from django.db.models import Count, Q, QuerySet
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from core.errors import Refused
from core.http import UNPROCESSABLE
from marketplace import actions
from marketplace.forms.sources import SourceForm, shown
from marketplace.models import Entry, Source
from registration.doors import UserRequest, administrators_only, answers, find_or_404

_PARTS = {
    "row": "marketplace/_source_row.html",
    "state": "marketplace/_source.html",
    "acts": "marketplace/_source_head.html",
}
#: Entries of a source on one page.
ROWS = 50
_VERBS = ("on", "off", "import", "remove")


@administrators_only
@require_safe
def index(request: UserRequest) -> HttpResponse:
    sources = _counted(Source.objects.visible_to(request.user)).order_by("name")
    is_list = request.GET.get("part") == "list"
    template = "marketplace/_sources.html" if is_list else "marketplace/sources.html"
    return render(request, template, {"sources": sources})


@administrators_only
@require_http_methods(["GET", "HEAD", "POST"])
def add(request: UserRequest) -> HttpResponse:
    form = SourceForm(answers(request))
    if form.is_valid():
        try:
            source = actions.add_source(form.wish(), by=request.user)
        except Refused as refused:
            form.refuse(refused)
        else:
            messages.success(request, f"{source} is added. Switch it on, and its import begins.")
            return redirect(source)
    return _page(request, "marketplace/source_new.html", {"form": form, "crumbs": _crumbs()})


@administrators_only
@require_http_methods(["GET", "HEAD", "POST"])
def source(request: UserRequest, key: uuid.UUID) -> HttpResponse:
    known = _find(request, key)
    if request.GET.get("part") in _PARTS:
        return render(request, _PARTS[request.GET["part"]], {"source": known})
    form = SourceForm(answers(request), initial=shown(known))
    if form.is_valid():
        try:
            actions.change_source(known, form.wish(), by=request.user)
        except Refused as refused:
            form.refuse(refused)
        else:
            messages.success(request, f"{known} is saved. Its next import follows it.")
            return redirect(known)
    context = {"source": known, "form": form, "crumbs": _crumbs()}
    return _page(request, "marketplace/source.html", context)


@administrators_only
@require_safe
def entries(request: UserRequest, key: uuid.UUID) -> HttpResponse:
    """What came from it: of each image the last word, those that came last first."""
    known = _find(request, key)
    rows = Entry.objects.visible_to(request.user).filter(source=known).newest().order_by("-pk")
    context = {
        "source": known,
        "page": Paginator(rows, ROWS).get_page(request.GET.get("page")),
        "crumbs": [*_crumbs(), {"label": known.name, "url": known.get_absolute_url()}],
    }
    return render(request, "marketplace/source_entries.html", context)


@administrators_only
@require_POST
def act(request: UserRequest, key: uuid.UUID, verb: str) -> HttpResponse:
    """Switch on or off, import now, or remove."""
    known = _find(request, key)
    if verb not in _VERBS:
        raise Http404
    try:
        messages.success(request, _act(request, known, verb))
    except Refused as refused:
        messages.error(request, str(refused))
        return redirect(known)
    back = request.POST.get("back") == "list" or verb == "remove"
    return redirect("marketplace:sources") if back else redirect(known)


def _act(request: UserRequest, known: Source, verb: str) -> str:
    """Do it, and say what was done."""
    by = request.user
    match verb:
        case "remove":
            actions.remove_source(known, by=by)
            return f"{known.name} is removed."
        case "import":
            actions.import_source(known, by=by)
            return f"The import from {known} begins. What it finds is listed as it comes in."
        case "on":
            actions.switch_source(known, is_on=True, by=by)
            return f"{known} is switched on, and its first import begins."
    actions.switch_source(known, is_on=False, by=by)
    return f"{known} is switched off. The entries that came from it stay until they expire."


def _find(request: UserRequest, key: uuid.UUID) -> Source:
    return find_or_404(_counted(Source.objects.visible_to(request.user)), request, uuid=key)


def _counted(sources: QuerySet[Source]) -> QuerySet[Source]:
    """With how many entries came from each, and how many of them are good now."""
    good = Q(
        entries__is_latest=True, entries__deprecated="", entries__valid_until__gt=timezone.now()
    )
    return sources.annotate(entry_count=Count("entries"), valid_count=Count("entries", filter=good))


def _crumbs() -> list[dict[str, str]]:
    return [{"label": "Sources of images", "url": reverse("marketplace:sources")}]


def _page(request: UserRequest, template: str, context: dict[str, Any]) -> HttpResponse:
    return render(
        request, template, context, status=UNPROCESSABLE if context["form"].is_bound else 200
    )

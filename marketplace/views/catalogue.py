"""The catalogue's pages. Everybody may read them; launching asks to sign in."""

from urllib.parse import urlencode

from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from marketplace.models import Entry, EntryQuerySet
from marketplace.states import EntryStatus

PAGE_SIZE = 24
LONGEST_SEARCH = 200
ANY_STATUS = "all"
STATUSES = [
    (EntryStatus.VALID.value, "Valid now"),
    (EntryStatus.EXPIRED.value, "Expired"),
    (EntryStatus.DEPRECATED.value, "Deprecated"),
    (ANY_STATUS, "Any status"),
]


@require_safe
def catalogue(request: HttpRequest) -> HttpResponse:
    listed = Entry.objects.visible_to(request.user).listed().newest()
    asked = _asked(request)
    of_status = listed.with_status(asked["status"])
    hits = _search(of_status, asked["q"]).best_first()
    for name, column in (("os", "os"), ("arch", "os_arch")):
        if asked[name]:
            hits = hits.filter(**{column: asked[name]})
    page = Paginator(hits, PAGE_SIZE).get_page(request.GET.get("page"))
    context = {
        "page": page,
        "asked": asked,
        "query": urlencode({name: value for name, value in asked.items() if value}),
        "statuses": STATUSES,
        "is_empty": not page.paginator.count and not listed.exists(),
        **_facets(of_status),
    }
    return render(request, "marketplace/catalogue.html", context)


def _asked(request: HttpRequest) -> dict[str, str]:
    """What the address asks for; what makes no sense is as if it were not there."""
    status = request.GET.get("status", "")
    asked = {
        name: request.GET.get(name, "").replace("\0", "").strip() for name in ("q", "os", "arch")
    }
    return {
        **{name: value[:LONGEST_SEARCH] for name, value in asked.items()},
        "status": status if status in dict(STATUSES) else EntryStatus.VALID.value,
    }


def _facets(entries: EntryQuerySet) -> dict[str, list[str]]:
    pairs = list(entries.order_by().values_list("os", "os_arch").distinct())
    systems, architectures = zip(*pairs, strict=True) if pairs else ((), ())
    return {
        "systems": sorted({name for name in systems if name}, key=str.casefold),
        "architectures": sorted({name for name in architectures if name}),
    }


def _search(rows: EntryQuerySet, text: str) -> EntryQuerySet:
    for word in text.casefold().split()[:12]:
        rows = rows.filter(words__contains=word)
    return rows

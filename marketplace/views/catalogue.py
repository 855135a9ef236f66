"""The catalogue. Everybody may read it; launching asks to sign in, and then goes on."""

import re
from typing import Any
from urllib.parse import parse_qsl

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from marketplace.models import Entry
from marketplace.search.asked import NEWEST, RELEVANCE, SORT_LABELS, Asked
from marketplace.search.finding import Found, cards, find
from marketplace.views import sidebar

#: Entries on a page of each view.
SIZES = {"cards": 24, "table": 50}
#: How other searches are told to leave a word out.
_MINUS = re.compile(r"(?:^|\s)[-\u2212]([^\W_]\S*)")


@require_safe
def catalogue(request: HttpRequest) -> HttpResponse:
    asked = Asked.of(request.GET)
    found = find(asked, request.user, page=request.GET.get("page"), size=SIZES[asked.view])
    return render(request, "marketplace/catalogue.html", _context(request, found))


def _context(request: HttpRequest, found: Found) -> dict[str, Any]:
    asked = found.asked
    filters = list(sidebar.filters(asked))
    return {
        "asked": asked,
        "page": found.page,
        "total": found.counts.total,
        "cards": cards(found.entries),
        "facets": sidebar.facets(asked, found.counts),
        "filters": filters,
        "pairs": parse_qsl(asked.query),
        "words_url": f"?{Asked(q=asked.q, view=asked.view).query}"
        if asked.q and filters[1:]
        else "",
        "minus": match[1] if (match := _MINUS.search(asked.q)) else "",
        "sorted_by": asked.order,
        "but_sorted": asked.with_(sort="").removeprefix("?"),
        "instead_of": found.instead_of,
        "exactly": asked.with_(q=found.instead_of, exact=True) if found.instead_of else "",
        "meant": found.meant,
        "meant_url": f"?{Asked(q=found.meant, view=asked.view).query}",
        "sorts": _sorts(asked),
        "cards_url": asked.with_(view="cards"),
        "table_url": asked.with_(view="table"),
        "query": asked.query,
        "is_empty": not found.counts.total and not _has_any(request),
    }


def _has_any(request: HttpRequest) -> bool:
    return Entry.objects.visible_to(request.user).listed().newest().exists()


def _sorts(asked: Asked) -> list[tuple[str, str, bool]]:
    """Sort word, what it means, and whether it counts now."""
    words = dict(SORT_LABELS)
    if asked.has_words:
        words = {RELEVANCE: "Best match first", **words}
    default = RELEVANCE if asked.has_words else NEWEST
    return [
        ("" if word == default else word, label, word == asked.order)
        for word, label in words.items()
    ]

"""The catalogue's pages. Everybody may read them; launching asks to sign in."""

from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_safe

from marketplace.models import CREATED_FORMAT, Entry, EntryQuerySet, ImageFile
from marketplace.states import EntryStatus
from registration.doors import find_or_404

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
    hits = of_status.search(asked["q"]).best_first()
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


@require_safe
def entry(request: HttpRequest, identifier: str) -> HttpResponse:
    """What is said about one image: by the site, else by whoever said it last."""
    said = Entry.objects.visible_to(request.user).filter(identifier=identifier)
    shown = said.launchable().first() or said.newest().best_first().first()
    if shown is None:
        raise Http404("No such image.")
    return _show(request, shown, said)


@require_safe
def endorsement(request: HttpRequest, identifier: str, email: str, created: str) -> HttpResponse:
    """One endorsement by its full key, the newest or an older one."""
    said = Entry.objects.visible_to(request.user).filter(identifier=identifier)
    shown = find_or_404(said, request, endorser_email=email, created_at=_instant(created))
    return _show(request, shown, said)


def _instant(text: str) -> datetime:
    try:
        return datetime.strptime(text, CREATED_FORMAT).replace(tzinfo=UTC)
    except ValueError:
        raise Http404("No such time.") from None


def _show(request: HttpRequest, shown: Entry, said: EntryQuerySet) -> HttpResponse:
    copies = ImageFile.objects.visible_to(request.user).filter(identifier=shown.identifier)
    context: dict[str, Any] = {
        "entry": shown,
        "history": said.history(),
        "is_latest": said.newest().filter(pk=shown.pk).exists(),
        "can_launch": said.launchable().exists(),
        "copies": copies.order_by("cloud"),
        "crumbs": [{"label": "Marketplace", "url": reverse("marketplace:catalogue")}],
    }
    return render(request, "marketplace/entry.html", context)


@login_required
@require_safe
def copy(request: HttpRequest, key: str) -> HttpResponse:
    """How far the copy of an image in one cloud is; a live page fetches it again and again."""
    image = find_or_404(ImageFile.objects.visible_to(request.user), request, uuid=key)
    return render(request, "marketplace/_copy.html", {"image": image})

"""The pages of one image: what is said about it, by whom, since when."""

from datetime import UTC, datetime
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_safe

from marketplace.models import CREATED_FORMAT, Entry, EntryQuerySet, ImageFile
from registration.doors import find_or_404


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

"""The one shape of a page on which something is asked of a disk."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse

from core.errors import Refused
from core.http import UNPROCESSABLE
from volumes.asking import must
from volumes.models import Volume
from volumes.views.door import UserRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What the page says around its form. ``notes`` say what it means, one sentence each."""

    heading: str
    submit: str
    notes: Sequence[str] = ()
    is_destructive: bool = False


def turned_away(request: UserRequest, volume: Volume, verb: str) -> HttpResponse | None:
    """Back to the disk's page with the reason, if this cannot be asked of it now."""
    try:
        must(volume, verb, by=request.user)
    except Refused as refused:
        messages.error(request, str(refused))
        return redirect(volume)
    return None


def ask(
    request: UserRequest,
    volume: Volume,
    form: Any,
    question: Question,
    *,
    template: str = "volumes/ask.html",
    **more: Any,
) -> HttpResponse:
    status = UNPROCESSABLE if form.is_bound else 200
    context = {
        "volume": volume,
        "form": form,
        "question": question,
        "crumbs": crumbs_of(volume),
        **more,
    }
    return render(request, template, context, status=status)


def crumbs_of(volume: Volume) -> list[dict[str, str]]:
    return [
        {"label": "Disks", "url": reverse("volumes:list")},
        {"label": str(volume), "url": volume.get_absolute_url()},
    ]

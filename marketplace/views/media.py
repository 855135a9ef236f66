"""Which form of an answer is wanted, and how "not found" is said in it. Source: stratuslab.md 6.5.

``?media=`` is for who cannot say it in ``Accept``, and counts more.
"""

from collections.abc import Callable
from enum import StrEnum
from functools import update_wrapper
from typing import Any, Concatenate, ParamSpec
from xml.sax.saxutils import escape

from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.http.response import HttpResponseBase
from django.utils.cache import patch_vary_headers

P = ParamSpec("P")

NO_ENTRY = "metadata entry not found."
NO_MATCH = "no metadata matching query found"


class Media(StrEnum):
    HTML = "html"
    XML = "xml"
    JSON = "json"


#: What answers are made of, the dearest first: who accepts anything reads a page.
ACCEPTED = {
    "text/html": Media.HTML,
    "application/xhtml+xml": Media.HTML,
    "application/rdf+xml": Media.XML,
    "application/xml": Media.XML,
    "text/xml": Media.XML,
    "application/sparql-results+xml": Media.XML,
    "application/json": Media.JSON,
    "application/rdf+json": Media.JSON,
}


class NotFound(Http404):
    """``str(error)`` is what StratusLab's clients read."""


def media_of(request: HttpRequest) -> Media:
    """The form that is asked for; a page, if none of ours is."""
    asked = request.GET.get("media", "").lower()
    if asked in {media.value for media in Media}:
        return Media(asked)
    preferred = request.get_preferred_type(list(ACCEPTED))
    return ACCEPTED[preferred] if preferred else Media.HTML


def error(media: Media, message: str, *, status: int = 404) -> HttpResponse:
    """A refusal as programs read it, with the status as the key in JSON."""
    if media is Media.JSON:
        return JsonResponse({str(status): message}, status=status)
    body = f'<?xml version="1.0" encoding="UTF-8"?>\n<error>{escape(message)}</error>\n'
    return HttpResponse(body, status=status, content_type="application/xml; charset=utf-8")


def negotiated(
    view: Callable[Concatenate[HttpRequest, Media, P], HttpResponseBase],
) -> Callable[Concatenate[HttpRequest, P], HttpResponseBase]:
    """Tell the view which form is wanted; say in that form that there is no such thing."""

    def answered(request: HttpRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponseBase:
        media = media_of(request)
        try:
            response = view(request, media, *args, **kwargs)
        except Http404 as missing:
            if media is Media.HTML:
                raise
            said = str(missing) if isinstance(missing, NotFound) else NO_ENTRY
            response = error(media, said)
        _vary(response)
        return response

    return update_wrapper(answered, view)


def _vary(response: Any) -> None:
    patch_vary_headers(response, ["Accept"])

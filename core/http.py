"""What every page needs: a reference id, and one way to answer an action."""

import re
import secrets
from collections.abc import Awaitable, Callable
from typing import Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.http import url_has_allowed_host_and_scheme

from core.logs import request_id

UNPROCESSABLE = 422
_GIVEN = re.compile(r"[A-Za-z0-9_-]{8,64}")


class RequestIdMiddleware:
    """Give each request an id: in the log, in ``X-Request-ID``, and on error pages."""

    async_capable = True
    sync_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        self.get_response = get_response
        self.is_async = iscoroutinefunction(get_response)
        if self.is_async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> Any:
        given = request.headers.get("X-Request-ID", "")
        reference = given if _GIVEN.fullmatch(given) else secrets.token_hex(6)
        request.reference = reference  # type: ignore[attr-defined]
        if self.is_async:
            return self._acall(request, reference)
        request_id.set(reference)
        response = self.get_response(request)
        response["X-Request-ID"] = reference
        return response

    async def _acall(self, request: HttpRequest, reference: str) -> HttpResponse:
        request_id.set(reference)
        answer: Awaitable[HttpResponse] = self.get_response(request)
        response = await answer
        response["X-Request-ID"] = reference
        return response


class PlainTextMiddleware:
    """Refuse NUL in an address or a query: no text of ours has it, and PostgreSQL stores none."""

    async_capable = True
    sync_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        self.get_response = get_response
        self.is_async = iscoroutinefunction(get_response)
        if self.is_async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> Any:
        if "\0" not in request.path and "%00" not in request.META.get("QUERY_STRING", ""):
            return self.get_response(request)
        refusal = HttpResponse("An address has no NUL in it.", status=400)
        return self._refuse(refusal) if self.is_async else refusal

    async def _refuse(self, refusal: HttpResponse) -> HttpResponse:
        return refusal


def is_fragment(request: HttpRequest) -> bool:
    """Whether the page's own script asks, and wants a fragment instead of a page."""
    return request.headers.get("X-Requested-With") == "fetch"


def show(
    request: HttpRequest, fragment: str, context: dict[str, Any], *, page: str, refusal: str = ""
) -> HttpResponse:
    """Answer an action with its fragment; without script, go back to ``page`` (a URL).

    A refusal appears inside the fragment (``refusal``), or as a message on the page.
    """
    if is_fragment(request):
        status = UNPROCESSABLE if refusal else 200
        return render(request, fragment, context | {"refusal": refusal}, status=status)
    if refusal:
        messages.error(request, refusal)
    return redirect(page)


def safe_next(request: HttpRequest, default: str) -> str:
    """``next`` from the request if it stays on this site, else ``default``."""
    url = request.POST.get("next") or request.GET.get("next") or ""
    allowed = url_has_allowed_host_and_scheme(
        url, allowed_hosts={request.get_host()}, require_https=request.is_secure()
    )
    return url if allowed else default

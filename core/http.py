"""What every page needs: a reference id, and one way to answer an action."""

import csv
import re
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from itertools import chain, islice
from typing import Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction, sync_to_async
from django.contrib import messages
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
from django.shortcuts import redirect, render
from django.utils.http import url_has_allowed_host_and_scheme

from core.logs import given_id, request_id

UNPROCESSABLE = 422
_GIVEN = re.compile(r"[A-Za-z0-9_-]{8,64}")


class RequestIdMiddleware:
    """Give each request an id: in the log, in ``X-Request-ID``, on error pages, in the audit.

    It is always ours: with one of their choice, somebody could pass their acts off as another's.
    An id that came with the request is in the log beside it.
    """

    async_capable = True
    sync_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        self.get_response = get_response
        self.is_async = iscoroutinefunction(get_response)
        if self.is_async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> Any:
        given = request.headers.get("X-Request-ID", "")
        given_id.set(given if _GIVEN.fullmatch(given) else "")
        reference = secrets.token_hex(6)
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


def problem(
    code: str, detail: str, *, status: int, fields: dict[str, list[str]] | None = None
) -> JsonResponse:
    """What is wrong, for a program: a word that stays, a sentence, and a reference.

    ``fields`` says what is wrong with which of the values that were sent.
    """
    body: dict[str, Any] = {"code": code, "detail": detail, "reference": request_id.get()}
    if fields:
        body["fields"] = fields
    return JsonResponse(body, status=status)


def safe_next(request: HttpRequest, default: str) -> str:
    """``next`` from the request if it stays on this site, else ``default``."""
    url = request.POST.get("next") or request.GET.get("next") or ""
    allowed = url_has_allowed_host_and_scheme(
        url, allowed_hosts={request.get_host()}, require_https=request.is_secure()
    )
    return url if allowed else default


def query_without(request: HttpRequest, *parameters: str) -> str:
    """The query of a page, for links that set these parameters anew."""
    query = request.GET.copy()
    for name in parameters:
        query.pop(name, None)
    return query.urlencode()


#: What a spreadsheet takes for the beginning of a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
#: Lines of a table that are sent together.
_LINES = 200


class _Line:
    """What a CSV writer writes to."""

    def write(self, text: str) -> str:
        return text


def csv_answer(
    request: HttpRequest, name: str, rows: Iterable[Sequence[object]]
) -> StreamingHttpResponse:
    """A table as a CSV file (RFC 4180), sent while it is made.

    Text that a spreadsheet would run as a formula gets an apostrophe before it.
    """
    marked = _csv_lines(rows)
    pieces = iter(lambda: "".join(islice(marked, _LINES)), "")
    response = streamed(request, pieces, content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{name}.csv"'
    response["Cache-Control"] = "no-store"
    return response


def csv_text(rows: Iterable[Sequence[object]]) -> str:
    """A table as ``csv_answer`` sends it."""
    return "".join(_csv_lines(rows))


def _csv_lines(rows: Iterable[Sequence[object]]) -> Iterator[str]:
    writer = csv.writer(_Line())
    lines = (writer.writerow([_harmless(cell) for cell in row]) for row in rows)
    return chain(["\ufeff"], lines)  # else spreadsheets show accents as two letters


def _harmless(cell: object) -> object:
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(_FORMULA) else cell


def streamed(
    request: HttpRequest, pieces: Iterator[str] | Iterator[bytes], *, content_type: str
) -> StreamingHttpResponse:
    """Send ``pieces`` while they are made, under either kind of server."""
    is_async = isinstance(request, ASGIRequest)
    return StreamingHttpResponse(
        _one_by_one(pieces) if is_async else pieces, content_type=content_type
    )


async def _one_by_one(pieces: Iterator[Any]) -> AsyncIterator[Any]:
    while (piece := await sync_to_async(lambda: next(pieces, None))()) is not None:
        yield piece

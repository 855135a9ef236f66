"""The list of entries for programs: XML documents, and tables as DataTables 1.x asks for them.

Source: stratuslab.md 6.5 and 6.6; but what is not known is "" and not "null".
"""

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from django.db.models.functions import Left
from django.http import HttpRequest, HttpResponse, QueryDict
from django.http.response import HttpResponseBase
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from core.http import streamed
from marketplace import documents
from marketplace.models import CREATED_FORMAT, Document, Entry, EntryQuerySet
from marketplace.search.asked import ANY, LOCATIONS
from marketplace.states import EntryStatus
from marketplace.views import receiving
from marketplace.views.media import NO_MATCH, Media, NotFound, negotiated

#: Rows of one answer; who wants more asks for the next ones.
MOST_ROWS = 50_000
#: Documents, or rows, that are in memory at the same time.
TOGETHER = 100
LONGEST_TEXT = 200
#: Of a description; the entry has all of it.
MOST_SAID = 1000
FORM = "application/x-www-form-urlencoded"
#: Columns of the table by their numbers. The first one is empty; a location is no column.
COLUMNS: Mapping[int, str] = {
    1: "os", 2: "os_version", 3: "os_arch", 4: "endorser_email", 5: "kind", 6: "created_at",
    7: "identifier", 9: "description", 10: "title",
}  # fmt: skip
#: Those that can be searched by themselves.
FILTERS = range(1, 6)
BY_DATE = 6
_ROW = (
    "os", "os_version", "os_arch", "endorser_email", "kind", "created_at", "identifier",
    "locations", "said", "title",
)  # fmt: skip


@csrf_exempt  # a form that only asks changes nothing; the other door asks for itself
@require_http_methods(["GET", "HEAD", "POST"])
def metadata(request: HttpRequest) -> HttpResponseBase:
    """The list, or with a document the way into it."""
    if request.method == "POST" and request.content_type != FORM:
        return receiving.receive(request)
    return _list(request)


@negotiated
def _list(request: HttpRequest, media: Media) -> HttpResponseBase:
    if request.method == "POST":
        return as_table(request, _wanted(request, request.POST), request.POST)
    if media is Media.HTML:
        return _to_catalogue(request)
    return answer(request, media, _wanted(request, request.GET))


def _to_catalogue(request: HttpRequest) -> HttpResponse:
    """People look at the catalogue, or at the image that they name."""
    known = {name: request.GET.get(name, "") for name in ("identifier", "email", "created")}
    if known["identifier"]:
        parts = "/".join(part for part in known.values() if part)
        return redirect(f"{reverse('marketplace:metadata')}/{parts}")
    kept = [(name, value) for name, value in request.GET.items() if name not in (*known, "media")]
    if known["email"]:
        kept.append(("endorser", known["email"]))
    return redirect(f"{reverse('marketplace:catalogue')}{f'?{urlencode(kept)}' if kept else ''}")


def _wanted(request: HttpRequest, asked: QueryDict) -> EntryQuerySet:
    """Those that the parameters of 6.5 name; the newest words only, unless ``created`` is one."""
    rows = Entry.objects.visible_to(request.user).listed()
    created = asked.get("created", "")
    rows = rows.filter(created_at=_instant(created)) if created else rows.newest()
    if identifier := _text(asked, "identifier"):
        rows = rows.filter(identifier=identifier)
    if email := _text(asked, "email"):
        rows = rows.filter(endorser_email=email.lower())
    rows = rows.with_status(asked.get("status") or EntryStatus.VALID.value)
    return _at(rows, asked)


def _at(rows: EntryQuerySet, asked: QueryDict) -> EntryQuerySet:
    place = asked.get("location", ANY)
    return rows.filter(**{f"is_on_{place}": True}) if place in LOCATIONS else rows


def _instant(text: str) -> datetime:
    try:
        return datetime.strptime(text, CREATED_FORMAT).replace(tzinfo=UTC)
    except ValueError:
        raise NotFound(NO_MATCH) from None


def _text(asked: QueryDict, name: str) -> str:
    return asked.get(name, "").replace("\0", " ").strip()[:LONGEST_TEXT]


def answer(request: HttpRequest, media: Media, hits: EntryQuerySet) -> HttpResponseBase:
    """These entries, in the form that a program asks for."""
    if media is Media.JSON:
        return as_table(request, _at(hits, request.GET), request.GET)
    return as_documents(request, _at(hits, request.GET))


# XML -------------------------------------------------------------------------------------


def as_documents(request: HttpRequest, hits: EntryQuerySet) -> HttpResponseBase:
    """Their signed documents, each to the byte, the newest first; those that have one.

    ``iDisplayStart`` and ``iDisplayLength`` choose some of them, as in the table.
    """
    signed = _page(hits.filter(document__isnull=False).history(), request.GET)
    keys = list(signed.values_list("pk", flat=True))
    if not keys:
        raise NotFound(NO_MATCH)
    response = streamed(
        request, documents.wrap_list(_xml(keys)), content_type="application/xml; charset=utf-8"
    )
    response["Cache-Control"] = "no-cache"
    return response


def _xml(keys: list[int]) -> Iterator[bytes]:
    for start in range(0, len(keys), TOGETHER):
        some = keys[start : start + TOGETHER]
        rows = Document.objects.filter(entry__in=some).values_list("entry", "xml")
        found = dict(rows)
        yield from (bytes(found[key]) for key in some if key in found)


# DataTables ------------------------------------------------------------------------------


def as_table(request: HttpRequest, rows: EntryQuerySet, asked: QueryDict) -> HttpResponseBase:
    """One page of the table; sent while it is read, for all rows may be asked for."""
    hits = _searched(rows, asked)
    keys = list(_page(_ordered(hits, asked), asked).values_list("pk", flat=True))
    head = {
        "sEcho": _number(asked, "sEcho", 0),
        "iTotalRecords": rows.count(),
        "iTotalDisplayRecords": hits.count(),
        "rMsg": NO_MATCH,
    }
    return streamed(request, _table(head, keys), content_type="application/json")


def _table(head: Mapping[str, Any], keys: list[int]) -> Iterator[str]:
    yield f'{json.dumps(head).removesuffix("}")}, "aaData": ['
    mark = ""
    for start in range(0, len(keys), TOGETHER):
        some = keys[start : start + TOGETHER]
        rows = Entry.objects.filter(pk__in=some).annotate(said=Left("description", MOST_SAID))
        found = {row["pk"]: row for row in rows.values("pk", *_ROW)}
        lines = [json.dumps(_row(found[key])) for key in some if key in found]
        yield mark + ",\n".join(lines)
        mark = ",\n" if lines else mark
    yield "]}"


def _searched(rows: EntryQuerySet, asked: QueryDict) -> EntryQuerySet:
    rows = rows.search(_text(asked, "sSearch"))
    for number in FILTERS:
        if text := _text(asked, f"sSearch_{number}"):
            rows = rows.filter(**{f"{COLUMNS[number]}__icontains": text})
    return rows


def _ordered(rows: EntryQuerySet, asked: QueryDict) -> EntryQuerySet:
    if not _is_paged(asked):
        return rows.history()
    column = COLUMNS.get(_number(asked, "iSortCol_0", BY_DATE), COLUMNS[BY_DATE])
    sign = "" if asked.get("sSortDir_0") == "asc" else "-"
    return rows.order_by(f"{sign}{column}", "-created_at", "-pk")


def _is_paged(asked: QueryDict) -> bool:
    return "iDisplayStart" in asked and "iDisplayLength" in asked


def _page(rows: EntryQuerySet, asked: QueryDict) -> EntryQuerySet:
    """A negative length is what DataTables says for all."""
    if not _is_paged(asked):
        return rows[:MOST_ROWS]
    start = max(0, _number(asked, "iDisplayStart", 0))
    length = _number(asked, "iDisplayLength", MOST_ROWS)
    return rows[start : start + (min(length, MOST_ROWS) if length >= 0 else MOST_ROWS)]


def _number(asked: QueryDict, name: str, default: int) -> int:
    text = asked.get(name, "").strip()
    plain = text.removeprefix("-")
    return int(text) if plain.isascii() and plain.isdecimal() and len(plain) < 10 else default


def _row(row: dict[str, Any]) -> list[str]:
    row["created_at"] = row["created_at"].astimezone(UTC).strftime(CREATED_FORMAT)
    row["locations"] = next(iter(row["locations"]), "")
    return ["", *(str(row[name]) for name in _ROW)]

"""Who vouches for images: the list of endorsers, and what each has said of late."""

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode
from xml.etree.ElementTree import Element, SubElement, tostring

from django.core.paginator import Paginator
from django.db.models import Count, Max, Q
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_safe

from marketplace.models import CREATED_FORMAT, Document, Entry, EntryQuerySet
from marketplace.states import Trust
from marketplace.views.media import Media, NotFound, negotiated

PAGE_SIZE = 50
LONGEST_SEARCH = 200
#: Days that an endorser's history can be looked at. Source: stratuslab.md 6.5.
RANGES = (30, 60, 90)
MOST_LISTED = 200
#: Certificates of endorsers in one answer to a program.
MOST_ENDORSERS = 5000
#: Columns of ``/endorsers``, of one endorser's history, and of their tags, for programs.
WHO = ("email", "subject", "issuer")
SAID = ("identifier", "created", "title", "os", "osversion", "arch", "location", "deprecated")
TAGS = ("tag", "identifier", "created")
NO_ENDORSER = "endorser not found."
#: What no XML document may hold (XML 1.0, 2.2).
_UNWRITABLE = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_SPARQL = "http://www.w3.org/2005/sparql-results#"

Rows = Iterable[Sequence[str]]


@require_safe
@negotiated
def endorsers(request: HttpRequest, media: Media) -> HttpResponseBase:
    """Everybody who has said something that the reader may see."""
    visible = Entry.objects.visible_to(request.user)
    if media is not Media.HTML:
        fields = ("endorser_email", "document__subject", "document__issuer")
        who = visible.order_by(*fields).values_list(*fields).distinct()
        lines = ([text or "" for text in line] for line in who[:MOST_ENDORSERS])
        return table(media, WHO, lines)
    asked = request.GET.get("q", "").strip()[:LONGEST_SEARCH]
    rows = _people(visible, asked)
    context = {
        "page": Paginator(rows, PAGE_SIZE).get_page(request.GET.get("page")),
        "asked": asked,
        "query": urlencode({"q": asked}) if asked else "",
        "crumbs": _crumbs(),
    }
    return render(request, "marketplace/endorsers.html", context)


def _people(visible: EntryQuerySet, asked: str) -> Any:
    """A line for each endorser: who vouches for most first."""
    if asked:
        visible = visible.filter(
            Q(endorser_email__icontains=asked) | Q(endorser_name__icontains=asked)
        )
    now = timezone.now()
    is_valid = Q(is_latest=True, deprecated="", valid_until__gt=now)
    people = visible.order_by().values("endorser_email").annotate(
        name=Max("endorser_name"),
        valid=Count("pk", filter=is_valid),
        images=Count("identifier", distinct=True),
        last_at=Max("created_at"),
        official=Count("pk", filter=Q(is_official=True)),
        trusted=Count("pk", filter=is_valid & Q(trust=Trust.TRUSTED)),
    )  # fmt: skip
    return people.order_by("-official", "-valid", "endorser_email")


@require_safe
@negotiated
def endorser(request: HttpRequest, media: Media, email: str) -> HttpResponseBase:
    """What one endorser has said in the last 30, 60 or 90 days."""
    said = _said_by(request, email)
    days = _days(request)
    recent = said.filter(created_at__gte=timezone.now() - timedelta(days=days)).history()
    if media is not Media.HTML:
        return table(media, SAID, (_line(one) for one in recent[:MOST_LISTED]))
    shown = list(recent[: MOST_LISTED + 1])
    newest = said.history()[0]
    context = {
        "email": newest.endorser_email,
        "newest": newest,
        "is_official": newest.is_official,
        "certificates": _certificates(said),
        "days": days,
        "ranges": RANGES,
        "history": shown[:MOST_LISTED],
        "has_more": len(shown) > MOST_LISTED,
        "total": said.newest().count(),
        "tags": _tags(said),
        "crumbs": [*_crumbs(), {"label": "Endorsers", "url": reverse("marketplace:endorsers")}],
    }
    return render(request, "marketplace/endorser.html", context)


@require_safe
@negotiated
def tags(request: HttpRequest, media: Media, email: str) -> HttpResponseBase:
    """The tags of one endorser, and the image that each leads to now."""
    found = _tags(_said_by(request, email))
    if media is not Media.HTML:
        lines = ((one.alternative, one.identifier, _when(one)) for one in found)
        return table(media, TAGS, lines)
    context = {
        "email": email,
        "tags": found,
        "crumbs": [
            *_crumbs(),
            {"label": "Endorsers", "url": reverse("marketplace:endorsers")},
            {"label": email, "url": reverse("marketplace:endorser", args=[email])},
        ],
    }
    return render(request, "marketplace/endorser_tags.html", context)


def _said_by(request: HttpRequest, email: str) -> EntryQuerySet:
    """Raises: NotFound: they have said nothing that the reader may see."""
    said = Entry.objects.visible_to(request.user).filter(endorser_email=email.lower())
    if not said.exists():
        raise NotFound(NO_ENDORSER)
    return said


def _days(request: HttpRequest) -> int:
    asked = request.GET.get("range", "")
    return int(asked) if asked in map(str, RANGES) else RANGES[0]


def _tags(said: EntryQuerySet) -> list[Entry]:
    """For each tag the newest image that is not deprecated, by tag."""
    tagged = said.newest().filter(deprecated="").exclude(alternative="")
    found: dict[str, Entry] = {}
    for one in tagged.history()[: MOST_LISTED * 5]:
        found.setdefault(one.alternative, one)
    return [found[tag] for tag in sorted(found, key=str.casefold)]


def _certificates(said: EntryQuerySet) -> list[Mapping[str, Any]]:
    """The certificates that they have signed with, the one used last first."""
    fields = ("subject", "issuer", "fingerprint", "not_before", "not_after")
    signed = Document.objects.filter(entry__in=said).exclude(fingerprint="")
    used = signed.order_by().values(*fields).annotate(
        used_at=Max("entry__created_at"), times=Count("pk")
    )  # fmt: skip
    return list(used.order_by("-used_at")[:20])


def _line(one: Entry) -> Sequence[str]:
    return (
        one.identifier, _when(one), one.title, one.os, one.os_version, one.os_arch,
        next(iter(one.locations), ""), one.deprecated,
    )  # fmt: skip


def _when(one: Entry) -> str:
    return one.created_at.strftime(CREATED_FORMAT)


def _crumbs() -> list[Mapping[str, str]]:
    return [{"label": "Marketplace", "url": reverse("marketplace:catalogue")}]


def table(media: Media, names: Sequence[str], rows: Rows) -> HttpResponse:
    """Lines as programs read them: results of SPARQL 1.1, in XML or JSON. Empty is unbound."""
    if media is Media.JSON:
        bindings = [
            {name: {"type": "literal", "value": text} for name, text in _bound(names, row)}
            for row in rows
        ]
        return JsonResponse({"head": {"vars": list(names)}, "results": {"bindings": bindings}})
    root = Element("sparql", xmlns=_SPARQL)
    head, results = SubElement(root, "head"), SubElement(root, "results")
    for name in names:
        SubElement(head, "variable", name=name)
    for row in rows:
        result = SubElement(results, "result")
        for name, text in _bound(names, row):
            SubElement(SubElement(result, "binding", name=name), "literal").text = text
    body = tostring(root, encoding="UTF-8", xml_declaration=True)
    return HttpResponse(body, content_type="application/xml; charset=utf-8")


def _bound(names: Sequence[str], row: Sequence[str]) -> list[tuple[str, str]]:
    bound = zip(names, row, strict=True)
    return [(name, _UNWRITABLE.sub("\ufffd", text)) for name, text in bound if text]

"""What is said about images, at addresses that stay: as a page, as it was signed, and in JSON."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.cache import get_conditional_response, patch_cache_control, patch_vary_headers
from django.utils.http import http_date, quote_etag
from django.views.decorators.http import require_safe

from marketplace import documents, identifiers
from marketplace.models import CREATED_FORMAT, Document, Entry, EntryQuerySet
from marketplace.states import EntryStatus, Visibility
from marketplace.views import lists
from marketplace.views.about import about
from marketplace.views.media import NO_ENTRY, NO_MATCH, Media, NotFound, negotiated
from registration.doors import find_or_404

_IDENTIFIER = re.compile(identifiers.PATTERN)
_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
NO_DOCUMENT = (
    "This entry was read from an index of images that nobody signs, so there is no metadata "
    "document of it. Its page says what the index says."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """What the parts of an address name, each known by its look. Source: stratuslab.md 6.5."""

    identifier: str = ""
    email: str = ""
    created: datetime | None = None

    @classmethod
    def of(cls, *parts: str) -> "Key":
        """Raises: NotFound: a part is nothing of the three, or two are the same."""
        found: dict[str, str] = {}
        for part in parts:
            name = _name_of(part)
            if name in found:
                raise NotFound(NO_ENTRY)
            found[name] = part
        created = found.pop("created", "")
        email = found.pop("email", "").lower()
        return cls(**found, email=email, created=_instant(created) if created else None)

    def rows(self, entries: EntryQuerySet) -> EntryQuerySet:
        if self.identifier:
            entries = entries.filter(identifier=self.identifier)
        if self.email:
            entries = entries.filter(endorser_email=self.email)
        if self.created:
            entries = entries.filter(created_at=self.created)
        return entries


def _name_of(part: str) -> str:
    if "@" in part:
        return "email"
    if _INSTANT.fullmatch(part):
        return "created"
    if _IDENTIFIER.fullmatch(part):
        return "identifier"
    raise NotFound(NO_ENTRY)


def _instant(text: str) -> datetime:
    try:
        return datetime.strptime(text, CREATED_FORMAT).replace(tzinfo=UTC)
    except ValueError:
        raise NotFound(NO_ENTRY) from None


@require_safe
@negotiated
def entry(request: HttpRequest, media: Media, identifier: str) -> HttpResponseBase:
    """What is said about one image: by the site, else by whoever said it last."""
    return _some(request, media, Key(identifier=identifier))


@require_safe
@negotiated
def endorsement(
    request: HttpRequest, media: Media, identifier: str, email: str, created: str
) -> HttpResponseBase:
    """One endorsement by its full key, the newest or an older one."""
    return _one(request, media, Key.of(identifier, email, created))


@require_safe
@negotiated
def parts(request: HttpRequest, media: Media, parts: str) -> HttpResponseBase:
    """Entries by a part of their key, in any order; one, or those that a search finds."""
    key = Key.of(*filter(None, parts.split("/")))
    if key.identifier and key.email and key.created:
        return _one(request, media, key)
    if (tagged := request.GET.get("tag")) and key.email and not key.identifier:
        return _newest_of_tag(request, media, key.email, tagged)
    return _some(request, media, key)


@require_safe
@negotiated
def tag(request: HttpRequest, media: Media, email: str, tag: str) -> HttpResponseBase:
    """The newest image of an endorser that has this tag and is not deprecated."""
    return _newest_of_tag(request, media, email, tag)


def _newest_of_tag(request: HttpRequest, media: Media, email: str, tag: str) -> HttpResponse:
    """On to the entry, in the form that is asked for; people read why there is none any more."""
    said = Entry.objects.visible_to(request.user).newest().history()
    tagged = said.filter(endorser_email=email.lower(), alternative=tag)
    found = tagged.filter(deprecated="").first()
    if found is None:
        last = tagged.first()
        if last is None or media is not Media.HTML:
            raise NotFound(NO_MATCH)
        return _tag_is_over(request, tag, last)
    asked = request.GET.get("media", "")
    query = f"?{urlencode({'media': asked})}" if asked else ""
    response = redirect(f"{found.permalink}{query}")
    patch_cache_control(response, no_cache=True)  # tomorrow another one is the newest
    return response


def _tag_is_over(request: HttpRequest, tag: str, last: Entry) -> HttpResponse:
    crumbs = [
        {"label": "Marketplace", "url": reverse("marketplace:catalogue")},
        {
            "label": last.endorser_email,
            "url": reverse("marketplace:endorser", args=[last.endorser_email]),
        },
    ]
    context = {"tag": tag, "entry": last, "crumbs": crumbs}
    return render(request, "marketplace/tag_over.html", context, status=404)


def _one(request: HttpRequest, media: Media, key: Key) -> HttpResponseBase:
    visible = Entry.objects.visible_to(request.user)
    rows = visible.select_related("owner", "source", "group")
    shown = find_or_404(
        rows, request, identifier=key.identifier, endorser_email=key.email, created_at=key.created
    )
    return _answer(request, media, shown)


def _some(request: HttpRequest, media: Media, key: Key) -> HttpResponseBase:
    """A page of the image, or of the catalogue; for programs the one entry, or their list."""
    said = key.rows(Entry.objects.visible_to(request.user))
    if media is Media.HTML:
        return _page_of_some(request, key, said)
    found = said if key.created else said.newest()
    asked = request.GET.get("status", EntryStatus.VALID.value)
    hits = found.with_status(asked)
    first = list(hits.history()[:2])
    if not first:
        raise NotFound(_no_match(found, "status" in request.GET))
    if key.identifier and len(first) == 1 and not _is_old_path(request):
        return _answer(request, media, first[0])
    return lists.answer(request, media, hits)


def _is_old_path(request: HttpRequest) -> bool:
    """StratusLab's own clients look there, and find what they look for in lists alone."""
    return not request.path.startswith(reverse("marketplace:catalogue"))


def _no_match(found: EntryQuerySet, is_status_asked: bool) -> str:
    if not is_status_asked and found.exists():
        return f"{NO_MATCH}: what is said of it is expired or deprecated (status=all shows it)"
    return NO_MATCH


def _page_of_some(request: HttpRequest, key: Key, said: EntryQuerySet) -> HttpResponseBase:
    rows = said.select_related("owner", "source", "group")
    if key.identifier:
        shown = rows.launchable().first() or rows.newest().best_first().first()
        shown = shown or rows.history().first()
        if shown is None:
            raise NotFound(NO_ENTRY)
        return _answer(request, Media.HTML, shown)
    asked = {"endorser": key.email, "status": request.GET.get("status") or "all"}
    if key.created:
        shown = rows.history().first()
        if shown is None:
            raise NotFound(NO_MATCH)
        return redirect(shown.permalink)
    return redirect(f"{reverse('marketplace:catalogue')}?{urlencode(asked)}")


def _answer(request: HttpRequest, media: Media, shown: Entry) -> HttpResponseBase:
    if media is Media.HTML:
        return render(request, "marketplace/entry.html", about(request, shown))
    document = Document.objects.filter(entry=shown).first()
    if document is None:
        raise NotFound(NO_DOCUMENT)
    return _as_signed(request, media, shown, bytes(document.xml))


def _as_signed(request: HttpRequest, media: Media, shown: Entry, xml: bytes) -> HttpResponseBase:
    """The document to the byte, or what it says as RDF/JSON; neither ever changes."""
    etag = quote_etag(f"{shown.uuid}-{media}")
    changed = int(shown.uploaded_at.timestamp())
    response: HttpResponseBase
    if media is Media.XML:
        response = HttpResponse(xml, content_type="application/rdf+xml")
    else:
        response = JsonResponse(documents.rdf_json(xml))
    response["Content-Disposition"] = f'attachment; filename="{shown.identifier}.{media}"'
    response["ETag"] = etag
    response["Last-Modified"] = http_date(changed)
    if shown.visibility == Visibility.PUBLIC:
        patch_cache_control(response, public=True, no_cache=True)
    else:
        patch_cache_control(response, private=True, no_cache=True)
        patch_vary_headers(response, ["Cookie"])
    return (
        get_conditional_response(request, etag=etag, last_modified=changed, response=response)
        or response
    )

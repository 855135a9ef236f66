"""Where programs send metadata documents. Source: stratuslab.md 6.5 and 6.9.

A signed document is its own authority, so nobody has to sign in. Its words are those that
StratusLab's clients read.
"""

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.views.decorators.csrf import csrf_exempt

from core.errors import Refused
from marketplace.actions.uploads import must_not_be_many, submit
from marketplace.documents import Broken
from marketplace.models import Entry
from marketplace.views.media import Media, error, media_of
from registration.bearer import TOO_MANY, anybody
from registration.doors import address_of

CREATED, ACCEPTED, BAD_REQUEST, FORBIDDEN = 201, 202, 400, 403
PUBLISHED = "metadata entry created"
ASKED = (
    "metadata entry created for its owner alone: an administrator is asked before everybody reads "
    "it"
)
MAILED = "confirmation email sent for new metadata entry"
#: What is around the file in a form.
FORM_BYTES = 64 << 10
_BRAKES = frozenset({"too_many_mails", "too_many_documents"})


class _NoDocument(Exception):
    """Nothing came that could be a document, in StratusLab's words."""


@csrf_exempt  # its inner door asks who has a session
def receive(request: HttpRequest) -> HttpResponseBase:
    """Take in one document: XML as it is, or the first file of a form."""
    if _announced(request) > _most_bytes() + FORM_BYTES:
        return _say(request, f"invalid metadata: {_too_large()}", BAD_REQUEST)
    return _receive(request)


@anybody
def _receive(request: HttpRequest) -> HttpResponse:
    by = request.user if request.user.is_authenticated else None
    address = address_of(request)
    try:
        must_not_be_many(by=by, address=address)
        made = submit(_document_in(request), by=by, address=address)
    except _NoDocument as nothing:
        return _say(request, str(nothing), BAD_REQUEST)
    except Broken as broken:
        return _say(request, f"invalid metadata: {_said(broken)}", BAD_REQUEST)
    except Refused as refused:
        return _refusal(request, refused)
    if not isinstance(made, Entry):
        return _plain(MAILED, ACCEPTED)
    is_asked = made.publications.waiting().exists()
    answer = _plain(ASKED, ACCEPTED) if is_asked else _plain(PUBLISHED, CREATED)
    answer["Location"] = request.build_absolute_uri(made.permalink)
    return answer


def _document_in(request: HttpRequest) -> bytes:
    """Raises: _NoDocument, Broken."""
    if request.content_type == "multipart/form-data":
        file = next(iter(request.FILES.values()), None)
        if file is None or isinstance(file, list) or not file.size:
            raise _NoDocument("no valid file uploaded")
        return bytes(file.read(_most_bytes() + 1))  # judged to be too large, if there is more
    xml: bytes = request.read(_most_bytes() + 1)
    if not xml:
        raise _NoDocument("post with null entity")
    return xml


def _said(broken: Broken) -> str:
    """Each fault on a line, with where it is."""
    return "\n".join(
        f"line {one.line}: {one.sentence}" if one.line else one.sentence for one in broken.problems
    )


def _announced(request: HttpRequest) -> int:
    length = request.META.get("CONTENT_LENGTH") or "0"
    return int(length) if length.isdecimal() and len(length) < 19 else 0


def _most_bytes() -> int:
    return settings.PORTAL_METADATA_KIB << 10


def _too_large() -> str:
    return f"a document has at most {settings.PORTAL_METADATA_KIB} KiB, and this has more."


def _refusal(request: HttpRequest, refused: Refused) -> HttpResponse:
    if refused.code in _BRAKES:
        return _say(request, str(refused), TOO_MANY)
    if refused.code == "not_active":
        return _say(request, str(refused), FORBIDDEN)
    return _say(request, f"invalid metadata: {refused}", BAD_REQUEST)


def _say(request: HttpRequest, message: str, status: int) -> HttpResponse:
    """As XML or JSON for who wants that; else in plain text."""
    media = media_of(request)
    return _plain(message, status) if media is Media.HTML else error(media, message, status=status)


def _plain(message: str, status: int) -> HttpResponse:
    return HttpResponse(message, status=status, content_type="text/plain; charset=utf-8")

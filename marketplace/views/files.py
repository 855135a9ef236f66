"""The files of images that this site keeps, for whoever may see one of their entries."""

from django.http import Http404, HttpRequest
from django.http.response import HttpResponseBase
from django.views.decorators.http import require_safe

from core import serving
from marketplace.models import Entry
from registration.bearer import anybody, may_go_on

_TYPE = "application/octet-stream"


@anybody
@require_safe
def file(request: HttpRequest, identifier: str) -> HttpResponseBase:
    """The file of an image: whole, or the range that was asked for."""
    said = Entry.objects.visible_to(request.user).filter(identifier=identifier, is_kept_here=True)
    entry = said.exclude(sha256="").best_first().first()
    if entry is None or entry.site_file is None:
        raise Http404("No such file.")
    wanted = serving.File(
        path=entry.site_file, name=entry.file_name, content_type=_TYPE, sha256=entry.sha256
    )
    try:
        return serving.answer(request, wanted, may_go_on=lambda: _may_go_on(request, entry))
    except FileNotFoundError:
        raise Http404("No such file.") from None


def _may_go_on(request: HttpRequest, entry: Entry) -> bool:
    """Whether the file would be given now as well: a long one must not outlive that."""
    if not Entry.objects.visible_to(request.user).filter(pk=entry.pk, is_kept_here=True).exists():
        return False
    return not request.user.is_authenticated or may_go_on(request)

"""The one way from what a person or a program names to the entry that a machine starts from."""

from urllib.parse import urlsplit
from uuid import UUID

from django.conf import settings
from django.http import Http404, HttpRequest

from marketplace.addresses import entries_at
from marketplace.models import Entry
from registration.doors import find_or_404
from vms.actions import Candidate, candidates


def named(request: HttpRequest, image: str, entry: UUID | None = None) -> list[Candidate]:
    """The entries of an image, the one to start from first: ``entry``, if one is asked for.

    There is at least one; if it is refused, none of the others may be launched either, unless
    that very one was asked for.

    Raises: Elsewhere; Refused: ``image_unknown``; Http404.
    """
    rows = entries_at(image, user=request.user, hosts=hosts(request))
    if entry is not None:
        return _exactly(request, entry, candidates(rows.exclude(uuid=entry)))
    found = candidates(rows)
    if not found:
        find_or_404(rows, request, "launch", identifier=image)
    return found


def _exactly(request: HttpRequest, key: UUID, others: list[Candidate]) -> list[Candidate]:
    visible = Entry.objects.visible_to(request.user)
    entry = find_or_404(visible, request, "launch", uuid=key)
    if any(one.entry.identifier != entry.identifier for one in others):
        raise Http404
    return [*candidates(visible.filter(pk=entry.pk)), *others]


def hosts(request: HttpRequest) -> set[str]:
    """What this site is called in addresses."""
    return {request.get_host(), urlsplit(settings.PORTAL_URL).netloc}

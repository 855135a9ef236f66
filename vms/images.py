"""The one way from what a person or a program names to the entry that a machine starts from."""

from urllib.parse import urlsplit
from uuid import UUID

from django.conf import settings
from django.http import Http404, HttpRequest

from marketplace.addresses import entries_at
from marketplace.models import Entry, EntryQuerySet
from registration.bearer import ApiRequest
from registration.doors import UserRequest, find_or_404
from vms.actions import Candidate, candidates


def named(
    request: UserRequest | ApiRequest, image: str, entry: UUID | None = None
) -> list[Candidate]:
    """The entries of an image, the one to start from first: ``entry``, if one is asked for.

    There is at least one; if it is refused, none of the others may be launched either, unless
    that very one was asked for.

    Raises: Elsewhere; Refused: ``image_unknown``; Http404.
    """
    rows = entries_at(image, user=request.user, hosts=hosts(request))
    if entry is not None:
        return _exactly(request, image, entry, rows)
    found = candidates(rows, by=request.user)
    if not found:
        find_or_404(rows, request, "launch", identifier=image)
    return found


def _exactly(
    request: UserRequest | ApiRequest, image: str, key: UUID, rows: EntryQuerySet
) -> list[Candidate]:
    """Raises: Http404: the entry is about another image than the one that is named."""
    visible = Entry.objects.visible_to(request.user)
    entry = find_or_404(visible, request, "launch", uuid=key)
    if image != entry.identifier and not rows.filter(identifier=entry.identifier).exists():
        raise Http404
    others = candidates(rows.exclude(pk=entry.pk), by=request.user)
    return [*candidates(visible.filter(pk=entry.pk), by=request.user), *others]


def hosts(request: HttpRequest) -> set[str]:
    """What this site is called in addresses."""
    return {request.get_host(), urlsplit(settings.PORTAL_URL).netloc}

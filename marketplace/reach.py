"""Whether this site can get at the bytes of an image, as far as its entry tells.

Asked before a launch is offered, and again before anything is reserved for one.
"""

from collections.abc import Iterable, Mapping
from urllib.parse import urlsplit

from django.conf import settings

from marketplace.models import Entry, ImageFile
from marketplace.pdisk import disk_of
from marketplace.states import KEPT, Kind, Visibility

_WEB = frozenset({"http", "https"})
NOWHERE = "Its entry names no place where the file is, so no machine can start from it."
NOT_FETCHED = (
    "Its entry names only places that this site does not fetch from (it fetches from web "
    "addresses and from its own disks), so no machine can start from it."
)


def refusals(entries: Iterable[Entry], cloud: str = settings.DEFAULT_CLOUD) -> Mapping[int, str]:
    """Why no machine can start from them, by primary key; only those that none can start from.

    A copy that is here already counts if an entry that everybody may see led to it. One query
    for any entries at all, whether or not they need it: lists cost the same for all they show.
    """
    rows = list(entries)
    copies = ImageFile.objects.filter(
        cloud=cloud, state__in=KEPT, identifier__in={one.identifier for one in rows}
    ).exclude(ref="")
    proven = copies.filter(proven_by__visibility=Visibility.PUBLIC)
    here = set(proven.values_list("identifier", flat=True))
    return {
        one.pk: NOT_FETCHED if one.locations else NOWHERE
        for one in rows
        if one.kind == Kind.MACHINE and one.identifier not in here and not leads_somewhere(one)
    }


def leads_somewhere(entry: Entry) -> bool:
    """Whether it names a place that this site fetches from, or the site has the file."""
    return entry.is_kept_here or any(map(_is_fetched, entry.locations))


def _is_fetched(location: str) -> bool:
    try:
        scheme = urlsplit(location).scheme.lower()
    except ValueError:
        return False
    return scheme in _WEB or disk_of(location) is not None

"""Which entries of the Marketplace lead to a disk: what is lost to others when it goes."""

from collections.abc import Iterable
from typing import Any

from django import template
from django.db.models import Q, TextField
from django.db.models.functions import Cast
from django.template import Context

from marketplace import pdisk
from marketplace.models import Entry
from marketplace.states import EntryStatus, Visibility
from volumes.models import Volume

register = template.Library()
MOST_TOLD = 5


@register.inclusion_tag("marketplace/_needed.html", takes_context=True)
def entries_that_need(context: Context, disks: Any) -> dict[str, Any]:
    """``disks``: a disk, or the rows of a table of them."""
    volumes = [disks] if isinstance(disks, Volume) else [row.volume for row in disks]
    found = list(_needing(volumes, context["request"].user)[: MOST_TOLD + 1])
    return {
        "entries": found[:MOST_TOLD],
        "has_more": len(found) > MOST_TOLD,
        "count": len(volumes),
        "is_published": any(entry.visibility != Visibility.PRIVATE for entry in found),
    }


def _needing(volumes: Iterable[Volume], user: Any) -> Any:
    leads_there = Q(pk__in=[])
    for volume in volumes:
        leads_there |= Q(places__icontains=pdisk.address_of(volume.uuid))
    rows = Entry.objects.visible_to(user).newest().filter(is_on_pdisk=True)
    valid = rows.with_status(EntryStatus.VALID)
    return valid.annotate(places=Cast("locations", TextField())).filter(leads_there).history()

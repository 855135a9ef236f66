"""Files made of a disk, for the pages that show them."""

from datetime import timedelta

from django import template
from django.conf import settings
from django.db.models import Q
from django.urls import reverse
from django.utils import timezone

from registration.models import User
from volumes import outgoing
from volumes.models import Export, Volume
from volumes.states import ExportState

register = template.Library()

#: One that failed is shown for so long.
FAILED_SHOWN = timedelta(hours=24)


@register.simple_tag
def downloads_of(volume: Volume, user: User) -> list[Export]:
    """What ``user`` had made of the disk: of others, nobody is shown anything."""
    recent = Q(state=ExportState.FAILED, state_since__gt=timezone.now() - FAILED_SHOWN)
    live = Q(state__in=(ExportState.PREPARING, ExportState.PACKING, ExportState.READY))
    mine = Export.objects.filter(live | recent, volume=volume, owner=user)
    return list(mine.select_related("snapshot", "volume"))


@register.simple_tag
def read_by_others(volume: Volume, user: User) -> list[Export]:
    """Downloads of others that read the disk of ``user`` now: nothing may write to it meanwhile."""
    if volume.owner_id != user.pk:
        return []
    reading = Export.objects.filter(volume=volume, state=ExportState.PREPARING).exclude(owner=user)
    return list(reading.select_related("owner"))


@register.filter
def file_name(export: Export) -> str:
    return outgoing.file_name(export)


@register.filter
def file_url(export: Export) -> str:
    """With the site's name, for programs."""
    return f"{settings.PORTAL_URL}{reverse('volumes:download_file', args=[export.uuid])}"


@register.filter
def doing(export: Export) -> str:
    """What a worker does to it now."""
    if export.state == ExportState.PREPARING:
        return "Reading the disk"
    return "Packing" if export.format.startswith("raw.") else "Computing the checksum"

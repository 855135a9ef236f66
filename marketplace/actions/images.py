"""Have images brought into clouds. Nothing here knows that clouds exist."""

from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.utils import timezone

from core.machine import StaleState
from marketplace import tasks
from marketplace.models import Entry, ImageFile
from marketplace.states import ImageState

#: A failure younger than this is an answer to the caller's own wish.
FRESH = timedelta(seconds=10)


def ensure_image(entry: Entry, cloud: str, *, asked_at: datetime | None = None) -> ImageFile:
    """Have the image of ``entry`` brought into ``cloud``, unless it is there or on its way.

    Repeat it as often as you like: a worker does the copying, and the row that comes back
    says how far it is. A copy that failed is tried again, unless it failed after
    ``asked_at``, the moment of the wish behind this call (by default ten seconds ago):
    then that failure is the answer.
    """
    known = ImageFile.objects.select_related("entry").filter(
        cloud=cloud, identifier=entry.identifier
    )
    image = known.first() or _ask_for(entry, cloud)
    since = asked_at or timezone.now() - FRESH
    if image.state == ImageState.FAILED and image.state_since < since:
        _want_again(image, entry=entry, bytes_done=0, bytes_total=0)
    return image


def _ask_for(entry: Entry, cloud: str) -> ImageFile:
    with transaction.atomic():
        image, is_new = ImageFile.objects.select_related("entry").get_or_create(
            cloud=cloud,
            identifier=entry.identifier,
            defaults={"entry": entry, "next_tick_at": timezone.now()},
        )
        if is_new:
            image.record_event("asked", now=ImageState.WANTED, cloud=cloud)
            image.announce()
            tasks.ring_row(image)
    return image


def image_lost(identifier: str, cloud: str, *, reason: str = "") -> None:
    """The cloud no longer has this image, or found it damaged: have it copied anew.

    Quiet if it is on its way already, or was never there.
    """
    image = ImageFile.objects.filter(cloud=cloud, identifier=identifier).first()
    if image and image.state == ImageState.READY:
        why = reason or "The cloud's copy was lost or damaged; it is being copied again."
        _want_again(image, reason=why, ref="", bytes_done=0, bytes_total=0)


def _want_again(image: ImageFile, *, reason: str = "", **fields: Any) -> None:
    with suppress(StaleState):  # somebody else has just asked
        image.move(ImageState.WANTED, reason=reason, **fields)
        tasks.ring_row(image)
        return
    image.refresh_from_db()

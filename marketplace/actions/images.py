"""Have images brought into clouds, and their copies removed. Nothing here knows that clouds exist.

A copy belongs to its identifier, whoever's word brought it. So it is given to nobody who has only
named its checksums: an entry may use it if its own locations have led to these bytes, or those of
an entry that whoever launches may see (*proof*). And what an entry says of the bytes is compared
with what was found of them at every use.
"""

from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import F
from django.utils import timezone

from cloud.diskfiles.digests import difference
from core.machine import StaleState
from marketplace import tasks
from marketplace.models import Entry, ImageFailure, ImageFile
from marketplace.states import ImageState
from registration.models import GIB, User

#: A failure younger than this is an answer to the caller's own wish.
FRESH = timedelta(seconds=10)
#: When an image was used last is written down no more often.
_NOTED_EVERY = timedelta(minutes=5)
_SUMS = ("md5", "sha1", "sha256", "sha512")
_REST = frozenset({ImageState.FAILED, ImageState.EVICTED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How the wish to start a machine from an image stands.

    ``is_open``: the machine may be told to the cloud already, and waits there for the image.
    ``refusal``: why it does not start, a sentence; a new wish tries again.
    """

    image: ImageFile
    is_ready: bool = False
    is_open: bool = False
    refusal: str = ""


def image_for(
    entry: Entry, cloud: str, *, by: User | None = None, asked_at: datetime | None = None
) -> Standing:
    """Have the image of ``entry`` brought into ``cloud`` for ``by``, unless it is there.

    Repeat it as often as you like: a worker does the fetching, and what comes back says how far
    it is. What failed is tried again, unless it failed after ``asked_at``, the moment of the wish
    behind this call (by default ten seconds ago): then that failure is the answer.
    """
    word = _whose_word(entry, by)
    image = _known(entry, cloud) or _ask_for(word, cloud)
    is_open = may_use(image, word, by)
    if is_open and image.is_kept:
        _note_use(image)
        refusal = _otherwise(image, entry)
        return Standing(image=image, is_ready=not refusal, is_open=not refusal, refusal=refusal)
    if refusal := _failure(image, word, asked_at or timezone.now() - FRESH):
        return Standing(image=image, refusal=refusal)
    if image.state in _REST or image.state == ImageState.READY:
        _want_again(image, entry=word, bytes_done=0, bytes_total=0, used_at=timezone.now())
    return Standing(image=image, is_open=is_open)


def _whose_word(entry: Entry, by: User | None) -> Entry:
    """What was said again of an image that this site keeps leads to the site's own entry of it,
    for whoever may see that one now."""
    if entry.said_again_of_id is None or by is None:
        return entry
    kept = Entry.objects.visible_to(by).filter(identifier=entry.identifier, is_kept_here=True)
    return kept.best_first().first() or entry


def ensure_image(
    entry: Entry, cloud: str, *, by: User | None = None, asked_at: datetime | None = None
) -> ImageFile:
    """As ``image_for``; the copy's row alone."""
    return image_for(entry, cloud, by=by, asked_at=asked_at).image


def may_use(image: ImageFile, entry: Entry, by: User | None) -> bool:
    """Whether a machine of ``by`` may have these bytes on the word of ``entry``."""
    if image.is_proven_by(entry):
        return True
    if by is None:
        return False
    return Entry.objects.visible_to(by).filter(pk__in=image.proven_by.values("pk")).exists()


def _otherwise(image: ImageFile, entry: Entry) -> str:
    """What the entry says of the bytes that is not so, whoever's word brought them."""
    stated = {name: getattr(entry, name) for name in _SUMS if name in image.sums}
    if entry.size_bytes and image.size_bytes and entry.size_bytes != image.size_bytes:
        differs = f"expected {entry.size_bytes} bytes, got {image.size_bytes}"
    else:
        differs = difference(stated, image.sums)
    return f"The image is not the one of its entry: {differs}." if differs else ""


def _failure(image: ImageFile, entry: Entry, since: datetime) -> str:
    """Why it could not be brought on the word of this entry, since then."""
    if (
        image.state == ImageState.FAILED
        and image.entry_id == entry.pk
        and image.state_since >= since
    ):
        return image.reason
    failed = ImageFailure.objects.filter(image=image, entry=entry, failed_at__gte=since).first()
    return failed.reason if failed else ""


def _note_use(image: ImageFile) -> None:
    now = timezone.now()
    if image.used_at is None or now - image.used_at > _NOTED_EVERY:
        ImageFile.objects.filter(pk=image.pk).update(used_at=now)


def _known(entry: Entry, cloud: str) -> ImageFile | None:
    rows = ImageFile.objects.select_related("entry")
    return rows.filter(cloud=cloud, identifier=entry.identifier).first()


def _ask_for(entry: Entry, cloud: str) -> ImageFile:
    now = timezone.now()
    with transaction.atomic():
        image, is_new = ImageFile.objects.select_related("entry").get_or_create(
            cloud=cloud,
            identifier=entry.identifier,
            defaults={"entry": entry, "next_tick_at": now, "used_at": now},
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


# Room -------------------------------------------------------------------------------------


def evict(cloud: str, needed: Collection[str]) -> int:
    """Have copies removed that no machine needs until the rest fits the site's limit; how many.

    ``needed`` are identifiers of images of machines that are not over. The longest unused go
    first (PORTAL_IMAGE_CACHE_GIB; 0: none goes).
    """
    limit = settings.PORTAL_IMAGE_CACHE_GIB * GIB
    rows = ImageFile.objects.filter(cloud=cloud, state=ImageState.READY)
    kept = sum(rows.values_list("kept_bytes", flat=True))
    evicted = 0
    if not limit or kept <= limit:
        return evicted
    for image in rows.order_by(F("used_at").asc(nulls_first=True), "pk").select_related("entry"):
        if kept <= limit:
            break
        if image.identifier not in needed and _evict(image):
            kept -= image.kept_bytes
            evicted += 1
    return evicted


def _evict(image: ImageFile) -> bool:
    with suppress(StaleState):
        image.move(ImageState.EVICTING, reason="Its room was needed, and no machine uses it.")
        tasks.ring_row(image)
        return True
    return False

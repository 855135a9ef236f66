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
from django.db.models import F, Q, QuerySet
from django.utils import timezone

from cloud.diskfiles.digests import difference
from core.errors import Refused
from core.machine import StaleState
from marketplace import tasks
from marketplace.lifecycle.images.proving import is_proven, proofs
from marketplace.lifecycle.images.wanting import missing
from marketplace.models import Entry, ImageFailure, ImageFile
from marketplace.states import LET_GO, ON_ITS_WAY, ImageState
from registration.models import GIB, User

#: A failure younger than this is an answer to the caller's own wish.
FRESH = timedelta(seconds=10)
#: When an image was used last is written down no more often.
_NOTED_EVERY = timedelta(minutes=5)
_WISHED_EVERY = timedelta(seconds=20)
#: A fetch that no machine waits for goes on for so long: whoever killed one may launch another.
GRACE = timedelta(minutes=1)
#: What comes slower than this, after so long, lets another entry of the image try.
SLOW_AFTER = timedelta(minutes=2)
SLOW_BYTES_S = 256 << 10
#: Each begins at its first byte: two slow ones would never end if they took turns.
HANDED_ON_EVERY = timedelta(hours=1)
_SUMS = ("md5", "sha1", "sha256", "sha512")
_STOPPED = "An administrator ended the fetching of this image."
_ROOM_NEEDED = "Its room was needed, and no machine uses it."
_USELESS = "The image is deprecated, and no machine uses it."
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
    image = _known(entry, cloud) or _ask_for(word, cloud, by=by)
    is_open = may_use(image, word, by)
    if is_open and image.is_kept:
        _note_use(image)
        refusal = _otherwise(image, entry)
        return Standing(image=image, is_ready=not refusal, is_open=not refusal, refusal=refusal)
    if refusal := _failure(image, word, asked_at or timezone.now() - FRESH):
        return Standing(image=image, refusal=refusal)
    if image.state in _REST or image.state == ImageState.READY:
        if refusal := missing(word):
            return Standing(image=image, refusal=refusal)
        _want_again(image, **_anew(word, by))
    elif image.entry_id == word.pk:
        _note_use(image)
    elif _is_held_up(image) and _leads_elsewhere(word, image.entry):
        _want_again(image, **_anew(word, by), handed_at=timezone.now())
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
    if is_proven(image, entry):
        return True
    if by is None:
        return False
    return Entry.objects.visible_to(by).filter(pk__in=proofs(image).values("pk")).exists()


def _anew(entry: Entry, by: User | None) -> dict[str, Any]:
    """What a copy that is wanted on the word of ``entry`` says of itself."""
    now = timezone.now()
    return {"entry": entry, "asked_by": by, "bytes_done": 0, "bytes_total": 0, "used_at": now}


def _is_held_up(image: ImageFile) -> bool:
    """Whether it comes so slowly that another entry should be tried; not again and again."""
    now = timezone.now()
    if image.state != ImageState.FETCHING or now - image.state_since < SLOW_AFTER:
        return False
    if image.handed_at and now - image.handed_at < HANDED_ON_EVERY:
        return False
    return image.rate_bytes_s < SLOW_BYTES_S


def _leads_elsewhere(entry: Entry, other: Entry) -> bool:
    """Whether what brings the image on the word of ``entry`` is not what the other waits for."""
    is_new = entry.is_kept_here or bool({*entry.locations} - {*other.locations})
    return is_new and not missing(entry)


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
    every = _WISHED_EVERY if image.is_moving else _NOTED_EVERY
    if image.used_at is None or now - image.used_at > every:
        ImageFile.objects.filter(pk=image.pk).update(used_at=now)


def _known(entry: Entry, cloud: str) -> ImageFile | None:
    rows = ImageFile.objects.select_related("entry")
    return rows.filter(cloud=cloud, identifier=entry.identifier).first()


def _ask_for(entry: Entry, cloud: str, *, by: User | None) -> ImageFile:
    now = timezone.now()
    with transaction.atomic():
        image, is_new = ImageFile.objects.select_related("entry").get_or_create(
            cloud=cloud,
            identifier=entry.identifier,
            defaults={"entry": entry, "asked_by": by, "next_tick_at": now, "used_at": now},
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


# Ending what comes -----------------------------------------------------------------------


def let_go(cloud: str, waiting: Collection[int]) -> int:
    """End the fetching of images that no machine waits for any more; how many.

    ``waiting`` are the entries (primary keys) of machines whose image is not there yet.
    """
    waited = Entry.objects.filter(pk__in=waiting).values("identifier")
    needed = Q(entry__in=waiting) | Q(entry__is_kept_here=True, identifier__in=waited)
    rows = ImageFile.objects.filter(cloud=cloud, state__in=ON_ITS_WAY).exclude(needed)
    over = rows.filter(Q(used_at=None) | Q(used_at__lt=timezone.now() - GRACE))
    return sum(_end(image, LET_GO) for image in over.select_related("entry"))


def stop_image(image: ImageFile, *, by: User) -> None:
    """End the fetching of an image, an administrator's right; machines that wait for it fail.

    Raises:
        Refused: ``not_administrator``; ``not_on_its_way``: it has come, or failed, meanwhile.
    """
    if not by.is_staff:
        raise Refused("not_administrator", "Only an administrator may end the fetching of images.")
    if image.state not in ON_ITS_WAY or not _end(image, _STOPPED, by=by, verb="stopped"):
        raise Refused("not_on_its_way", "The image is not on its way any more.")


def _end(image: ImageFile, reason: str, **more: Any) -> bool:
    with suppress(StaleState):
        image.move(ImageState.CLEARING, reason=reason, **more)
        tasks.ring_row(image)
        return True
    return False


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
    _weigh(rows.filter(kept_bytes=0, used_at=None))
    weighed = rows.filter(kept_bytes__gt=0).select_related("entry")
    for image in weighed.order_by(F("used_at").asc(nulls_first=True), "pk"):
        if kept <= limit:
            break
        if image.identifier not in needed and _evict(image):
            kept -= image.kept_bytes
            evicted += 1
    return evicted


def evict_useless(cloud: str, needed: Collection[str]) -> int:
    """Have copies removed that no machine needs or may ever start from: deprecated ones; how many.

    One that somebody still vouches for stays, whoever has given it up.
    """
    used = Entry.objects.newest().filter(is_deprecated=False).values("identifier")
    given_up = Entry.objects.newest().filter(is_deprecated=True).values("identifier")
    rows = ImageFile.objects.filter(cloud=cloud, state=ImageState.READY)
    useless = rows.filter(identifier__in=given_up).exclude(identifier__in=used)
    return sum(_evict(image, _USELESS) for image in useless if image.identifier not in needed)


def _weigh(rows: QuerySet[ImageFile]) -> None:
    """Have a worker look, once, how much those take of which nobody has written it down."""
    for image in rows.select_related("entry"):
        if is_proven(image, image.entry):
            _want_again(image, used_at=timezone.now())


def _evict(image: ImageFile, reason: str = _ROOM_NEEDED) -> bool:
    with suppress(StaleState):
        image.move(ImageState.EVICTING, reason=reason)
        tasks.ring_row(image)
        return True
    return False

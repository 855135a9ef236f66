"""Checks of the Marketplace: where images land and are kept, who signs, where they come from."""

import os
import shutil
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import DatabaseError
from django.db.models import Q, Sum
from django.urls import reverse
from django.utils import timezone

from core.errors import Refused
from marketplace.actions import keys, site
from marketplace.models import DocumentArrival, Draft, Entry, ImageFile, SigningKey, Source
from marketplace.states import IN_LINE, EntryStatus, SourceState
from portal.doctor.check import Check, fault, ok, warning
from portal.doctor.host import DISK_WARNING_BYTES, GIB

_FETCHED: Any = (ImageFile, Draft, DocumentArrival, Source)
#: A fetch that has not begun for so long waits behind others.
QUEUE_PATIENCE = timedelta(minutes=15)
#: A source whose imports have failed for so long is told of, or twice its own rhythm.
SOURCE_PATIENCE = timedelta(days=3)
#: The site's certificate is renewed by hand, and others must be told.
KEY_NOTICE = timedelta(days=90)


def landing() -> Iterator[Check]:
    """The place where images land, on their way into a cloud."""
    name = "Landing place of images"
    place = Path(settings.PORTAL_IMAGE_ARRIVALS)
    there = next(path for path in (place, *place.parents) if path.exists())
    fix = "Correct its owner, or set PORTAL_IMAGE_ARRIVALS."
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        yield fault(name, f"{place} cannot be written: no image can be fetched.", fix)
        return
    free = shutil.disk_usage(there).free
    sentence = f"{free / GIB:.1f} GiB free in {place}."
    fix = "Make room there, or set PORTAL_IMAGE_ARRIVALS to a folder on a larger disk."
    if free < GIB:
        yield fault(name, f"{sentence} No image is fetched below 1 GiB.", fix)
    elif free < DISK_WARNING_BYTES:
        yield warning(name, sentence, fix)
    else:
        yield ok(name, sentence)


def copies() -> Iterator[Check]:
    """The copies of images in each cloud, against the room that they may take."""
    name = "Copies of images"
    kept_of = ImageFile.objects.exclude(ref="").order_by().values_list("cloud")
    try:
        kept = dict(kept_of.annotate(Sum("kept_bytes")))
    except DatabaseError:
        return  # said already
    limit = settings.PORTAL_IMAGE_CACHE_GIB * GIB
    for cloud in settings.CLOUDS:
        taken = kept.get(cloud, 0)
        of = f"of {limit / GIB:.0f} GiB" if limit else "and have no limit"
        sentence = f"In the cloud {cloud} they take {taken / GIB:.1f} GiB {of}."
        if limit and taken > limit:
            fix = "Machines use them all: make room and raise PORTAL_IMAGE_CACHE_GIB."
            yield warning(name, sentence, fix)
        else:
            yield ok(name, sentence)


def queue() -> Iterator[Check]:
    """What waits for its turn: images, drafts, documents and catalogues are fetched in lanes."""
    name = "Fetching of images"
    late = timezone.now() - QUEUE_PATIENCE
    in_line = Q(reason__startswith=IN_LINE, cloud__in=settings.CLOUDS, next_tick_at__isnull=False)
    try:
        waits = [table.objects.filter(in_line) for table in _FETCHED]
        count = sum(rows.count() for rows in waits)
        long = sum(rows.filter(state_since__lt=late).count() for rows in waits)
    except DatabaseError:
        return  # said already
    if long:
        minutes = QUEUE_PATIENCE // timedelta(minutes=1)
        sentence = f"{long} of {count} in line wait for more than {minutes} minutes."
        fix = "Slow servers hold the lanes. What is fetched can be stopped on the page of its copy."
        yield warning(name, sentence, fix)
    else:
        yield ok(name, f"{count} in line; none waits longer than it should.")


def sources() -> Iterator[Check]:
    """Other catalogues that are switched on, and that nothing has come from for days."""
    name = "Sources of images"
    try:
        known = list(Source.objects.exclude(state=SourceState.OFF).order_by("name"))
    except DatabaseError:
        return  # said already
    failing = [source for source in known if _has_failed_for_long(source)]
    for source in failing:
        since = f"since {source.imported_at:%Y-%m-%d}" if source.imported_at else "yet"
        sentence = f"Nothing has been imported from {source} {since}: {source.reason}"
        yield warning(name, sentence, f"See {settings.PORTAL_URL}{source.get_absolute_url()}")
    if known and not failing:
        yield ok(name, f"All {len(known)} that are switched on are imported.")


def _has_failed_for_long(source: Source) -> bool:
    if not source.reason or source.state != SourceState.DUE:
        return False
    patience = max(SOURCE_PATIENCE, 2 * timedelta(hours=source.every_hours))
    return source.imported_at is None or source.imported_at < timezone.now() - patience


def site_key() -> Iterator[Check]:
    """The key that signs the site's images and people's certificates."""
    name = "Signing key"
    page = f"{settings.PORTAL_URL}{reverse('marketplace:keys')}"
    try:
        key = SigningKey.objects.filter(slot=keys.SITE_SLOT).first()
        if key is None:
            yield ok(name, "The site has none yet; it is made at its first use.")
            return
        keys.signer_of(key)
    except DatabaseError:
        return  # said already
    except Refused as refused:
        fix = f"Set PORTAL_SECRET_KEY_BEFORE to the former secret, or end the key: {page}"
        yield fault(name, f"The site's own cannot sign. {refused}", fix)
        return
    sentence = f"The site's own is good until {key.not_after:%Y-%m-%d}."
    if key.not_after < timezone.now() + KEY_NOTICE:
        fix = f"End it and tell other sites of the new certificate: {page}"
        yield warning(name, sentence, fix)
    else:
        yield ok(name, sentence)


def of_the_site() -> Iterator[Check]:
    """Entries of the site that are good now: their files, their addresses, their end."""
    name = "Images of the site"
    said = Entry.objects.filter(is_official=True).newest().with_status(EntryStatus.VALID)
    try:
        known = list(said.order_by("title", "pk"))
    except DatabaseError:
        return  # said already
    found = [*_lost(name, known), *_astray(name, known), *_ending(name, known)]
    yield from found or [ok(name, f"Nothing is wrong with any of the {len(known)} that are valid.")]


def _lost(name: str, known: list[Entry]) -> Iterator[Check]:
    for entry in known:
        path = entry.site_file
        if path is None or (path.is_file() and path.stat().st_size == entry.size_bytes):
            continue
        fix = f"Put it back to {path}, or build the image again."
        yield fault(name, f"The file of {entry.label} is gone or cut short.", fix)


def _astray(name: str, known: list[Entry]) -> Iterator[Check]:
    if astray := [entry for entry in known if not site.names_this_site(entry)]:
        sentence = f"{_some(astray)} name an address that the site had before."
        yield warning(name, sentence, ".venv/bin/python manage.py endorse_site_images")


def _ending(name: str, known: list[Entry]) -> Iterator[Check]:
    if ending := [entry for entry in known if site.ends_soon(entry)]:
        days = site.RENEW_BEFORE // timedelta(days=1)
        sentence = f"{_some(ending)} end within {days} days."
        fix = "Extend them on their pages, or build them anew: manage.py build_… --if-missing"
        yield warning(name, sentence, fix)


def _some(entries: list[Entry]) -> str:
    """How many, and what the first of them are called."""
    names = ", ".join(entry.label for entry in entries[:3])
    more = ", …" if len(entries) > 3 else ""
    return f"{len(entries)} of its entries ({names}{more})"

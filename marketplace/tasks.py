"""Doors with bells: tasks carry ids, take one step, and ring for the next."""

from collections.abc import Mapping
from datetime import timedelta
from threading import Lock
from typing import Any

from celery import shared_task
from django.conf import settings

from core.bells import NOW, ring
from core.machine import Stateful, due, tick
from marketplace import lanes, trusting
from marketplace.lifecycle import (
    DOCUMENT_STEPS,
    DRAFT_STEPS,
    IMAGE_STEPS,
    INSPECTION_STEPS,
    PENDING_STEPS,
    SOURCE_STEPS,
    checks,
    forgetting,
    images,
    importing,
    reminders,
    telling,
)
from marketplace.models import (
    DocumentArrival,
    Draft,
    ImageFile,
    Inspection,
    Pending,
    Source,
    TrustedCertificate,
)
from marketplace.search import spelling

#: Rows of each table that one sweep rings; the next sweep is two seconds away.
SWEEP_ROWS = 200
#: Servers that do not answer keep one look at locations busy, never two.
_looks = Lock()


@shared_task(name="marketplace.tick_image")
def tick_image(pk: int) -> None:
    rows = ImageFile.objects.select_related("entry", "entry__owner")
    _tick(rows.filter(pk=pk).first(), IMAGE_STEPS)


@shared_task(name="marketplace.tick_draft")
def tick_draft(pk: int) -> None:
    rows = Draft.objects.select_related("owner", "volume")
    _tick(rows.filter(pk=pk).first(), DRAFT_STEPS)


@shared_task(name="marketplace.tick_pending")
def tick_pending(pk: int) -> None:
    _tick(Pending.objects.filter(pk=pk).first(), PENDING_STEPS)


@shared_task(name="marketplace.tick_document")
def tick_document(pk: int) -> None:
    _tick(DocumentArrival.objects.select_related("owner").filter(pk=pk).first(), DOCUMENT_STEPS)


@shared_task(name="marketplace.tick_inspection")
def tick_inspection(pk: int) -> None:
    rows = Inspection.objects.select_related("volume")
    _tick(rows.filter(pk=pk).first(), INSPECTION_STEPS)


@shared_task(name="marketplace.tick_source")
def tick_source(pk: int) -> None:
    _tick(Source.objects.filter(pk=pk).first(), SOURCE_STEPS)


def _tick(row: Any, steps: Mapping[str, Any]) -> None:
    if row is None:
        return
    lane = lanes.lane_of(row)
    if lane is None:
        wait = tick(row, steps)
    else:
        with lane.room(row) as why_not:
            if why_not:
                lanes.tell(row, why_not)
                return  # the sweep rings again; a bell of our own would multiply with it
            lanes.tell_no_more(row)
            wait = tick(row, steps, is_long=True)
    if wait is not None:
        ring_row(row, after=wait)


@shared_task(name="marketplace.sweep")
def sweep() -> None:
    """Ring whatever is overdue. A bell can get lost; a row cannot.

    Nobody answers the bells of a cloud that the site no longer has: they would pile up.
    """
    clouds = list(settings.CLOUDS)
    for source in importing.begin_due(clouds):
        ring_row(source)
    for table in (ImageFile, Draft, DocumentArrival, Source):
        rows: Any = table._default_manager.filter(cloud__in=clouds)
        for row in due(rows)[:SWEEP_ROWS]:
            ring_row(row)
    inspections = Inspection.objects.filter(volume__cloud__in=clouds).select_related("volume")
    for inspection in due(inspections)[:SWEEP_ROWS]:
        ring_row(inspection)
    for pending in due(Pending.objects.all())[:SWEEP_ROWS]:
        ring_row(pending)


@shared_task(name="marketplace.tidy")
def tidy() -> None:
    """Remove stray files of the landing place, and what came in and was answered long ago."""
    images.tidy()
    forgetting.forget()


@shared_task(name="marketplace.check_locations")
def check_locations() -> None:
    """Look whether files are where entries say, some of them."""
    if _looks.acquire(blocking=False):
        try:
            checks.check_some()
        finally:
            _looks.release()


@shared_task(name="marketplace.check_new_locations")
def check_new_locations() -> None:
    """Look whether the files of what has just been published are there."""
    if _looks.acquire(blocking=False):
        try:
            checks.check_new()
        finally:
            _looks.release()


@shared_task(name="marketplace.remind")
def remind() -> None:
    """Tell endorsers of what is about to end, and of what they vouch for."""
    reminders.remind()


@shared_task(name="marketplace.tell")
def tell() -> None:
    """Tell who uses an image that it was deprecated."""
    telling.tell()


@shared_task(name="marketplace.weigh")
def weigh(pk: int = 0) -> None:
    """Look anew at what all signatures are worth; ``pk`` is the certificate that rang."""
    trusting.weigh()


def ring_weighing(certificate: TrustedCertificate) -> None:
    """Have the signatures weighed that the change of a certificate may touch."""
    ring(weigh, certificate.pk or 0, queue="celery")


_TASKS: Mapping[type[Stateful], Any] = {
    ImageFile: tick_image,
    Draft: tick_draft,
    Inspection: tick_inspection,
    Pending: tick_pending,
    DocumentArrival: tick_document,
    Source: tick_source,
}


def ring_row(row: Any, *, after: timedelta = NOW) -> None:
    """Have a worker look at it, one of its cloud's, once this transaction commits."""
    lane = "bulk" if lanes.lane_of(row) else "cloud"
    cloud = row.cloud_name or settings.DEFAULT_CLOUD
    ring(_TASKS[type(row)], row.pk, queue=f"{lane}.{cloud}", after=after)


@shared_task(name="marketplace.learn_words")
def learn_words() -> None:
    """Take the words of new entries, for searches that mistype them."""
    spelling.learn()

"""Doors with bells: tasks carry ids, take one step, and ring for the next."""

from datetime import timedelta
from threading import BoundedSemaphore

from celery import shared_task

from core.bells import NOW, ring
from core.machine import due, tick
from marketplace.lifecycle import IMAGE_STEPS
from marketplace.models import ImageFile
from marketplace.states import ImageState

#: Rows one sweep rings; the next sweep is two seconds away.
SWEEP_ROWS = 200
#: Images that one process copies at the same time; its other threads answer questions.
COPIES_AT_ONCE = 2

_lanes = BoundedSemaphore(COPIES_AT_ONCE)


@shared_task(name="marketplace.tick_image")
def tick_image(pk: int) -> None:
    image = ImageFile.objects.select_related("entry").filter(pk=pk).first()
    if image is None:
        return
    is_bulk = image.state == ImageState.COPYING
    if is_bulk and not _lanes.acquire(blocking=False):
        return  # the sweep rings again; a bell of our own would multiply with it
    try:
        wait = tick(image, IMAGE_STEPS, is_long=is_bulk)
    finally:
        if is_bulk:
            _lanes.release()
    if wait is not None:
        ring_image(image, after=wait)


@shared_task(name="marketplace.sweep")
def sweep() -> None:
    """Ring whatever is overdue. A bell can get lost; a row cannot."""
    for image in due(ImageFile.objects.all())[:SWEEP_ROWS]:
        ring_image(image)


def ring_image(image: ImageFile, *, after: timedelta = NOW) -> None:
    """Have a worker of this image's cloud look at it, once this transaction commits."""
    lane = "bulk" if image.state == ImageState.COPYING else "cloud"
    ring(tick_image, image.pk, queue=f"{lane}.{image.cloud}", after=after)

"""Doors with bells: mails that wait, the daily mail about who does, deliveries to webhooks."""

from threading import BoundedSemaphore

from celery import shared_task

from core.bells import NOW, ring
from core.machine import due, tick
from registration import digest, outbox
from registration.lifecycle import DELIVERY_STEPS, forget_notifications
from registration.models import Delivery, OutgoingMail

#: Deliveries that one sweep rings; the next sweep is seconds away.
SWEEP_ROWS = 100
#: They wait for servers of others: so many at the same time in one process.
DELIVERIES_AT_ONCE = 4
_lanes = BoundedSemaphore(DELIVERIES_AT_ONCE)


@shared_task(name="registration.deliver")
def deliver(pk: int = 0) -> None:
    """Send every mail that is due; ``pk`` is the one that rang. A sweep rings without one."""
    outbox.deliver()


@shared_task(name="registration.digest")
def send_digest() -> None:
    """Tell the administrators who waits, once a day. Again and again does no harm."""
    if (mails := digest.write()) and mails[0].pk:
        ring_mail(mails[0])


@shared_task(name="registration.tidy")
def tidy() -> None:
    outbox.forget()
    digest.forget()
    forget_notifications()


def ring_mail(mail: OutgoingMail) -> None:
    """Have a worker send it, and what else is due, once this transaction commits."""
    ring(deliver, mail.pk, queue="celery")


@shared_task(name="registration.tick_delivery")
def tick_delivery(pk: int) -> None:
    """Try one delivery, if it is due. The sweep rings for the next try, not we."""
    if not _lanes.acquire(blocking=False):
        return  # the sweep rings again
    try:
        row = Delivery.objects.select_related("webhook__owner").filter(pk=pk).first()
        wait = tick(row, DELIVERY_STEPS, is_long=True) if row else None
    finally:
        _lanes.release()
    if row and wait == NOW:
        ring_delivery(row)


@shared_task(name="registration.sweep")
def sweep() -> None:
    """Ring every delivery that is overdue."""
    for delivery in due(Delivery.objects.all())[:SWEEP_ROWS]:
        ring_delivery(delivery)


def ring_delivery(delivery: Delivery) -> None:
    """Have a worker try it, once this transaction commits."""
    ring(tick_delivery, delivery.pk, queue="celery")

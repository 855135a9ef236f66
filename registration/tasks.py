"""Doors with bells: mails that wait, and the daily mail about who does."""

from celery import shared_task

from core.bells import ring
from registration import digest, outbox
from registration.models import OutgoingMail


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


def ring_mail(mail: OutgoingMail) -> None:
    """Have a worker send it, and what else is due, once this transaction commits."""
    ring(deliver, mail.pk, queue="celery")

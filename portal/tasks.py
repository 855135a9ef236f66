"""Housekeeping that belongs to no app."""

from celery import shared_task
from django.core.management import call_command

from registration import mailbox
from vms import sampling


@shared_task(name="portal.tidy")
def tidy() -> None:
    """Every hour: forget sessions that have ended, old mails, and samples that no plot shows."""
    call_command("clearsessions")
    mailbox.tidy()
    sampling.thin()

"""Checks of what the portal talks to: database, Redis, workers, mail."""

import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import redis as redis_client
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.mail import get_connection
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django.urls import reverse
from django.utils import timezone

from portal.doctor.check import Check, fault, ok, warning
from registration.emails import is_kept_in_files
from registration.models import OutgoingMail
from vms.models import CloudStatus

#: A worker looks at every cloud each 15 s; after four missed looks something is wrong.
WORKER_SILENCE = timedelta(seconds=60)
#: Mails leave within seconds, or the mail server does not take them.
MAIL_PATIENCE = timedelta(minutes=5)
#: Clocks of two computers may differ by this much before states look odd.
CLOCK_DIFFERENCE_S = 2.0


def database() -> Iterator[Check]:
    name = "Database"
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        executor = MigrationExecutor(connection)
        missing = executor.migration_plan(executor.loader.graph.leaf_nodes())
    except (DatabaseError, ImproperlyConfigured, OSError) as exc:
        yield fault(name, f"The database does not answer: {exc}".strip(), "Check DATABASE_URL.")
        return
    if missing:
        sentence = f"{len(missing)} changes to its tables are not made yet."
        yield fault(name, sentence, ".venv/bin/python manage.py migrate")
    elif connection.vendor == "sqlite":
        yield _sqlite(name)
    else:
        yield ok(name, f"{connection.display_name} answers and is up to date.")


def _sqlite(name: str) -> Check:
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA journal_mode")
        mode = cursor.fetchone()[0]
    if mode != "wal":
        sentence = f"SQLite works in {mode} mode: pages wait for every write."
        fix = "Put PORTAL_HOME on a local disk (WAL does not work over a network)."
        return fault(name, sentence, fix)
    return ok(name, "SQLite answers, is up to date, and works in WAL mode.")


def redis() -> Iterator[Check]:
    name = "Redis"
    fix = "Start the portal (its Redis starts with it), or check REDIS_URL."
    try:
        client = redis_client.Redis.from_url(
            settings.REDIS_URL, socket_timeout=3, socket_connect_timeout=3
        )
        version = client.info("server")["redis_version"]
        seconds, microseconds = client.time()
        client.close()
    except (redis_client.RedisError, ValueError) as exc:
        yield fault(name, f"Redis does not answer: {exc}", fix)
        return
    ahead = seconds + microseconds / 1e6 - time.time()
    if abs(ahead) > CLOCK_DIFFERENCE_S:
        sentence = f"The clock of Redis differs from ours by {abs(ahead):.0f} s."
        yield fault(name, sentence, "Run a time service on both computers.")
    else:
        yield ok(name, f"Redis {version} answers.")


def workers() -> Iterator[Check]:
    """A worker that looked at a cloud a moment ago proves worker, beat and Redis at once."""
    try:
        known = {status.cloud: status for status in CloudStatus.objects.all()}
    except DatabaseError:
        return  # said already
    for cloud in settings.CLOUDS:
        yield _worker(cloud, known.get(cloud))


def _worker(cloud: str, status: CloudStatus | None) -> Check:
    name = f"Worker for {cloud}"
    fix = (
        "Start the portal (make run, or systemctl start stratuslab-portal.target)"
        " and read the lines of worker and beat."
    )
    if status and status.trouble:
        return fault(name, f"The cloud has trouble: {status.trouble}", "See the worker's lines.")
    if status is None or status.seen_at is None:
        return fault(name, f"No worker has looked at the cloud {cloud} yet.", fix)
    silence = timezone.now() - status.seen_at
    if silence > WORKER_SILENCE:
        ago = f"{silence.total_seconds():.0f} s"
        return fault(name, f"The last look at the cloud {cloud} was {ago} ago.", fix)
    return ok(
        name, f"{status.engine or 'The engine'} answered {silence.total_seconds():.0f} s ago."
    )


def mail() -> Iterator[Check]:
    name = "Mail"
    if is_kept_in_files():
        yield _mail_files(name)
        return
    try:
        outbox = get_connection()
        outbox.open()
        outbox.close()
    except OSError as exc:  # smtplib's errors are OSErrors
        sentence = f"The mail server {settings.EMAIL_HOST} does not take mail: {exc}"
        yield fault(name, sentence, "Check EMAIL_HOST, EMAIL_PORT, EMAIL_HOST_USER and TLS.")
        return
    yield ok(
        name, f"{settings.EMAIL_HOST} takes mail; it comes from {settings.DEFAULT_FROM_EMAIL}."
    )


def outgoing_mail() -> Iterator[Check]:
    """Mails that should have left: none that was written a while ago is still here."""
    name = "Outgoing mail"
    try:
        late = OutgoingMail.objects.waiting().filter(created_at__lt=timezone.now() - MAIL_PATIENCE)
        waiting, given_up = late.count(), OutgoingMail.objects.given_up().count()
        error = late.exclude(error="").values_list("error", flat=True).last()
    except DatabaseError:
        return  # said already
    why = f" The latest answer: {error}" if error else " No worker has tried to send them."
    fix = f"See {settings.PORTAL_URL}{reverse('registration:undelivered')}"
    if waiting:
        yield fault(name, f"{waiting} mails wait longer than they should.{why}", fix)
    elif given_up:
        yield warning(name, f"{given_up} mails were given up: their readers know nothing.", fix)
    else:
        yield ok(name, "No mail waits.")


def _mail_files(name: str) -> Check:
    folder = Path(settings.EMAIL_FILE_PATH)
    sentence = f"Mails are not sent; they are files in {folder} that administrators can read."
    return warning(name, sentence, "Set EMAIL_HOST (see docs/administrators/configuration.md).")

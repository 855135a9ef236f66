"""Mails on their way: written with what they tell of, sent by a worker, tried again.

A mail is a row of the same transaction, so none is lost with a process and none is sent for
what was rolled back. Whoever takes a row books its next try in the same UPDATE: killed
between the sending and the deleting, a worker may send twice, and never not at all. Both
copies carry one Message-ID, which mail programs know them by.
"""

import json
import logging
import smtplib
import threading
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import timedelta
from email.errors import MessageError
from urllib.parse import urlsplit

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.mail import EmailMultiAlternatives, get_connection
from django.core.mail.backends.base import BaseEmailBackend
from django.core.mail.message import sanitize_address
from django.utils import timezone

from registration.letters import Letter
from registration.models import OutgoingMail
from registration.sealing import Unreadable, seal, unseal

logger = logging.getLogger(__name__)

#: A worker that took a mail and says nothing for so long has been killed.
LEASE = timedelta(minutes=2)
#: Doubled after each try: the twelfth is half a day after the first.
FIRST_PAUSE = timedelta(seconds=30)
LONGEST_PAUSE = timedelta(hours=4)
MOST_TRIES = 12
#: How long it is remembered who was not told.
KEEP_GIVEN_UP = timedelta(days=30)

#: What the words or the addresses of one mail may raise, on their way through codecs and headers.
_UNFIT = (ValueError, TypeError, LookupError, MessageError)

#: One after another in each process: a mail server that hangs takes one thread of a worker.
_lane = threading.Lock()


class Unfit(Exception):
    """No mail can be made of this one, or no mail server can be told it, today or later."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attached:
    """A file that goes with a mail: text, in UTF-8."""

    name: str
    type: str  # "application/rdf+xml"
    text: str


def put(
    kind: str,
    letter: Letter,
    *,
    to: Iterable[str],
    reply_to: str = "",
    files: Iterable[Attached] = (),
) -> list[OutgoingMail]:
    """Write a mail to each of these addresses; to ``""`` it is written and never sent."""
    said = {"text": letter.text, "html": letter.html, "files": [asdict(file) for file in files]}
    sealed = seal(json.dumps(said))
    rows = [
        OutgoingMail(
            kind=kind, to=address, reply_to=reply_to, subject=letter.subject[:300], sealed=sealed
        )
        for address in to
    ]
    return OutgoingMail.objects.bulk_create(rows)


def deliver() -> int:
    """Send what is due, until nothing is or the mail server fails; how many have left.

    Where somebody in this process is at it already, nothing is done: they find what is due.
    """
    if not _lane.acquire(blocking=False):
        return 0
    try:
        return _deliver()
    finally:
        _lane.release()


def forget() -> None:
    """Let go of what was given up long ago."""
    before = timezone.now() - KEEP_GIVEN_UP
    OutgoingMail.objects.given_up().filter(created_at__lt=before).delete()


def _deliver() -> int:
    sent = 0
    connection: BaseEmailBackend | None = None
    try:
        while mail := _take():
            try:
                connection = connection or _connection()
                _send(mail, connection)
            except Unreadable:
                _give_up(mail, "The portal's secret key has changed since it was written.")
            except Unfit as exc:
                _give_up(mail, str(exc))
                if connection is not None:
                    connection.close()  # it may be in the middle of this mail
            # SMTP's errors are OSErrors too; a ValueError is about our own settings.
            except (OSError, ImproperlyConfigured, ValueError) as exc:
                _note(mail, exc)
                if not _is_about_the_mail(exc):
                    break
            else:
                sent += bool(mail.to)
    finally:
        if connection is not None:
            connection.close()
    return sent


def _take() -> OutgoingMail | None:
    """The next that is due, for us alone until the lease ends."""
    while mail := OutgoingMail.objects.due().first():
        row = OutgoingMail.objects.filter(pk=mail.pk, next_try_at=mail.next_try_at)
        mail.tries += 1
        if mail.tries > MOST_TRIES:  # whoever took it before was killed each time
            _give_up(mail, mail.error or "The worker ended each time it was to be sent.")
        elif row.update(next_try_at=timezone.now() + LEASE, tries=mail.tries):
            return mail
    return None


def _connection() -> BaseEmailBackend:
    """Raises: OSError, ImproperlyConfigured, ValueError: the settings are about all mails."""
    sanitize_address(settings.DEFAULT_FROM_EMAIL, "utf-8")
    return get_connection()


def _send(mail: OutgoingMail, connection: BaseEmailBackend) -> None:
    """Raises: OSError, ImproperlyConfigured, ValueError, Unreadable, Unfit."""
    if mail.to:
        connection.open()  # once: nothing is done if it is open
        try:
            connection.send_messages([_message(mail)])
        except Unreadable:
            raise
        except _UNFIT as exc:
            raise Unfit(f"No mail could be made of it: {_in_words(exc)}") from exc
        logger.info("mail.sent", extra={"kind": mail.kind, "tries": mail.tries})
    mail.delete()


def _message(mail: OutgoingMail) -> EmailMultiAlternatives:
    parts = json.loads(unseal(mail.sealed))
    host = urlsplit(settings.PORTAL_URL).hostname or "localhost"
    message = EmailMultiAlternatives(
        subject=mail.subject,
        body=parts["text"],
        to=[mail.to],
        reply_to=[mail.reply_to] if mail.reply_to else None,
        headers={
            "Auto-Submitted": "auto-generated",  # RFC 3834: no holiday notes in answer
            "Message-ID": f"<{mail.uuid}@{host}>",
        },
    )
    message.attach_alternative(parts["html"], "text/html")
    for file in parts.get("files", ()):  # one that was written by the release before has none
        message.attach(file["name"], file["text"].encode(), file["type"])
    return message


def _is_about_the_mail(exc: Exception) -> bool:
    """Whether the server took others, and refuses this one."""
    return isinstance(exc, smtplib.SMTPRecipientsRefused | smtplib.SMTPDataError)


def _note(mail: OutgoingMail, exc: Exception) -> None:
    """Book the next try, later each time, or give up."""
    error = _in_words(exc)
    logger.error("mail.failed", extra={"kind": mail.kind, "tries": mail.tries, "error": error})
    if mail.tries >= MOST_TRIES or _is_for_good(exc):
        _give_up(mail, error)
        return
    pause = min(FIRST_PAUSE * 2 ** (mail.tries - 1), LONGEST_PAUSE)
    OutgoingMail.objects.filter(pk=mail.pk).update(
        next_try_at=timezone.now() + pause, error=error[:300]
    )


def _is_for_good(exc: Exception) -> bool:
    """Whether the server said of the address that it will never take it: 5xx, RFC 5321, 4.2.1."""
    if not isinstance(exc, smtplib.SMTPRecipientsRefused):
        return False
    return all(500 <= code < 600 for code, _ in exc.recipients.values())


def _in_words(exc: Exception) -> str:
    if isinstance(exc, smtplib.SMTPRecipientsRefused):
        answers = exc.recipients.values()
        return "; ".join(f"{code} {_decoded(said)}" for code, said in answers)
    if isinstance(exc, smtplib.SMTPResponseException):
        return f"{exc.smtp_code} {_decoded(exc.smtp_error)}"
    return str(exc) or type(exc).__name__


def _decoded(said: bytes | str) -> str:
    return said.decode(errors="replace") if isinstance(said, bytes) else said


def _give_up(mail: OutgoingMail, error: str) -> None:
    """Keep who was not told, and why; not the words, which may open a door."""
    OutgoingMail.objects.filter(pk=mail.pk).update(
        next_try_at=None, tries=mail.tries, error=error[:300], sealed=""
    )
    logger.error("mail.given_up", extra={"kind": mail.kind, "error": error})

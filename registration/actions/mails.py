"""The site's own words for its mails, and mails that could not be delivered."""

from typing import Any
from uuid import NAMESPACE_OID, UUID, uuid5

from django.db import transaction
from django.utils import timezone

from core.errors import Refused
from core.models import record
from registration import emails, letters, mailbox, names, throttle
from registration.actions import rules
from registration.models import MailText, OutgoingMail, User, same

#: In a window (throttle.WINDOW), by one administrator, to their own address.
MOST_TRIALS = 20


def change_mail_text(
    kind: letters.Kind, *, by: User, words: letters.Wording, seen: str | None = None
) -> None:
    """Send this mail in the site's own words from now on; the shipped ones need no row.

    ``seen`` is the version that the words are made from (``version_of``), if that matters.

    Raises:
        Refused: ``not_administrator``, ``words_changed``, and those of ``letters.faults``.
    """
    rules.must_be_administrator(by)
    words = as_kept(words)
    for fault in letters.faults(kind, words):
        raise Refused(fault.code, fault.sentence, field=fault.field)
    with transaction.atomic():
        # Locked, so that of two who save at once the second is told.
        own = MailText.objects.select_for_update().filter(kind=kind.name).first()
        if seen is not None and seen != _version(own):
            raise _changed(own)
        before = letters.wording_of(kind)
        if words != before:
            _keep(kind, words, by)
            verb = "mail_text_restored" if words == _shipped(kind) else "mail_text_changed"
            _record(kind, verb, by, before, words)


def _keep(kind: letters.Kind, words: letters.Wording, by: User) -> None:
    if words == _shipped(kind):
        MailText.objects.filter(kind=kind.name).delete()
        return
    values = {"subject": words.subject, "text": words.text, "changed_by": by}
    MailText.objects.update_or_create(
        kind=kind.name, defaults=values | {"changed_at": timezone.now()}
    )


def _shipped(kind: letters.Kind) -> letters.Wording:
    return letters.Wording(kind.subject, kind.text)


def restore_mail_text(kind: letters.Kind, *, by: User) -> None:
    """Go back to the shipped words.

    Raises: Refused: ``not_administrator``.
    """
    change_mail_text(kind, by=by, words=_shipped(kind))


def send_trial(kind: letters.Kind, *, by: User, words: letters.Wording) -> None:
    """Send this mail in these words, with made-up values, to the administrator who asks.

    Raises:
        Refused: ``not_administrator``, ``too_many_mails``, and those of ``letters.faults``.
    """
    rules.must_be_administrator(by)
    words = as_kept(words)
    for fault in letters.faults(kind, words):
        raise Refused(fault.code, fault.sentence, field=fault.field)
    if until := throttle.take(MOST_TRIALS, "trial mail", str(by.uuid)):
        sentence = f"{MOST_TRIALS} trials were sent already. Try again after {until:%H:%M} UTC."
        raise Refused("too_many_mails", sentence)
    with transaction.atomic():
        emails.trial(kind.name, words, to=by.email)
        _tell(kind, "mail_tried", by)


def version_of(kind: letters.Kind) -> str:
    """What tells whether somebody has saved other words meanwhile."""
    return _version(MailText.objects.filter(kind=kind.name).first())


def as_kept(words: letters.Wording) -> letters.Wording:
    text = "\n".join(line.rstrip() for line in words.text.splitlines())
    return letters.Wording(names.one_line(words.subject), text.strip())


def retry_mails(*, by: User) -> int:
    """Try every mail that waits now, not when it would be its turn; how many.

    Raises: Refused: ``not_administrator``.
    """
    rules.must_be_administrator(by)
    with transaction.atomic():
        tried = OutgoingMail.objects.waiting().filter(tries__gt=0)
        count = tried.update(next_try_at=timezone.now())
        record("mail", _UNDELIVERED, "mails_retried", by=by, label="undelivered", count=count)
        if first := OutgoingMail.objects.waiting().first():
            emails.hurry(first)
    return count


def forget_mails(*, by: User) -> int:
    """Forget who was not told: mails that were given up; how many.

    Raises: Refused: ``not_administrator``.
    """
    rules.must_be_administrator(by)
    with transaction.atomic():
        count, _ = OutgoingMail.objects.given_up().delete()
        record("mail", _UNDELIVERED, "mails_forgotten", by=by, label="undelivered", count=count)
    return count


def open_mail(key: str, *, by: User) -> mailbox.Mail | None:
    """A mail that stayed here, and a line in the audit: it may hold somebody's link.

    None: there is no such mail.

    Raises: Refused: ``not_administrator``.
    """
    rules.must_be_administrator(by)
    mail = mailbox.find(key)
    if mail is not None:
        head = mail.head
        subject = uuid5(_UNDELIVERED, key)
        record(
            "mail", subject, "mail_opened", by=by, owner=_only(head.to), label=f"“{head.subject}”",
            recipient=head.to,
        )  # fmt: skip
    return mail


def _only(address: str) -> int | None:
    """Whom a mail is to, if the address is one person's."""
    people = list(User.objects.filter(same("email", address)).values_list("pk", flat=True)[:2])
    return people[0] if len(people) == 1 else None


_UNDELIVERED = uuid5(NAMESPACE_OID, "registration.mails")


def _uuid(kind: letters.Kind) -> UUID:
    return uuid5(_UNDELIVERED, kind.name)


def _version(own: MailText | None) -> str:
    return own.changed_at.isoformat() if own else ""


def _changed(own: MailText | None) -> Refused:
    whose = "Somebody went back to the shipped words"
    if own:
        whose = f"{own.changed_by} saved other words"
    return Refused(
        "words_changed",
        f"{whose} for this mail meanwhile. What you wrote is below and not saved; save it again "
        "to replace theirs.",
    )


def _record(
    kind: letters.Kind, verb: str, by: User, before: letters.Wording, after: letters.Wording
) -> None:
    _tell(
        kind,
        verb,
        by,
        before={"subject": before.subject, "text": before.text},
        after={"subject": after.subject, "text": after.text},
    )


def _tell(kind: letters.Kind, verb: str, by: User, **detail: Any) -> None:
    record("mail_text", _uuid(kind), verb, by=by, label=kind.title, **detail)

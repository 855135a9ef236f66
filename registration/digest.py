"""One mail a day about who waits, where the site wants that instead of one for each."""

from collections.abc import Sequence
from datetime import datetime, time, timedelta
from itertools import islice

from django.conf import settings
from django.db import IntegrityError, transaction
from django.urls import reverse
from django.utils import timezone
from django.utils.timesince import timesince

from registration import elsewhere, outbox
from registration.letters import KINDS, compose
from registration.models import Digest, OutgoingMail, QuotaWish, User

DAILY = "daily"
#: UTC. Later if nobody was there to write it.
AT = time(6, 0)
#: So many are named; the page lists all.
MOST_NAMED = 50
MOST_TOLD = 10_000
KEEP = timedelta(days=60)


def is_daily() -> bool:
    return bool(settings.PORTAL_REGISTRATION_MAILS == DAILY)


def write() -> list[OutgoingMail]:
    """Write today's mails, if it is time and nobody has; who adds the day's row writes them."""
    now = timezone.now()
    if not is_daily() or now.time() < AT or Digest.objects.filter(day=now.date()).exists():
        return []
    try:
        with transaction.atomic():
            Digest.objects.create(day=now.date())
            return _write(now)
    except IntegrityError:  # another one was faster by a moment
        return []


def forget() -> None:
    Digest.objects.filter(day__lt=timezone.now().date() - KEEP).delete()


def _write(now: datetime) -> list[OutgoingMail]:
    people, wishes = User.objects.waiting().count(), QuotaWish.objects.waiting().count()
    others = elsewhere.waiting(MOST_TOLD)
    if not (people + wishes or others):
        return []
    said = [one.said(number) for one, number in others]
    page = "registration:queue" if people else "registration:wishes"
    if not people + wishes:
        page = others[0][0].page
    values = {
        "summary": _summary(people, wishes, said),
        "waiting": "\n".join([*_lines(now, people + wishes), *said]),
        "link": f"{settings.PORTAL_URL}{reverse(page)}",
    }
    addresses = User.objects.administrators().values_list("email", flat=True)
    return outbox.put("digest", compose(KINDS["digest"], values), to=addresses)


def _summary(people: int, wishes: int, others: Sequence[str]) -> str:
    parts = []
    if people:
        parts.append(
            f"{people:,} {'person waits' if people == 1 else 'people wait'} for an account"
        )
    if wishes:
        verb = "wishes for quota wait" if wishes > 1 else "wish for quota waits"
        parts.append(f"{wishes:,} {verb}")
    return ", and ".join([*parts, *others])


def _lines(now: datetime, total: int) -> list[str]:
    """Who waits, the longest first; of many, the first ones."""
    people = User.objects.waiting().order_by("asked_at", "pk")[:MOST_NAMED]
    wishes = QuotaWish.objects.waiting().select_related("owner").order_by("created_at", "pk")
    lines = [
        f"{user.get_full_name()} ({user}), {user.email}: for {_age(user.asked_at, now)}"
        for user in people
    ]
    lines += [
        f"{wish.owner.get_full_name()} ({wish.owner}) asks for {wish.in_words}: "
        f"for {_age(wish.created_at, now)}"
        for wish in islice(wishes[:MOST_NAMED], MOST_NAMED - len(lines))
    ]
    return [*lines, f"and {total - len(lines):,} more"] if total > len(lines) else lines


def _age(since: datetime, now: datetime) -> str:
    return timesince(since, now, depth=1).replace("\xa0", " ")

"""Where a person is signed in: a row for each session, beside Django's own."""

from collections import OrderedDict
from datetime import datetime, timedelta
from typing import Any

from allauth.usersessions.models import UserSession
from django.contrib.auth import SESSION_KEY
from django.contrib.sessions.models import Session
from django.db.models import Exists, OuterRef, QuerySet
from django.http import HttpRequest
from django.utils import timezone

from registration.doors import address_of

#: How often it is written down that somebody was seen.
SEEN_EVERY = timedelta(minutes=5)
#: The sessions one person may have at a time; the one that was quiet longest ends first.
MOST_SESSIONS = 50
#: Sessions whose last sight this process remembers.
MOST_REMEMBERED = 10_000

#: Session key -> when this process last wrote down that it was seen.
_seen: OrderedDict[str, datetime] = OrderedDict()


def of(user: Any) -> "QuerySet[UserSession]":
    """The sessions of ``user`` that are not over, the latest seen first."""
    alive = Session.objects.filter(expire_date__gt=timezone.now()).values("session_key")
    rows: QuerySet[UserSession] = UserSession.objects.filter(user=user, session_key__in=alive)
    return rows.order_by("-last_seen_at", "-pk")


def end(rows: "QuerySet[UserSession]") -> int:
    """End these sessions, at once: how many."""
    keys = list(rows.values_list("session_key", flat=True))
    Session.objects.filter(session_key__in=keys).delete()
    UserSession.objects.filter(session_key__in=keys).delete()
    return len(keys)


def end_unlisted(user: Any) -> None:
    """End those of ``user`` that have no row here: from before there were rows.

    Whose a session is stands inside of it, so that each that has no row is read.
    """
    key = str(user.pk)
    listed = UserSession.objects.filter(session_key=OuterRef("session_key"))
    alive = Session.objects.filter(~Exists(listed), expire_date__gt=timezone.now())
    theirs = [row.pk for row in alive.iterator() if row.get_decoded().get(SESSION_KEY) == key]
    Session.objects.filter(pk__in=theirs).delete()


def make_room(user: Any) -> None:
    """Before one more session: forget those that are over, end the quietest of too many."""
    UserSession.objects.filter(user=user).exclude(pk__in=of(user).values("pk")).delete()
    too_many = list(of(user).values_list("pk", flat=True)[MOST_SESSIONS - 1 :])
    if too_many:
        end(UserSession.objects.filter(pk__in=too_many))


def moved(request: HttpRequest, *, was: str | None) -> None:
    """The session has got a new key; it is still the same one to its owner."""
    UserSession.objects.filter(session_key=was or "").update(
        session_key=request.session.session_key
    )


def note_seen(request: HttpRequest, now: datetime) -> None:
    """Write down, now and then, that this session is used, and from where.

    What a process has not seen before counts as just seen: signing in has written it down.
    """
    key = request.session.session_key or ""
    if now - _seen.setdefault(key, now) < SEEN_EVERY:
        return
    _seen[key] = now
    _seen.move_to_end(key)
    while len(_seen) > MOST_REMEMBERED:
        _seen.popitem(last=False)
    UserSession.objects.filter(session_key=key).update(
        last_seen_at=now, ip=address_of(request) or "127.0.0.1"
    )

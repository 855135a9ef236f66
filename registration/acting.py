"""An administrator who acts as somebody else, to help: the session says so, nothing else does.

``request.user`` is the person then, for every page, policy and action; ``who_acts`` tells
the administrator. The audit names both, because ``core.caller`` does.
"""

from datetime import datetime, timedelta
from importlib import import_module
from typing import Any, NamedTuple

from django.conf import settings
from django.contrib.auth import get_user
from django.http import HttpRequest
from django.utils import timezone

from registration.models import User

#: The session's key: the UUID of the account in whose place its administrator stands, and
#: until when.
KEY = "acting_as"
LIMIT = timedelta(minutes=30)
OVER = "The time was up, or the account has changed."


class Somebody(NamedTuple):
    """Whose session it is: ``user`` for every policy, in whose place the administrator is."""

    user: User
    administrator: User | None


def start(request: HttpRequest, person: User) -> None:
    """Put ``person`` in the administrator's place, from the next request on."""
    until = timezone.now() + LIMIT
    request.session[KEY] = [str(person.uuid), until.isoformat()]
    _tell(request, request.user, person)


def stop(request: HttpRequest) -> None:
    person: User = request.acts_for  # type: ignore[attr-defined]
    request.session.pop(KEY, None)
    request.administrator = None  # type: ignore[attr-defined]
    _tell(request, person)


def _tell(request: HttpRequest, *people: Any) -> None:
    """Make streams that are open look the session up again; they read what is saved."""
    request.session.save()
    for person in people:
        person.announce()


def take_place(request: HttpRequest) -> User | None:
    """Put the account that is acted for in the request; the administrator, if one acts."""
    if KEY not in request.session:
        return None
    administrator: Any = request.user
    person = _acted_for(request.session, administrator)
    if person is None:
        return None
    request.administrator = administrator  # type: ignore[attr-defined]
    request.acts_for = person  # type: ignore[attr-defined]
    request.acts_until = _until(request.session)  # type: ignore[attr-defined]
    request.user = person

    async def auser() -> User:
        return person

    request.auser = auser
    return administrator  # type: ignore[no-any-return]


def over(request: HttpRequest) -> User | None:
    """Who was acted for until the time was up, or something else ended it; forgets it."""
    if KEY not in request.session or who_acts(request):
        return None
    key, _ = request.session.pop(KEY)
    person: User | None = User.objects.filter(uuid=key).first()
    _tell(request, *([person] if person else []))
    return person


def who_acts(request: HttpRequest) -> User | None:
    """The administrator who stands in ``request.user``'s place, if one does."""
    administrator: User | None = getattr(request, "administrator", None)
    return administrator


def behind(session_key: str) -> Somebody | None:
    """Whose session this is at this moment, for doors that stay open; None: nobody's any more."""
    request = HttpRequest()
    request.session = import_module(settings.SESSION_ENGINE).SessionStore(session_key)
    user: Any = get_user(request)  # also compares the session with the present password
    if not user.is_authenticated or not user.is_active:
        return None
    person = _acted_for(request.session, user)
    return Somebody(person, user) if person else Somebody(user, None)


def _acted_for(session: Any, administrator: Any) -> User | None:
    if KEY not in session or not (administrator.is_authenticated and administrator.is_staff):
        return None
    if _until(session) <= timezone.now():
        return None
    person: User | None = User.objects.active().filter(uuid=session[KEY][0], is_staff=False).first()
    return person


def _until(session: Any) -> datetime:
    return datetime.fromisoformat(session[KEY][1])

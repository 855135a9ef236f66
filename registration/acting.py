"""An administrator who acts as somebody else, to help: the session says so, nothing else does."""

from typing import Any

from django.http import HttpRequest

from registration.models import User

#: The session's key: the UUID of the account in whose place its administrator stands.
KEY = "acting_as"


def take_place(request: HttpRequest) -> User | None:
    """Put the account that is acted for in the request; the administrator, if one acts."""
    if KEY not in request.session:
        return None
    administrator: Any = request.user
    if not (administrator.is_authenticated and administrator.is_staff):
        return None
    person = User.objects.active().filter(uuid=request.session[KEY], is_staff=False).first()
    if person is None:
        return None
    known: User = person
    request.administrator = administrator  # type: ignore[attr-defined]
    request.user = person

    async def auser() -> User:
        return known

    request.auser = auser
    return administrator  # type: ignore[no-any-return]


def who_acts(request: HttpRequest) -> User | None:
    """The administrator who stands in ``request.user``'s place, if one does."""
    administrator: User | None = getattr(request, "administrator", None)
    return administrator

"""People who proved who they are and are not let in: a session that opens one page.

They are visitors to every other door: ``request.user`` stays anonymous.
"""

from typing import Any

from django.http import HttpRequest
from django.utils.crypto import constant_time_compare

from registration.models import User
from registration.states import LET_IN, TOLD

KEY = "standing_of"


def remember(request: HttpRequest, user: Any) -> None:
    """Let this session see where ``user`` stands, until their password changes."""
    request.session.cycle_key()
    request.session[KEY] = [str(user.uuid), user.get_session_auth_hash()]


def forget(request: HttpRequest) -> None:
    request.session.pop(KEY, None)


def person_of(request: HttpRequest) -> User | None:
    """Whose standing this session may see; let in since, perhaps."""
    known = request.session.get(KEY)
    if not known:
        return None
    user: User | None = User.objects.filter(uuid=known[0], state__in=TOLD | LET_IN).first()
    if user is None or not constant_time_compare(known[1], user.get_session_auth_hash()):
        return None
    return user

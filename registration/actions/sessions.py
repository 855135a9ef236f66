"""Ending sessions: one, all others, or all."""

from allauth.usersessions.models import UserSession

from registration import sessions
from registration.models import User


def end_session(user: User, session: UserSession) -> None:
    """Sign ``user`` out of one of their sessions."""
    sessions.end(UserSession.objects.filter(pk=session.pk, user=user))
    user.record_event("session_ended", by=user, address_of_session=str(session.ip))


def end_sessions(user: User, *, besides: str | None = None, by: User | None = None) -> int:
    """Sign ``user`` out everywhere, or everywhere but in the session ``besides``: how many."""
    rows = UserSession.objects.filter(user=user).exclude(session_key=besides or "")
    count = sessions.end(rows)
    user.record_event("sessions_ended", by=by or user, count=count)
    return count

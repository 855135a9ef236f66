"""Proving again, with the password, who one is."""

from registration.actions import rules
from registration.identities.directory import SOURCE
from registration.models import User


def has_password(user: User) -> bool:
    """Whether a password proves who ``user`` is: one kept here, or the directory's."""
    return user.source == SOURCE or user.has_usable_password()


def prove_password(user: User, password: str) -> None:
    """Raises: Refused: ``too_many_attempts``, ``password_wrong``."""
    rules.must_know_password(user, password)
    user.record_event("proved_again", by=user, factor="password")

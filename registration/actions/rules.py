"""Rules that several actions share."""

from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from django.contrib.auth import password_validation
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.db.models import Q
from django.utils import timezone

from core.caller import caller
from core.errors import Refused
from core.machine import StaleState
from core.models import NOTHING, Outcome, deny
from registration import throttle
from registration.identities import directory, sources
from registration.models import User
from registration.states import AccountState

if TYPE_CHECKING:
    from collections.abc import Iterator

LONGEST_PASSWORD = 200
#: In a window (throttle.WINDOW), before the current password is asked for no more.
MOST_WRONG_PASSWORDS = 10

#: After this time a request without a confirmed address gives way to who wants its name.
CONFIRM_WITHIN = timedelta(days=7)

#: Django's own looks at the names that Django's own user model has.
_unlike_names = password_validation.UserAttributeSimilarityValidator(
    user_attributes=("given_name", "family_name")
)


def must_be_administrator(by: User) -> None:
    """Outside of a transaction: the denial outlives it. Raises: Refused: ``not_administrator``."""
    if not (by.is_staff and by.is_active):
        by.record_denial("administered", by=by)
        raise Refused("not_administrator", "Only an administrator may do this.")


def must_be_the_person(owner: User, kind: str, verb: str, refused: Refused) -> None:
    """Nobody does this as ``owner``. Outside of a transaction: the denial outlives it.

    Raises: ``refused``.
    """
    if caller.get().administrator is not None:
        label = f"of {owner}"  # as it reads: "add SSH key of alice"
        deny(kind, NOTHING, verb, by=owner, owner=owner.pk, label=label, reason=str(refused))
        raise refused


def must_allow(user: User, verb: str) -> None:
    """Raises: Refused: ``account_state``."""
    if verb not in user.verbs:
        raise Refused(
            "account_state",
            f"The registration of {user} is {user.get_state_display().lower()} by now.",
        )


def must_allow_asking(user: User, verb: str) -> None:
    """Whether this person may ask this about their own request now.

    Raises: Refused: ``account_state``.
    """
    if verb not in user.request_verbs:
        raise has_changed(user)


def has_changed(user: User) -> Refused:
    """The refusal of who asks about a request that is not any more what they saw."""
    state = user.get_state_display().lower()
    return Refused("account_state", f"Your request has changed meanwhile: it is {state} now.")


def must_know_password(user: User, password: str) -> None:
    """Outside of a transaction: what is counted and recorded must outlive the refusal.

    Raises: Refused: ``too_many_attempts``, ``password_wrong``, ``directory_unreachable``.
    """
    what = ("password", str(user.uuid))
    if until := throttle.take(MOST_WRONG_PASSWORDS, *what):
        raise too_many_failures(until)
    if not is_password_of(user, password):
        wrong = "Current password: wrong"
        user.record_event("password_proved", by=user, outcome=Outcome.DENIED, reason=wrong)
        raise Refused("password_wrong", "This is not your current password.", field="password")
    throttle.forget(*what)


def is_password_of(user: User, password: str) -> bool:
    """Whether this is the password of ``user``, here or in the directory.

    Raises: Refused: ``directory_unreachable``.
    """
    if user.source != directory.SOURCE:
        return user.check_password(password)
    entry = in_directory(user.username, password, id=user.source_id)
    if entry is None or user.source_id:
        return entry is not None
    return entry.username.lower() == user.username.lower()


def in_directory(login: str, password: str, *, id: str = "") -> directory.Entry | None:
    """Who this is in the directory, by name or by id; None: nobody, or it is not their password.

    Raises: Refused: ``directory_unreachable``.
    """
    try:
        return directory.look_up(login, password, id=id)
    except directory.Unreachable:
        name = sources.name_of(directory.SOURCE)
        raise Refused(
            "directory_unreachable",
            f"The user name or the password is not right, or {name} keeps it and does not answer "
            "now. Try again in some minutes. Accounts with a password of this portal work "
            "meanwhile.",
        ) from None


def too_many_failures(until: datetime) -> Refused:
    sentence = f"Too many attempts failed. Try again after {until:%H:%M} UTC."
    return Refused("too_many_attempts", sentence)


def new_password(password: str, *, of: User) -> str:
    """Raises: Refused: ``password_weak``."""
    if len(password) > LONGEST_PASSWORD:
        sentence = f"A password has at most {LONGEST_PASSWORD} characters."
        raise Refused("password_weak", sentence, field="new_password")
    try:
        password_validation.validate_password(password, of)
        _unlike_names.validate(password, of)
    except ValidationError as exc:
        raise Refused("password_weak", " ".join(exc.messages), field="new_password") from None
    return password


def must_be_free(*, username: str = "", email: str = "", besides: User | None = None) -> None:
    """Raises: Refused: ``username_taken``, ``email_taken``."""
    others = User.objects.exclude(pk=besides.pk if besides else None)
    if username and others.exclude(_lapsed()).holding(username=username).exists():
        raise Refused(
            "username_taken",
            f"The user name {username} is taken. Choose another one.",
            field="username",
        )
    if email and others.holding(email=email).exists():
        raise Refused(
            "email_taken",
            f"There is an account with the address {email} already. Sign in, or ask for a new "
            "password if it is yours.",
            field="email",
        )


@contextmanager
def alone(*, username: str = "", email: str = "", besides: User | None = None) -> "Iterator[None]":
    """A transaction that writes a name or an address, checked before and by the database.

    Raises: Refused: ``username_taken``, ``email_taken``.
    """
    must_be_free(username=username, email=email, besides=besides)
    try:
        with transaction.atomic():
            if username:
                _free(username, besides)
            yield
    except IntegrityError:  # somebody was faster by a moment
        must_be_free(username=username, email=email, besides=besides)
        raise


def _lapsed() -> Q:
    """Requests that keep their name only as long as nobody else wants it."""
    return Q(state=AccountState.APPLIED, state_since__lt=timezone.now() - CONFIRM_WITHIN)


def _free(username: str, besides: User | None) -> None:
    holders = User.objects.holding(username=username).exclude(pk=besides.pk if besides else None)
    for user in holders.filter(_lapsed()):
        with suppress(StaleState):  # confirmed in this moment: the name is taken after all
            user.move(
                AccountState.WITHDRAWN,
                reason=f"The e-mail address was not confirmed within {CONFIRM_WITHIN.days} days.",
            )

"""Asking for an account."""

from dataclasses import dataclass

from django.contrib.auth.hashers import make_password
from django.db import transaction
from django.utils import timezone

from core.errors import Refused
from registration import names, policies, throttle
from registration.actions import addresses, rules
from registration.actions.keys import add_key
from registration.models import User
from registration.states import AccountState

#: From an address, in a window (throttle.WINDOW): a class that registers together may.
MOST_REGISTRATIONS = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Application:
    """What a person writes on the registration page."""

    username: str
    email: str
    given_name: str
    family_name: str
    password: str = ""  # none for who shows elsewhere who they are
    x500_dn: str = ""
    message: str = ""
    public_key: str = ""
    has_agreed: bool = False


def register(application: Application, *, address: str = "") -> User:
    """Ask for an account. It waits for its address to be confirmed when this returns.

    Nothing tells whether there is an account with this address already. ``address`` is where
    the request comes from; without one it is not limited.

    Raises:
        Refused: ``too_many_attempts``, ``too_many_mails``, ``terms_not_agreed``,
            ``username_taken``, ``password_weak``, and those of ``registration.names`` and
            ``add_key``.
    """
    may_ask(application, address)
    user = person_of(application)
    user.password = make_password(rules.new_password(application.password, of=user))
    rules.must_be_free(username=user.username)
    addresses.may_write_to(user.email)
    with rules.alone(username=user.username):
        user.save()
        user.record_event("registered", by=user, now=user.state)
        if application.public_key.strip():
            add_key(owner=user, text=application.public_key)
        addresses.send_link(user)
        user.announce()
    return user


def may_ask(application: Application, address: str) -> None:
    """Outside of a transaction: what is counted must outlive the refusal.

    Raises: Refused: ``terms_not_agreed``, ``too_many_attempts``.
    """
    if not application.has_agreed:
        raise Refused(
            "terms_not_agreed",
            "You must agree to the terms, conditions, and policies to register.",
            field="agreement",
        )
    until = throttle.take(MOST_REGISTRATIONS, "register", address) if address else None
    if until:
        raise Refused(
            "too_many_attempts",
            f"More than {MOST_REGISTRATIONS} registrations were tried from your network address. "
            f"Try again after {until:%H:%M} UTC.",
        )


def person_of(application: Application) -> User:
    """The account that is asked for, without a password, and not saved.

    Raises: Refused: those of ``registration.names``.
    """
    return User(
        username=names.username(application.username),
        email=names.email(application.email),
        given_name=names.given_name(application.given_name),
        family_name=names.family_name(application.family_name),
        x500_dn=names.x500_dn(application.x500_dn),
        message=names.message(application.message),
        policy_version=policies.current().version,
        policy_agreed_at=timezone.now(),
    )


@transaction.atomic
def create_administrator(*, username: str, email: str, password: str) -> User | None:
    """The first administrator, active at once; None if there is one already.

    Raises:
        Refused: ``username_invalid``, ``username_taken``, ``email_invalid``,
            ``email_taken``, ``password_weak``.
    """
    if User.objects.administrators().exists():
        return None
    user = User(
        username=names.username(username, may_be_reserved=True),
        email=names.email(email),
        given_name="Portal",
        family_name="Administrator",
        is_staff=True,
        state=AccountState.ACTIVE,
        email_confirmed_at=timezone.now(),
        policy_version=policies.current().version,  # who installs the site answers for them
    )
    user.password = make_password(rules.new_password(password, of=user))
    with rules.alone(username=user.username, email=user.email):
        user.save()
        user.record_event("created", now=user.state, is_staff=True)
    return user

"""From a request to an account, and what an administrator decides about it."""

from collections.abc import Mapping
from dataclasses import dataclass

from django.contrib.auth.hashers import make_password
from django.db import transaction
from django.utils import timezone

from core.errors import Refused
from core.machine import StaleState
from core.models import record
from registration import emails, names, policies, throttle
from registration.actions import rules
from registration.actions.keys import add_key
from registration.models import User
from registration.states import AccountState

#: From an address, in a window (throttle.WINDOW): a class that registers together may.
MOST_REGISTRATIONS = 40

LONGEST_REASON = 500
LARGEST_QUOTA = 1_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Application:
    """What a person writes on the registration page."""

    username: str
    email: str
    given_name: str
    family_name: str
    password: str
    x500_dn: str = ""
    message: str = ""
    public_key: str = ""
    has_agreed: bool = False


def register(application: Application, *, address: str = "") -> User:
    """Ask for an account. It waits for an administrator when this returns.

    ``address`` is where the request comes from; without one it is not limited.

    Raises:
        Refused: ``too_many_attempts``, ``terms_not_agreed``, ``username_invalid``,
            ``username_taken``, ``email_invalid``, ``email_taken``, ``given_name_invalid``,
            ``family_name_invalid``, ``x500_dn_invalid``, ``password_weak``,
            ``message_too_long``, and those of ``add_key``.
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
    user = _new(application)
    with rules.alone(username=user.username, email=user.email):
        user.save()
        record(user.KIND, user.uuid, "registered", by=user, now=user.state)
        if application.public_key.strip():
            add_key(owner=user, text=application.public_key)
        emails.received(user)
        emails.requested(user, User.objects.administrators())
        user.announce()
    return user


def _new(application: Application) -> User:
    user = User(
        username=names.username(application.username),
        email=names.email(application.email),
        given_name=names.given_name(application.given_name),
        family_name=names.family_name(application.family_name),
        x500_dn=names.x500_dn(application.x500_dn),
        message=names.message(application.message),
        policy_version=policies.current().version,
        policy_agreed_at=timezone.now(),
    )
    user.password = make_password(rules.new_password(application.password, of=user))
    return user


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
        username=names.username(username),
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
        record(user.KIND, user.uuid, "created", now=user.state, is_staff=True)
    return user


def approve(user: User, *, by: User) -> None:
    """Let the person in, and tell them.

    Raises:
        Refused: ``not_administrator``, ``account_state``.
    """
    _decide(user, "approve", AccountState.ACTIVE, by=by)


def reject(user: User, *, by: User, reason: str) -> None:
    """Refuse the request, and tell the person why. Their name and address become free.

    Raises:
        Refused: ``not_administrator``, ``account_state``, ``reason_missing``,
            ``reason_too_long``.
    """
    reason = reason.strip()
    if not reason:
        raise Refused(
            "reason_missing", "Write why, in a sentence; the person reads it.", field="reason"
        )
    if len(reason) > LONGEST_REASON:
        sentence = f"A reason has at most {LONGEST_REASON} characters; this has {len(reason)}."
        raise Refused("reason_too_long", sentence, field="reason")
    _decide(user, "reject", AccountState.REJECTED, by=by, reason=reason)


def reconsider(user: User, *, by: User) -> None:
    """Undo a rejection: the request waits again, under the name it was made with.

    Raises:
        Refused: ``not_administrator``, ``account_state``, ``username_taken``,
            ``email_taken`` (somebody has registered with it since).
    """
    with rules.alone(username=user.username, email=user.email, besides=user):
        _decide(user, "reconsider", AccountState.APPLIED, by=by)


_LETTERS = {AccountState.ACTIVE: emails.activated, AccountState.REJECTED: emails.rejected}


@transaction.atomic
def _decide(user: User, verb: str, to: AccountState, *, by: User, reason: str = "") -> None:
    rules.must_be_administrator(by)
    rules.must_allow(user, verb)
    try:
        user.move(to, by=by, reason=reason)
    except StaleState:
        sentence = f"Somebody else has just decided about {user}."
        raise Refused("account_state", sentence) from None
    if letter := _LETTERS.get(to):
        letter(user)


@transaction.atomic
def set_quota(user: User, *, by: User, limits: Mapping[str, int | None]) -> None:
    """Set what the person may hold: ``machines``, ``vcpus``, ``memory_mib``; None: as everybody.

    Raises:
        Refused: ``not_administrator``, ``quota_invalid``.
    """
    rules.must_be_administrator(by)
    fields = ("machines", "vcpus", "memory_mib")
    for name in fields:
        limit = limits[name]
        if limit is not None and not 0 <= limit <= LARGEST_QUOTA:
            raise Refused(
                "quota_invalid",
                f"A limit is a whole number from 0 to {LARGEST_QUOTA}, or blank.",
                field=name,
            )
    was = {name: getattr(user, f"quota_{name}") for name in fields}
    for name in fields:
        setattr(user, f"quota_{name}", limits[name])
    user.save(update_fields=[f"quota_{name}" for name in fields])
    record(user.KIND, user.uuid, "quota_set", by=by, before=was, after=dict(limits))
    user.announce()

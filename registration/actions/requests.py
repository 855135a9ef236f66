"""What a person who is not let in yet may ask about their own request."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from django.db import transaction
from django.utils import timezone

from core.errors import Refused
from core.machine import StaleState
from registration import emails, names, throttle
from registration.actions import addresses, rules
from registration.identities import sources
from registration.models import Rejection, User
from registration.states import AccountState

#: By one person, in a window (throttle.WINDOW).
MOST_CHANGES = 20

S = AccountState


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What a person may say anew as long as nobody has let them in."""

    username: str
    email: str
    given_name: str
    family_name: str
    x500_dn: str = ""
    message: str = ""


def resend(user: User) -> None:
    """Mail the link that confirms the address once more.

    Raises:
        Refused: ``account_state``, ``too_many_mails``.
    """
    rules.must_allow_asking(user, "resend")
    addresses.may_write_to(user.email)
    with transaction.atomic():
        user.record_event("link_sent_again", by=user)
        addresses.send_link(user)


def correct(user: User, request: Request) -> None:
    """Say something else than was said. Another address has to be confirmed first.

    Raises:
        Refused: ``account_state``, ``too_many_attempts``, ``too_many_mails``,
            ``username_taken``, ``username_elsewhere``, and those of ``registration.names``.
    """
    rules.must_allow_asking(user, "correct")
    changes = _changes(user, request)
    if not changes:
        return
    _may_change(user, changes)
    with rules.alone(username=changes.get("username", ""), besides=user):
        _load(user, "correct")
        before = {name: getattr(user, name) for name in changes}
        if "email" in changes and user.state != S.APPLIED:
            _move(user, S.APPLIED, before=before, changes=changes, email_confirmed_at=None)
        else:
            _keep(user, before=before, changes=changes)
        if "email" in changes:
            addresses.send_link(user)


def withdraw(user: User) -> None:
    """Take the request back. The name and the address become free.

    Raises:
        Refused: ``account_state``.
    """
    with transaction.atomic():
        _load(user, "withdraw")
        _move(user, S.WITHDRAWN)


def apply_again(user: User, request: Request) -> None:
    """Ask once more after a rejection, or after having withdrawn.

    No rule lets in whom an administrator has rejected: an administrator reads it.

    Raises:
        Refused: ``account_state``, ``too_many_attempts``, ``too_many_mails``,
            ``username_taken``, ``username_elsewhere``, ``email_taken`` (meanwhile), and those
            of ``registration.names``.
    """
    rules.must_allow_asking(user, "apply_again")
    changes = _changes(user, request)
    is_confirmed = user.email_confirmed_at is not None and "email" not in changes
    _may_change(user, changes, has_mail=not is_confirmed)
    email = user.email if is_confirmed else ""
    username = changes.get("username", user.username)
    with rules.alone(username=username, email=email, besides=user):
        _load(user, "apply_again")
        if user.state == S.REJECTED:
            Rejection.objects.keep(user)
        before = {name: getattr(user, name) for name in changes}
        more: dict[str, Any] = {"asked_at": timezone.now()}
        if is_confirmed:
            _move(user, S.CONFIRMED, before=before, changes=changes, **more)
            emails.received(user)
            emails.requested(user, User.objects.administrators())
        else:
            more["email_confirmed_at"] = None
            _move(user, S.APPLIED, before=before, changes=changes, **more)
            addresses.send_link(user)


def keeps_username(user: User) -> bool:
    """Whether somebody else says what this person is called.

    Not if the name cannot be had any more: they would be shut out for good.
    """
    others = User.objects.exclude(pk=user.pk)
    is_lost = names.is_reserved(user.username) or others.holding(username=user.username).exists()
    return bool(user.source) and not is_lost


def _changes(user: User, request: Request) -> dict[str, str]:
    """What is said differently now, each as it is kept."""
    wanted = {
        field: getattr(names, field)(text)  # every field has a rule of its name
        for field, text in asdict(request).items()
    }
    changes = {field: text for field, text in wanted.items() if text != getattr(user, field)}
    if "username" in changes and keeps_username(user):
        raise Refused(
            "username_elsewhere",
            f"Your user name {user.username} came with your sign-in through "
            f"{sources.name_of(user.source)}; it cannot be changed here.",
            field="username",
        )
    return changes


def _may_change(user: User, changes: Mapping[str, str], *, has_mail: bool = False) -> None:
    """Raises: Refused: ``too_many_attempts``, ``too_many_mails``."""
    if until := throttle.take(MOST_CHANGES, "request", str(user.uuid)):
        raise Refused(
            "too_many_attempts",
            f"You have changed your request {MOST_CHANGES} times in a short time. "
            f"Try again after {until:%H:%M} UTC.",
        )
    if "username" in changes:
        rules.must_be_free(username=changes["username"], besides=user)
    if has_mail or "email" in changes:
        addresses.may_write_to(changes.get("email", user.email))


def _load(user: User, verb: str) -> None:
    """Look again, with the row locked.

    Raises: Refused: ``account_state``.
    """
    user.refresh_from_db(from_queryset=User.objects.select_for_update(no_key=True))
    rules.must_allow_asking(user, verb)


def _keep(user: User, *, before: Mapping[str, str], changes: Mapping[str, str]) -> None:
    for name, value in changes.items():
        setattr(user, name, value)
    user.save(update_fields=list(changes))
    user.record_event("request_corrected", by=user, before=dict(before), after=dict(changes))
    user.announce()


def _move(
    user: User,
    to: AccountState,
    *,
    before: Mapping[str, str] | None = None,
    changes: Mapping[str, str] | None = None,
    **more: Any,
) -> None:
    detail = {"before": dict(before or {}), "after": dict(changes)} if changes else {}
    fields = {**(changes or {}), "email_serial": user.email_serial + 1, **more}
    try:
        user.move(to, by=user, detail=detail, **fields)
    except StaleState:
        raise rules.has_changed(user) from None

"""What administrators do with accounts: suspend, resume, close, make administrators."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from allauth.usersessions.models import UserSession
from django.db import transaction
from django.utils import timezone

from core.errors import Refused
from core.models import Outcome
from registration import emails, holdings, sessions
from registration.actions import rules
from registration.actions.legacies import leave_all
from registration.actions.moderation import reason_for_them
from registration.models import QuotaWish, User
from registration.states import AccountState, WishState

#: What becomes of running machines while an account is suspended.
MEANWHILE = ("leave", "shut_down", "kill")


def suspend(user: User, *, by: User, reason: str, machines: str = "leave") -> None:
    """Shut the person out at once, and tell them why. ``machines`` is one of ``MEANWHILE``.

    Raises:
        Refused: ``not_administrator``, ``not_oneself``, ``last_administrator``,
            ``account_state``, ``reason_missing``, ``reason_too_long``.
    """
    rules.must_be_administrator(by)
    reason = reason_for_them(reason)
    _must_not_be_oneself(user, by, "suspend")
    with _administrators_locked(user):
        _load(user, "suspend")
        detail = {"machines": machines}
        user.move(AccountState.SUSPENDED, by=by, reason=reason, detail=detail, new_email="")
        _end_sessions(user)
        if machines != "leave":
            for holding in holdings.every():
                holding.stop(user, by=by, verb=machines)
        emails.suspended(user)


def resume(user: User, *, by: User) -> None:
    """Let a suspended person in again, and tell them.

    Raises:
        Refused: ``not_administrator``, ``account_state``.
    """
    rules.must_be_administrator(by)
    with transaction.atomic():
        _load(user, "resume")
        user.move(AccountState.ACTIVE, by=by)
        emails.resumed(user)


def close(
    user: User, *, by: User, reason: str, heir: User | None = None, is_over_quota: bool = False
) -> None:
    """End an account for good: what it holds goes to ``heir``, or ends.

    The user name stays taken, the address becomes free. ``is_over_quota``: the heir may get
    more than their quota allows.

    Raises:
        Refused: ``not_administrator``, ``not_oneself``, ``last_administrator``,
            ``account_state``, ``reason_missing``, ``reason_too_long``, ``heir_state``,
            ``machines_alive`` (one of them could not be killed), and those of quotas.
    """
    rules.must_be_administrator(by)
    reason = reason_for_them(reason)
    _must_not_be_oneself(user, by, "close")
    with _administrators_locked(user):
        people = [user.pk, heir.pk] if heir else [user.pk]
        locked = {row.pk: row for row in _in_order(people)}
        if heir and (heir.pk == user.pk or not locked[heir.pk].is_active):
            sentence = f"{heir} cannot take over: choose somebody else who is active."
            raise Refused("heir_state", sentence, field="heir")
        _load(user, "close")
        held = holdings.of(user)
        for holding in holdings.every():
            if heir:
                holding.hand_over(user, to=heir, by=by, is_over_quota=is_over_quota)
            else:
                holding.remove(user, by=by)
        if heir and held:
            heir.record_event("took_over", by=by, of=user.username, what=held)
        detail = {"held": held, "heir": heir.username if heir else ""}
        user.move(AccountState.CLOSED, by=by, reason=reason, detail=detail)
        _end_sessions(user)
        _give_up(user, by=by)
        emails.closed(user)


def _in_order(keys: list[int]) -> Iterator[User]:
    """Lock these accounts, always in the same order: two who wait for each other never end."""
    yield from User.objects.select_for_update(no_key=True).filter(pk__in=keys).order_by("pk")


def _give_up(user: User, *, by: User) -> None:
    """What a closed account has no use for."""
    user.api_tokens.filter(revoked_at=None).update(revoked_at=timezone.now())
    user.invitations.all().delete()
    leave_all(user, by=by)
    wishes = QuotaWish.objects.select_for_update().filter(owner=user, state=WishState.WAITING)
    for wish in wishes:
        wish.move(WishState.WITHDRAWN, by=by, reason="The account was closed.")


def make_administrator(user: User, *, by: User) -> None:
    """Let an active person run the site.

    Raises:
        Refused: ``not_administrator``, ``not_active``.
    """
    rules.must_be_administrator(by)
    with transaction.atomic():
        user.refresh_from_db(from_queryset=User.objects.select_for_update(no_key=True))
        if not user.is_active:
            sentence = f"The account {user} is not active: it cannot be an administrator's."
            raise Refused("not_active", sentence)
        _mark(user, is_staff=True, by=by)


def revoke_administrator(user: User, *, by: User) -> None:
    """Make an administrator a person like everybody. Oneself too; never the last.

    Raises:
        Refused: ``not_administrator``, ``last_administrator``.
    """
    rules.must_be_administrator(by)
    with _administrators_locked(user):
        user.refresh_from_db()
        _mark(user, is_staff=False, by=by)


def _mark(user: User, *, is_staff: bool, by: User) -> None:
    if user.is_staff == is_staff:
        return
    user.is_staff = is_staff
    user.save(update_fields=["is_staff"])
    verb = "administrator_made" if is_staff else "administrator_revoked"
    user.record_event(verb, by=by, before={"is_staff": not is_staff}, after={"is_staff": is_staff})
    user.announce()


def revoke_tokens(user: User, *, by: User) -> int:
    """Make every API token of the person worthless; how many there were.

    Raises:
        Refused: ``not_administrator``.
    """
    rules.must_be_administrator(by)
    with transaction.atomic():
        good = user.api_tokens.select_for_update().good()
        names = [token.name for token in good]
        good.update(revoked_at=timezone.now())
        if names:
            user.record_event("tokens_revoked", by=by, tokens=names)
    return len(names)


def act_as(user: User, *, by: User, reason: str) -> None:
    """Note that an administrator begins to act in the place of ``user``, and why.

    Raises:
        Refused: ``not_administrator``, ``not_active``, ``is_administrator``,
            ``reason_missing``, ``reason_too_long``.
    """
    rules.must_be_administrator(by)
    reason = reason_for_them(reason)
    _must_be_actable(user, by)
    user.record_event("acting_started", by=by, reason=reason)


def stop_acting(user: User, *, by: User, reason: str = "") -> None:
    """Note that the administrator is themselves again."""
    user.record_event("acting_stopped", by=by, reason=reason)


def _must_be_actable(user: User, by: User) -> None:
    code = ""
    if not user.is_active:
        code, sentence = "not_active", f"The account {user} is not active: nobody acts for it."
    elif user.is_staff:
        code, sentence = "is_administrator", f"{user} is an administrator: nobody acts for one."
    if code:
        user.record_event("acting_started", by=by, outcome=Outcome.DENIED, reason=sentence)
        raise Refused(code, sentence)


def _must_not_be_oneself(user: User, by: User, verb: str) -> None:
    if user.pk == by.pk:
        sentence = f"You cannot {verb} your own account; another administrator can."
        raise Refused("not_oneself", sentence)


@contextmanager
def _administrators_locked(user: User) -> Iterator[None]:
    """A transaction after which there is still an administrator, whatever happens to ``user``.

    Raises: Refused: ``last_administrator``.
    """
    with transaction.atomic():
        rows = User.objects.administrators().select_for_update(no_key=True).order_by("pk")
        administrators = [row.pk for row in rows] if user.is_staff else []
        if administrators == [user.pk]:
            sentence = f"{user} is the last administrator. Make somebody else one first."
            raise Refused("last_administrator", sentence)
        yield


def _load(user: User, verb: str) -> None:
    """Look again, with the row locked: what counts is how it is now, not how it was shown.

    Raises: Refused: ``account_state``.
    """
    user.refresh_from_db(from_queryset=User.objects.select_for_update(no_key=True))
    if verb not in user.verbs:
        sentence = f"The account {user} is {user.get_state_display().lower()} by now."
        raise Refused("account_state", sentence)


def _end_sessions(user: User) -> None:
    """End what the list of sessions knows, now; and the rest outside of the locks.

    Until then ``is_active`` keeps the rest out; it must be gone before the person is back.
    """
    sessions.end(UserSession.objects.filter(user=user))
    transaction.on_commit(partial(sessions.end_unlisted, user))

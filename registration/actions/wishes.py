"""Asking for more than one's quota, and what administrators answer."""

from collections.abc import Mapping

from django.db import IntegrityError, transaction

from core.errors import Refused
from core.machine import StaleState
from registration import emails, names, throttle
from registration.actions import rules
from registration.actions.moderation import reason_for_them
from registration.actions.quotas import must_be_limits, set_quota
from registration.models import Quota, QuotaWish, User, limits_in_words
from registration.states import WishState

#: Each is a mail to every administrator: in a window (throttle.WINDOW), per person.
MOST_WISHES = 5


def ask_for_more(owner: User, *, limits: Mapping[str, int | None], message: str) -> QuotaWish:
    """Ask the administrators for a larger quota. ``limits``: what is wished for, by name.

    Raises:
        Refused: ``wish_waiting``, ``wish_empty``, ``wish_not_more``, ``message_missing``,
            ``message_too_long``, ``message_invalid``, ``quota_invalid``, ``too_many_attempts``.
    """
    wanted = {name: limit for name, limit in limits.items() if limit is not None}
    must_be_limits(wanted)
    _must_be_more(wanted, owner.quota)
    message = names.message(message)
    if not names.has_letter(message):
        sentence = "Write what you need it for; an administrator decides by it."
        raise Refused("message_missing", sentence, field="message")
    if QuotaWish.objects.waiting().filter(owner=owner).exists():
        raise _waits_already()
    if until := throttle.take(MOST_WISHES, "wish", str(owner.uuid)):
        sentence = f"You asked {MOST_WISHES} times already. Try again after {until:%H:%M} UTC."
        raise Refused("too_many_attempts", sentence)
    try:
        with transaction.atomic():
            wish = QuotaWish.objects.create(owner=owner, message=message, **wanted)
            wish.record_event("asked", by=owner, now=wish.state, wanted=wanted, reason=message)
            emails.wish_asked(wish, User.objects.administrators())
            wish.announce()
    except IntegrityError:  # two tabs
        raise _waits_already() from None
    return wish


def _must_be_more(wanted: Mapping[str, int], quota: Quota) -> None:
    if not wanted:
        raise Refused("wish_empty", "Write what you would like to have more of, and how much.")
    for name, limit in wanted.items():
        has = getattr(quota, name)
        if limit <= has:
            sentence = (
                f"You may hold {limits_in_words({name: has})} already; ask for more than that."
            )
            raise Refused("wish_not_more", sentence, field=name)


def _waits_already() -> Refused:
    return Refused(
        "wish_waiting",
        "A wish of yours waits for an answer. Withdraw it to ask for something else.",
    )


def withdraw_wish(wish: QuotaWish, *, by: User) -> None:
    """Take one's own wish back, before it is answered.

    Raises:
        Refused: ``wish_state``, ``not_owner``.
    """
    if wish.owner_id != by.pk:
        raise Refused("not_owner", "Only who asked may withdraw a wish.")
    with transaction.atomic():
        _load(wish)
        if wish.state != WishState.WAITING:
            raise _answered(wish)
        _move(wish, WishState.WITHDRAWN, by=by)


def grant_wish(
    wish: QuotaWish, *, by: User, limits: Mapping[str, int | None] | None = None
) -> None:
    """Set the quota to what was wished for, or to ``limits`` instead, and tell the person.

    Raises:
        Refused: ``not_administrator``, ``wish_state``, ``quota_invalid``.
    """
    rules.must_be_administrator(by)
    with transaction.atomic():
        _load(wish)
        _must_allow(wish, "grant")
        given = {name: limit for name, limit in (limits or {}).items() if limit is not None}
        given = given or wish.limits
        owner = User.objects.select_for_update(no_key=True).get(pk=wish.owner_id)
        set_quota(owner, by=by, limits=given)
        reason = "" if given == wish.limits else f"You may now hold {limits_in_words(given)}."
        _move(wish, WishState.GRANTED, by=by, reason=reason, detail={"granted": given})
        wish.owner = owner
        emails.wish_granted(wish)


def decline_wish(wish: QuotaWish, *, by: User, reason: str) -> None:
    """Leave the quota as it is, and tell the person why.

    Raises:
        Refused: ``not_administrator``, ``wish_state``, ``reason_missing``, ``reason_too_long``.
    """
    rules.must_be_administrator(by)
    reason = reason_for_them(reason)
    with transaction.atomic():
        _load(wish)
        _must_allow(wish, "decline")
        _move(wish, WishState.DECLINED, by=by, reason=reason)
        emails.wish_declined(wish)


def reconsider_wish(wish: QuotaWish, *, by: User) -> None:
    """Undo that a wish was declined: it waits again.

    Raises:
        Refused: ``not_administrator``, ``wish_state``, ``wish_waiting`` (the person has asked
            for something else since).
    """
    rules.must_be_administrator(by)
    try:
        with transaction.atomic():
            _load(wish)
            _must_allow(wish, "reconsider")
            _move(wish, WishState.WAITING, by=by, detail={"undone": "declined"})
    except IntegrityError:
        sentence = f"{wish.owner} has asked for something else since; answer that one."
        raise Refused("wish_waiting", sentence) from None


def _load(wish: QuotaWish) -> None:
    wish.refresh_from_db(from_queryset=QuotaWish.objects.select_for_update())


def _must_allow(wish: QuotaWish, verb: str) -> None:
    if verb not in wish.verbs:
        raise _answered(wish)


def _answered(wish: QuotaWish) -> Refused:
    return Refused("wish_state", f"This wish is {wish.get_state_display().lower()} by now.")


def _move(
    wish: QuotaWish,
    to: WishState,
    *,
    by: User,
    reason: str = "",
    detail: Mapping[str, object] | None = None,
) -> None:
    try:
        wish.move(to, by=by, reason=reason, detail=detail or {})
    except StaleState:
        raise Refused("wish_state", "Somebody else has just answered this wish.") from None

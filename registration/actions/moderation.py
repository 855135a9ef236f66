"""What administrators, and the rules they wrote, decide about requests for an account."""

from collections.abc import Mapping
from typing import Any

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from core.errors import Refused
from core.machine import StaleState
from registration import emails
from registration.actions import rules
from registration.actions.quotas import set_quota
from registration.models import ApprovalRule, Rejection, User, patterns_of
from registration.states import AccountState

LONGEST_REASON = 500

Limits = Mapping[str, int | None]


def vouch(user: User, *, by: User) -> None:
    """Take the address as confirmed in place of its owner, whose mail may not arrive.

    Raises:
        Refused: ``not_administrator``, ``account_state``, ``email_taken``.
    """
    rules.must_be_administrator(by)
    with rules.alone(email=user.email, besides=user):
        _load(user, "vouch")
        serial = user.email_serial + 1  # the link under way is not needed any more
        fields = {"email_confirmed_at": timezone.now(), "email_serial": serial}
        _move(user, AccountState.CONFIRMED, by=by, detail={"vouched": user.email}, **fields)


def approve(user: User, *, by: User, limits: Limits | None = None) -> None:
    """Let the person in, and tell them. ``limits`` is what they may hold, if not as everybody.

    Raises:
        Refused: ``not_administrator``, ``account_state``, ``quota_invalid``.
    """
    rules.must_be_administrator(by)
    with transaction.atomic():
        _load(user, "approve")
        if limits:
            set_quota(user, by=by, limits=limits)
        _move(user, AccountState.ACTIVE, by=by)
        user.rejections.all().delete()
        emails.activated(user)


def reject(user: User, *, by: User, reason: str) -> None:
    """Refuse the request, and tell the person why. Their name and address become free.

    Raises:
        Refused: ``not_administrator``, ``account_state``, ``reason_missing``,
            ``reason_too_long``.
    """
    rules.must_be_administrator(by)
    reason = reason_for_them(reason)
    with transaction.atomic():
        _load(user, "reject")
        _move(user, AccountState.REJECTED, by=by, reason=reason)
        emails.rejected(user)


def reason_for_them(text: str) -> str:
    """A reason that a person will read, as it is kept.

    Raises: Refused: ``reason_missing``, ``reason_too_long``.
    """
    reason = text.replace("\r\n", "\n").replace("\0", "").strip()
    if not reason:
        raise Refused(
            "reason_missing", "Write why, in a sentence; the person reads it.", field="reason"
        )
    if len(reason) > LONGEST_REASON:
        sentence = f"A reason has at most {LONGEST_REASON} characters; this has {len(reason)}."
        raise Refused("reason_too_long", sentence, field="reason")
    return reason


def reconsider(user: User, *, by: User) -> None:
    """Undo a rejection: the request waits again, under its name, and the person is told.

    Raises:
        Refused: ``not_administrator``, ``account_state``, ``username_taken``,
            ``email_taken`` (somebody has registered with it since).
    """
    rules.must_be_administrator(by)
    is_confirmed = user.email_confirmed_at is not None
    to = AccountState.CONFIRMED if is_confirmed else AccountState.APPLIED
    address = user.email if is_confirmed else ""  # unconfirmed, it would hold none
    with rules.alone(username=user.username, email=address, besides=user):
        _load(user, "reconsider")
        _move(user, to, by=by, detail={"undone": "rejected"})
        emails.reopened(user)


def take_back(user: User, *, by: User) -> None:
    """Undo an approval, as long as the person has not signed in with it, and tell them.

    Raises:
        Refused: ``not_administrator``, ``account_state``.
    """
    rules.must_be_administrator(by)
    with transaction.atomic():
        _load(user, "take_back")
        _move(user, AccountState.CONFIRMED, by=by, detail={"undone": "active"})
        Rejection.objects.keep(user)
        emails.reopened(user)


def by_rule(user: User) -> ApprovalRule | None:
    """Let the person in if a rule says so of the domain of the confirmed address.

    Call it when an address has just been confirmed. Returns the rule; None: none applies,
    an administrator has to read the request (see ``approve_by``), or somebody was faster.
    """
    rule = rule_for(user.email)
    return rule if rule and approve_by(rule, user) else None


def approve_by(rule: ApprovalRule, user: User, *, by: User | None = None) -> bool:
    """Let the person in by this rule; ``by`` is who applied it, None: the portal itself.

    False if it does not apply by now: the request or the rule has changed. Nor does it to whom
    an administrator has refused, or to anybody of the same user name or address: however they
    ask again, an administrator reads it.
    """
    with transaction.atomic():
        user.refresh_from_db(from_queryset=User.objects.select_for_update(no_key=True))
        is_waiting = user.state == AccountState.CONFIRMED and user.email_confirmed_at is not None
        if not is_waiting or rule.pattern not in patterns_of(user.email):
            return False
        if Rejection.objects.refused([user]):
            return False
        rows = ApprovalRule.objects.filter(pk=rule.pk, pattern=rule.pattern, is_enabled=True)
        if not rows.update(used_count=F("used_count") + 1, used_at=timezone.now()):
            return False
        detail = {"rule": rule.pattern, "rule_uuid": str(rule.uuid)}
        reason = f"Approved by rule {rule.pattern}"
        user.move(AccountState.ACTIVE, reason=reason, by=by, detail=detail)
        emails.activated(user)
    return True


def rule_for(email: str) -> ApprovalRule | None:
    """The enabled rule that lets in this address: the most specific one."""
    patterns = patterns_of(email)
    found = ApprovalRule.objects.filter(is_enabled=True, pattern__in=patterns)
    return min(found, key=lambda rule: patterns.index(rule.pattern), default=None)


def _load(user: User, verb: str) -> None:
    """Look again, with the row locked: what counts is how it is now, not how it was shown.

    Raises: Refused: ``account_state``.
    """
    user.refresh_from_db(from_queryset=User.objects.select_for_update(no_key=True))
    rules.must_allow(user, verb)


def _move(user: User, to: AccountState, *, by: User, **more: Any) -> None:
    try:
        user.move(to, by=by, **more)
    except StaleState:
        sentence = f"Somebody else has just decided about {user}."
        raise Refused("account_state", sentence) from None

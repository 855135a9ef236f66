"""A second proof of who one is: codes of an app, passkeys and security keys, recovery codes.

How a code or a key is checked is django-allauth's; who may, how often, what is written down
and who is told is decided here.
"""

from typing import Any

from allauth.core.internal.cryptokit import compare_user_code
from allauth.mfa import app_settings
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal import auth as totp
from django.conf import settings
from django.db import transaction
from django.db.models import F

from core.errors import Refused
from core.models import Outcome, record
from registration import emails, names, passkeys, sealing, sessions, throttle
from registration.actions import rules
from registration.actions.passwords import MOST_FAILURES_OF_ADDRESS, NOBODY
from registration.models import User

APP, KEY, CODES = "totp", "webauthn", "recovery_codes"
LABELS = {APP: "authenticator app", KEY: "passkey", CODES: "recovery codes"}
#: What makes an account ask for a second proof; recovery codes only stand in for them.
MAIN = (APP, KEY)
#: In a window (throttle.WINDOW), before no code is looked at.
MOST_WRONG_CODES = 10
MOST_PASSKEYS = 20
LONGEST_NAME = 40


def has_second_factor(user: Any) -> bool:
    """Whether ``user`` has an app or a passkey; recovery codes alone are none."""
    return bool(Authenticator.objects.filter(user_id=user.pk, type__in=MAIN).exists())


def use_code(user: User, code: str) -> Authenticator:
    """Check a code of the app, or a recovery code; either is good once.

    Outside of a transaction: what is counted and recorded must outlive the refusal.

    Raises:
        Refused: ``too_many_attempts``, ``code_wrong``.
    """
    what = _take_try(user)
    used = _fitting(user, code)
    if used is None:
        raise _wrong_code(user)
    throttle.forget(*what)
    user.record_event("second_factor_used", by=user, factor=LABELS[used.type])
    return used


def use_passkey(user: User, credential: Any) -> Authenticator:
    """Check what a passkey of ``user`` signed.

    Outside of a transaction, as ``use_code``.

    Raises: Refused: ``too_many_attempts``, ``passkey_wrong``.
    """
    what = _take_try(user, "passkey")
    try:
        used = passkeys.proved(user, credential)
    except Refused:
        _deny(user, "Second factor: wrong passkey")
        raise
    throttle.forget(*what)
    user.record_event("second_factor_used", by=user, factor=label_of(used))
    return used


def prove_by_passkey(credential: Any, *, address: str) -> Authenticator:
    """Check what a passkey signed that is to say who it is, too; its ``user`` may be anybody.

    ``address`` is where the request comes from; what fails counts as a failed sign-in from there.

    Raises:
        Refused: ``too_many_attempts``, ``passkey_wrong``.
    """
    if until := throttle.take(MOST_FAILURES_OF_ADDRESS, "sign in", address):
        raise rules.too_many_failures(until)
    try:
        used = passkeys.proved_alone(credential)
    except Refused:
        reason = "Sign-in: wrong passkey"
        record(User.KIND, NOBODY, "signed_in", outcome=Outcome.DENIED, reason=reason)
        raise
    throttle.give_back("sign in", address)
    person = used.user
    if not person.is_active:
        _deny(person, f"Sign-in: {person.state}", verb="signed_in")
    return used


def _take_try(user: User, field: str = "code") -> tuple[str, ...]:
    """Counted per account, before the code is looked at; wrong codes keep no passkey out.

    Raises: Refused: ``too_many_attempts``.
    """
    what = ("second factor", field, str(user.uuid))
    if until := throttle.take(MOST_WRONG_CODES, *what):
        _deny(user, "Second factor: too many attempts")
        refusal = rules.too_many_failures(until)
        raise Refused(refusal.code, str(refusal), field=field)
    return what


def _deny(user: User, reason: str, *, verb: str = "second_factor_used") -> None:
    """Once a minute: who knows the password and tries for hours fills no table."""
    user.record_denial(verb, reason=reason)


def _wrong_code(user: User) -> Refused:
    _deny(user, "Second factor: wrong code")
    return Refused(
        "code_wrong",
        "This code is not right, or it was used already. Wait for the next one and try again.",
        field="code",
    )


@transaction.atomic
def _fitting(user: User, code: str) -> Authenticator | None:
    """Whose code this is; it is used up by the time this returns."""
    rows = Authenticator.objects.select_for_update().filter(user=user, type__in=(APP, CODES))
    for row in rows.order_by("-type"):  # the app first
        try:
            if _uses_up(row, code):
                return row
        except sealing.Unreadable:
            continue  # sealed with a secret key of before: no code of it is right any more
    return None


def _uses_up(row: Authenticator, code: str) -> bool:
    if row.type == CODES:
        return bool(RecoveryCodes(row).validate_code(code))
    step = _step_of(sealing.unseal(row.data["secret"]), code)
    if step <= row.data.get("last_step", 0):  # RFC 6238, 5.2: good once, and none before it
        return False
    row.data["last_step"] = step
    row.save(update_fields=["data"])
    return True


def _step_of(secret: str, code: str) -> int:
    """The step of time that this code belongs to; 0 if to none that is near."""
    for step in totp.yield_hotp_counters_from_time():
        expected = totp.format_hotp_value(totp.hotp_value(secret, step))
        if compare_user_code(actual=code, expected=expected):
            return int(step)
    return 0


def add_app(user: User, *, secret: str, code: str) -> bool:
    """Ask for codes of an app from now on. Whether recovery codes were made with it.

    Raises:
        Refused: ``too_many_attempts``, ``code_wrong``, ``app_known``.
    """
    what = _take_try(user)
    step = _step_of(secret, code)
    if not step:
        raise _wrong_code(user)
    throttle.forget(*what)
    with transaction.atomic():
        if any(row.type == APP for row in _locked(user)):
            raise Refused("app_known", "You have an authenticator app already. Remove it first.")
        data = {"secret": sealing.seal(secret), "last_step": step}
        Authenticator.objects.create(user=user, type=APP, data=data)
        return _added(user, LABELS[APP])


def add_passkey(user: User, *, name: str, credential: dict[str, Any]) -> bool:
    """Keep a passkey or security key that was checked. Whether recovery codes were made with it.

    Raises:
        Refused: ``too_many_passkeys``.
    """
    with transaction.atomic():
        count = sum(row.type == KEY for row in _locked(user))
        if count >= MOST_PASSKEYS:
            raise Refused("too_many_passkeys", f"You may keep {MOST_PASSKEYS}. Remove one first.")
        name = names.one_line(name)[:LONGEST_NAME] or f"Passkey {count + 1}"
        data = {"name": name, "credential": credential}
        Authenticator.objects.create(user=user, type=KEY, data=data)
        return _added(user, f"{LABELS[KEY]} “{name}”")


def _added(user: User, what: str) -> bool:
    user.record_event("second_factor_added", by=user, factor=what)
    emails.second_factor_changed(user, f"Added: {what}.")
    if Authenticator.objects.filter(user=user, type=CODES).exists():
        return False
    RecoveryCodes.activate(user)
    return True


def rename_passkey(user: User, authenticator: Authenticator, *, name: str) -> None:
    """Raises: Refused: ``name_invalid``."""
    name = names.one_line(name)[:LONGEST_NAME]
    if not name:
        raise Refused("name_invalid", "Give it a name.", field="name")
    was = authenticator.data["name"]
    authenticator.data["name"] = name
    authenticator.save(update_fields=["data"])
    user.record_event("second_factor_renamed", by=user, before=was, after=name)


def remove_second_factor(user: User, authenticator: Authenticator) -> None:
    """Take an app or a passkey away; with the last one the recovery codes go too.

    Raises:
        Refused: ``second_factor_needed``.
    """
    with transaction.atomic():
        others = [row for row in _locked(user) if row.type in MAIN and row.pk != authenticator.pk]
        is_needed = is_asked_of(user) and not others
        if not is_needed:
            _remove(user, authenticator, with_codes=not others)
    if is_needed:
        _deny(user, "Second factor: an administrator needs one", verb="second_factor_removed")
        raise Refused(
            "second_factor_needed",
            "Administrators of this site need a second factor, and this is your last one. "
            "Add another one first.",
        )


def is_asked_of(user: Any) -> bool:
    """Whether this site asks a second factor of ``user``."""
    return bool(settings.PORTAL_ADMIN_SECOND_FACTOR and user.is_staff)


def _remove(user: User, authenticator: Authenticator, *, with_codes: bool) -> None:
    what = label_of(authenticator)
    authenticator.delete()
    if with_codes:
        Authenticator.objects.filter(user=user, type=CODES).delete()
    user.record_event("second_factor_removed", by=user, factor=what)
    emails.second_factor_changed(user, f"Removed: {what}.")


def label_of(authenticator: Authenticator) -> str:
    """What people call it: its kind, and the name of a passkey."""
    label = LABELS[authenticator.type]
    return f"{label} “{authenticator.data['name']}”" if authenticator.type == KEY else label


def recovery_codes(user: User) -> list[str] | None:
    """Those that are unused; None without any, or if they cannot be read any more."""
    row = Authenticator.objects.filter(user=user, type=CODES).first()
    try:
        return list(RecoveryCodes(row).get_unused_codes()) if row else None
    except sealing.Unreadable:
        return None


def recovery_codes_left(row: Authenticator) -> int:
    """How many are unused, without reading them."""
    return int(app_settings.RECOVERY_CODE_COUNT) - int(row.data["used_mask"]).bit_count()


@transaction.atomic
def renew_recovery_codes(user: User) -> None:
    """Make new recovery codes; those of before are worthless.

    Raises:
        Refused: ``no_second_factor``.
    """
    rows = _locked(user)
    if not any(row.type in MAIN for row in rows):
        raise Refused("no_second_factor", "Set up an authenticator app or a passkey first.")
    Authenticator.objects.filter(user=user, type=CODES).delete()
    RecoveryCodes.activate(user)
    user.record_event("recovery_codes_renewed", by=user)
    emails.second_factor_changed(user, "New recovery codes were made.")


def reset_second_factor(user: User, *, by: User) -> None:
    """Take every second factor from somebody who lost theirs, and end their sessions.

    From then on their password lets them in alone, until they set up a new one.

    Raises:
        Refused: ``not_administrator``, ``own_second_factor``, ``no_second_factor``.
    """
    rules.must_be_administrator(by)
    if user.pk == by.pk:
        raise Refused("own_second_factor", "You change your own second factor on your own page.")
    with transaction.atomic():
        rows = _locked(user)
        if not rows:
            raise Refused("no_second_factor", f"{user} has no second factor.")
        Authenticator.objects.filter(user=user).delete()
        sessions.end(sessions.of(user))
        # Whoever had the factors may have asked for another address.
        User.objects.filter(pk=user.pk).update(new_email="", email_serial=F("email_serial") + 1)
        factors = [label_of(row) for row in rows]
        user.record_event("second_factor_reset", by=by, factors=factors)
        emails.second_factor_changed(user, "An administrator has removed all of it.")


def _locked(user: User) -> list[Authenticator]:
    """All of ``user``'s, with the person locked: two tabs, one after the other."""
    User.objects.select_for_update(no_key=True).get(pk=user.pk)
    return list(Authenticator.objects.filter(user=user))

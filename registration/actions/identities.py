"""Signing in through an OpenID Connect provider, and which of them an account is connected to.

An address is no key to an account: who holds one at a provider is asked to sign in here first.
"""

from typing import Any

from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount
from django.db import IntegrityError, transaction
from django.utils import timezone

from core.errors import Refused
from core.models import Outcome, deny
from registration import emails
from registration.actions import addresses, applications, rules
from registration.actions.keys import add_key
from registration.actions.passwords import NOBODY
from registration.identities import directory, sources
from registration.identities.said import Identity
from registration.models import User
from registration.states import LET_IN, TOLD, AccountState


def register_through(
    identity: Identity, application: applications.Application, *, address: str = ""
) -> User:
    """Ask for an account whose owner is whoever shows ``identity``; it has no password.

    An address that the provider has verified needs no link; another one does.

    Raises:
        Refused: ``identity_taken``, ``email_taken`` (of a verified address), and those of
            ``register`` but ``password_weak``.
    """
    applications.may_ask(application, address)
    user = applications.person_of(application)
    user.source = identity.provider
    user.set_unusable_password()
    is_confirmed = identity.vouches_for(user.email)
    rules.must_be_free(username=user.username)
    if is_confirmed:
        user.state = AccountState.CONFIRMED
        user.email_confirmed_at = timezone.now()
    else:
        addresses.may_write_to(user.email)
    try:
        with rules.alone(username=user.username, email=user.email if is_confirmed else ""):
            _save(user, identity, application.public_key)
    except IntegrityError:  # the name and the address are free: it is the identity
        raise _taken(identity) from None
    return user


def _save(user: User, identity: Identity, public_key: str) -> None:
    user.save()
    _link(user, identity)
    by = identity.provider
    user.record_event("registered", by=user, now=user.state, provider=by, identity=identity.subject)
    if public_key.strip():
        add_key(owner=user, text=public_key)
    if user.email_confirmed_at:
        addresses.hand_over(user)
    else:
        addresses.send_link(user)
    user.announce()


def _link(user: User, identity: Identity) -> None:
    SocialAccount.objects.create(
        user=user,
        provider=identity.provider,
        uid=identity.subject,
        extra_data=identity.as_kept(),
    )


def _taken(identity: Identity) -> Refused:
    return Refused(
        "identity_taken",
        f"You have an account with this {identity.provider_name} identity already.",
    )


def holder_of_address(identity: Identity) -> User | None:
    """The account that has the address which the provider verified: told to its owner alone."""
    if not identity.is_email_verified:
        return None
    found: User | None = User.objects.holding(email=identity.email).first()
    return found


def enter_through(user: User, *, provider: str) -> None:
    """Whether somebody whom ``provider`` proved to be ``user`` may come in, or look.

    Raises:
        Refused: ``account_closed``.
    """
    if user.state not in LET_IN | TOLD:
        user.record_event(
            "signed_in",
            outcome=Outcome.DENIED,
            reason=f"Sign-in: {user.state}",
            provider=provider,
        )
        raise Refused("account_closed", "This account is closed.")
    if not user.is_active:
        user.record_event("looked", by=user, provider=provider)


def deny_identity(provider: str, reason: str) -> None:
    """Write down that an answer of a provider was not believed, or did not come."""
    reason = f"Sign-in with {provider}: {reason}"
    deny(User.KIND, NOBODY, "signed_in", reason=reason, provider=provider)


def connect_identity(user: User, identity: Identity) -> bool:
    """Let who shows ``identity`` in as ``user`` from now on; False if it is so already.

    Raises:
        Refused: ``identity_taken``, it opens another account.
    """
    known = SocialAccount.objects.filter(provider=identity.provider, uid=identity.subject)
    if known.filter(user=user).exists():
        return False
    try:
        with transaction.atomic():
            _link(user, identity)
            by = identity.provider
            user.record_event("identity_connected", by=user, provider=by, identity=identity.subject)
            emails.identities_changed(
                user, f"From now on, {identity.provider_name} lets you into {user}."
            )
    except IntegrityError:
        user.record_event(
            "identity_connected",
            by=user,
            outcome=Outcome.DENIED,
            reason="Connect: the identity opens another account",
            provider=identity.provider,
        )
        raise Refused(
            "identity_taken",
            f"This {identity.provider_name} identity opens another account of this portal.",
        ) from None
    return True


def disconnect_identity(user: User, account: SocialAccount) -> None:
    """Let ``account`` in no longer.

    Raises:
        Refused: ``last_way_in``.
    """
    with transaction.atomic():
        User.objects.select_for_update(no_key=True).get(pk=user.pk)  # two tabs, one after the other
        ways = ways_in(user, besides=account)
        if ways:
            _disconnect(user, account, ways)
    if not ways:
        sentence = "Disconnect: the last way in"
        user.record_event("identity_disconnected", by=user, outcome=Outcome.DENIED, reason=sentence)
        raise Refused(
            "last_way_in",
            f"{sources.name_of(account.provider)} is the only way into your account. Connect "
            "another one, or add a passkey, then disconnect it.",
        )


def _disconnect(user: User, account: SocialAccount, ways: list[str]) -> None:
    name = sources.name_of(account.provider)
    account.delete()
    if user.source == account.provider:
        user.source = ways[0]
        user.save(update_fields=["source"])
    by = account.provider
    user.record_event("identity_disconnected", by=user, provider=by, identity=account.uid)
    emails.identities_changed(user, f"From now on, {name} does not let you into {user} any more.")


def ways_in(user: User, *, besides: Any = None) -> list[str]:
    """What still lets this person in, as ``User.source`` would say it; a passkey counts as ""."""
    ways = []
    if user.source == directory.SOURCE and directory.configured():
        ways.append(directory.SOURCE)
    if user.has_usable_password():
        ways.append("")
    accounts = SocialAccount.objects.filter(user=user, provider__in=sources.providers())
    if besides is not None:
        accounts = accounts.exclude(pk=besides.pk)
    ways += accounts.order_by("pk").values_list("provider", flat=True)
    if Authenticator.objects.filter(user=user, type=Authenticator.Type.WEBAUTHN).exists():
        ways.append("")
    return ways

"""Passkeys and security keys: asking a browser, and checking what it answers (WebAuthn).

The checks are those of ``fido2`` and django-allauth. What a browser sends is a stranger's
text: whatever is wrong with it is one refusal.
"""

import json
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from allauth.mfa.models import Authenticator
from allauth.mfa.webauthn.internal import auth
from django.core.exceptions import ValidationError
from django.core.serializers.json import DjangoJSONEncoder
from fido2.webauthn import AuthenticationResponse

from core.errors import Refused
from registration.models import User

STATE = auth.STATE_SESSION_KEY


def options_to_add(user: User) -> str:
    """What the browser is asked to make, in JSON; the challenge is kept in the session."""
    return _as_json(auth.begin_registration(user, False))


def options_to_prove(user: User | None) -> str:
    """What the browser is asked to sign, in JSON; of anybody if there is no ``user`` yet."""
    return _as_json(auth.begin_authentication(user))


def _as_json(options: dict[str, Any]) -> str:
    return json.dumps(options["publicKey"], cls=DjangoJSONEncoder)


@contextmanager
def _or_refuse() -> Iterator[None]:
    """Raises: Refused: ``passkey_wrong``."""
    try:
        yield
    except (ValidationError, ValueError, TypeError, KeyError, AttributeError, struct.error):
        sentence = "The passkey's answer was not right, or came too late. Try again."
        raise Refused("passkey_wrong", sentence) from None


def new_credential(user: User, credential: Any, *, is_passwordless: bool) -> dict[str, Any]:
    """Check what the browser made.

    Raises:
        Refused: ``passkey_wrong``, ``passkey_unverified``, ``passkey_known``.
    """
    with _or_refuse():
        auth.parse_registration_response(credential)
        binding = auth.complete_registration(credential)
        identifier = binding.credential_data.credential_id
    if is_passwordless and not binding.is_user_verified():
        raise Refused(
            "passkey_unverified",
            "This key did not ask for a PIN, a finger or a face, so it cannot stand in for a "
            "password. Add it without that.",
        )
    if auth.get_authenticator_by_credential_id(user, identifier):
        raise Refused("passkey_known", "You have this passkey already.")
    return dict(credential)


def proved(user: User, credential: Any) -> Authenticator:
    """The key of ``user`` that signed.

    Raises: Refused: ``passkey_wrong``.
    """
    with _or_refuse():
        auth.parse_authentication_response(credential)
        return auth.complete_authentication(user, credential)


def proved_alone(credential: Any) -> Authenticator:
    """The key that signed, and with it the person: without a password.

    The key must have asked for a PIN, a finger or a face, whatever was asked of it: a
    challenge made for a second factor asks less.

    Raises: Refused: ``passkey_wrong``.
    """
    with _or_refuse():
        auth.parse_authentication_response(credential)
        answer = AuthenticationResponse.from_dict(credential)
        if not answer.response.authenticator_data.is_user_verified():
            raise ValueError
        return auth.complete_authentication(auth.extract_user_from_response(credential), credential)

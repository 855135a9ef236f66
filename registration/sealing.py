"""Secrets in the database, worthless to whoever has the database alone."""

from base64 import urlsafe_b64encode
from functools import cache

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings

_PURPOSE = b"registration.sealing"


class Unreadable(ValueError):
    """Sealed with a secret key that this site no longer has, or not sealed at all."""


def seal(text: str) -> str:
    return _box(_keys()).encrypt(text.encode()).decode()


def unseal(sealed: str) -> str:
    """What was sealed, by this secret key or an earlier one (``SECRET_KEY_FALLBACKS``).

    Raises: Unreadable.
    """
    try:
        return _box(_keys()).decrypt(sealed.encode()).decode()
    except InvalidToken:
        raise Unreadable from None


def _keys() -> tuple[str, ...]:
    return (settings.SECRET_KEY, *map(str, settings.SECRET_KEY_FALLBACKS))


@cache
def _box(keys: tuple[str, ...]) -> MultiFernet:
    return MultiFernet([Fernet(urlsafe_b64encode(_derived(key))) for key in keys])


def _derived(key: str) -> bytes:
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=_PURPOSE).derive(key.encode())

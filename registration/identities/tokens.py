"""Whether an ID token can be believed (OpenID Connect Core 1.0, section 3.1.3.7)."""

import time
from typing import Any

import jwt

#: Signatures that only the provider can make; never one made with a secret that we share.
ALGORITHMS = (
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA",
)  # fmt: skip
#: Clocks of two computers may differ by this much, in seconds.
CLOCK_DIFFERENCE_S = 30
NEEDED = ["iss", "sub", "aud", "exp", "iat"]
LONGEST_SUBJECT = 191  # OpenID Connect allows 255 ASCII characters; the table's column, 191


class Untrusted(Exception):
    """The token is not one that we asked this provider for, now. ``str()`` is for the log."""


def verify(
    token: str, *, keys: dict[str, Any], issuer: str, client_id: str, nonce: str
) -> dict[str, Any]:
    """The claims of an ID token that ``keys`` (a JWK set) prove, made for us, for this sign-in.

    Raises: Untrusted.
    """
    try:
        header = jwt.get_unverified_header(token)
        claims: dict[str, Any] = jwt.decode(
            token,
            key=_key(keys, header).key,
            algorithms=list(ALGORITHMS),
            audience=client_id,
            issuer=issuer,
            leeway=CLOCK_DIFFERENCE_S,
            options={"require": NEEDED},
        )
    except (jwt.PyJWTError, TypeError, ValueError) as exc:
        # PyJWT raises TypeError and ValueError for a key that is not one of its algorithm.
        raise Untrusted(f"{type(exc).__name__}: {exc}") from exc
    if not nonce or claims.get("nonce") != nonce:
        raise Untrusted("The token was not made for this sign-in: another nonce.")
    _check_party(claims, client_id)
    subject = claims["sub"]
    if not (isinstance(subject, str) and 0 < len(subject) <= LONGEST_SUBJECT):
        raise Untrusted("The token's subject is empty or too long.")
    return claims


def is_proof_since(claims: dict[str, Any], began_at: float) -> bool:
    """Whether the provider says that the person proved themselves to it after ``began_at``.

    Both are seconds of the epoch. A provider that does not say when proves nothing (section
    3.1.2.1): the browser holds the address that asks for it, and could have asked otherwise.
    """
    at = claims.get("auth_time")
    if not isinstance(at, int | float) or isinstance(at, bool):
        return False
    return began_at - CLOCK_DIFFERENCE_S <= at <= time.time() + CLOCK_DIFFERENCE_S


def _key(keys: dict[str, Any], header: dict[str, Any]) -> jwt.PyJWK:
    known = [key for key in jwt.PyJWKSet.from_dict(keys).keys if key.public_key_use != "enc"]
    if "kid" in header:
        known = [key for key in known if key.key_id == header["kid"]]
    if len(known) != 1:
        raise Untrusted(f"{len(known)} keys of the provider fit the token.")
    return known[0]


def _check_party(claims: dict[str, Any], client_id: str) -> None:
    """A token for several must say that it was made for us."""
    party = claims.get("azp")
    is_for_several = isinstance(claims["aud"], list) and len(claims["aud"]) > 1
    if (is_for_several and not party) or (party and party != client_id):
        raise Untrusted("The token was made for another application.")

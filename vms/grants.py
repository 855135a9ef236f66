"""Console grants: single use, 30 seconds, bound to the session, never in a URL."""

import hashlib
import json
import secrets
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any

import redis
from django.conf import settings

from core.errors import Refused

GRANT_TTL_S = 30


@dataclass(frozen=True, slots=True)
class Grant:
    """Who may connect to which console. ``session`` is the session's key, hashed.

    ``administrator`` acts in the place of ``user``, or nobody does.
    """

    user: int
    vm: str
    kind: str
    session: str
    administrator: int | None = None


@cache
def _redis() -> Any:
    return redis.Redis.from_url(settings.REDIS_URL, decode_responses=True, socket_timeout=2)


def digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def give(grant: Grant) -> str:
    """Store a grant; the token that redeems it once.

    Raises:
        Refused: ``console_unavailable``, Redis does not answer.
    """
    token = secrets.token_urlsafe(32)
    try:
        _redis().set(f"console:{digest(token)}", json.dumps(asdict(grant)), ex=GRANT_TTL_S)
    except redis.RedisError:
        raise Refused(
            "console_unavailable", "The console is not available right now. Try again in a moment."
        ) from None
    return token


def redeem(token: str, *, session: str) -> Grant | None:
    """The grant behind a token, once, and only for the session that asked for it."""
    try:
        found = _redis().getdel(f"console:{digest(token)}")
    except redis.RedisError:
        return None
    if not isinstance(found, str):
        return None
    grant = Grant(**json.loads(found))
    return grant if secrets.compare_digest(grant.session, digest(session)) else None

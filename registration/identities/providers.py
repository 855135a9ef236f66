"""Which OpenID Connect providers there are, as an administrator writes them in JSON.

Settings import this module: nothing here needs them. A secret is in ``Provider.secret`` and
in what ``apps`` returns; it is printed nowhere.
"""

import ipaddress
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from django.core.exceptions import ImproperlyConfigured

WHERE = "PORTAL_OIDC_PROVIDERS"
WELL_KNOWN = "/.well-known/openid-configuration"
_ID = re.compile(r"[a-z][a-z0-9-]{1,39}\Z")
#: What ``User.source`` says of people from the directory.
DIRECTORY = "ldap"
_NOT_AN_ID = frozenset({DIRECTORY, "openid_connect"})
_KEYS: dict[str, type[Any]] = {
    "id": str, "name": str, "issuer": str, "client_id": str, "client_secret": str,
    "client_secret_file": str, "scopes": list, "pkce": bool, "userinfo": bool,
    "token_auth_method": str,
}  # fmt: skip
_NEEDED = ("id", "name", "issuer", "client_id")
_LONGEST = {"name": 40, "client_id": 191, "client_secret": 191}
_SCOPES = ("openid", "profile", "email")
_AUTH_METHODS = ("client_secret_basic", "client_secret_post")


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """One provider. ``id`` is in addresses and in accounts: it must not change, or be reused."""

    id: str
    name: str
    issuer: str
    client_id: str
    secret: str = field(default="", repr=False)
    scopes: tuple[str, ...] = _SCOPES
    pkce: bool = True
    userinfo: bool = True
    token_auth_method: str = ""  # "": what the provider says it takes

    def as_app(self) -> dict[str, Any]:
        """As django-allauth's ``SOCIALACCOUNT_PROVIDERS`` wants it."""
        return {
            "provider_id": self.id,
            "name": self.name,
            "client_id": self.client_id,
            "secret": self.secret,
            "settings": {
                "server_url": self.issuer,
                "scope": list(self.scopes),
                "oauth_pkce_enabled": self.pkce,
                "fetch_userinfo": self.userinfo,
                "token_auth_method": self.token_auth_method,
            },
        }


def apps(providers: Iterable[Provider]) -> dict[str, Any]:
    """The value of ``SOCIALACCOUNT_PROVIDERS``."""
    return {"openid_connect": {"APPS": [provider.as_app() for provider in providers]}}


def read(text: str) -> list[Provider]:
    """The providers in a JSON list; none in an empty text.

    Raises:
        ImproperlyConfigured: with a sentence that says which one, what, and what to write.
    """
    if not text.strip():
        return []
    try:
        entries = json.loads(text)
    except ValueError as exc:
        raise ImproperlyConfigured(f"{WHERE} is not JSON: {exc}.") from None
    if not isinstance(entries, list):
        raise ImproperlyConfigured(f"{WHERE} is not a list; write [{{…}}, {{…}}].")
    providers = [_provider(entry, number) for number, entry in enumerate(entries, 1)]
    ids = [provider.id for provider in providers]
    if twice := next((one for one in ids if ids.count(one) > 1), ""):
        raise ImproperlyConfigured(f"{WHERE} has two providers with the id {twice!r}.")
    return providers


def _provider(entry: Any, number: int) -> Provider:
    if not isinstance(entry, dict):
        raise ImproperlyConfigured(f"{WHERE}: number {number} is not an object {{…}}.")
    of = f"{WHERE}: provider {entry.get('id') or number!r}"
    _check_kinds(entry, of)
    if not _ID.match(entry["id"]) or entry["id"] in _NOT_AN_ID:
        raise ImproperlyConfigured(
            f"{of}: an id has 2 to 40 small letters, digits or -, begins with a letter, "
            f"and is none of {', '.join(sorted(_NOT_AN_ID))}."
        )
    secret = _secret(entry, of)
    pkce = entry.get("pkce", True)
    if not (secret or pkce):
        raise ImproperlyConfigured(f"{of} has neither client_secret nor pkce; it needs one.")
    scopes = tuple(entry.get("scopes", _SCOPES))
    if "openid" not in scopes:
        raise ImproperlyConfigured(f'{of}: scopes must name "openid".')
    return Provider(
        id=entry["id"],
        name=entry["name"],
        issuer=_issuer(entry["issuer"], of),
        client_id=entry["client_id"],
        secret=secret,
        scopes=scopes,
        pkce=pkce,
        userinfo=entry.get("userinfo", True),
        token_auth_method=entry.get("token_auth_method", ""),
    )


def _check_kinds(entry: dict[str, Any], of: str) -> None:
    if unknown := sorted(set(entry) - set(_KEYS)):
        known = ", ".join(_KEYS)
        raise ImproperlyConfigured(f"{of} has {unknown[0]!r}; there are {known}.")
    for key in _NEEDED:
        if not entry.get(key):
            raise ImproperlyConfigured(f"{of} has no {key}.")
    for key, value in entry.items():
        if not isinstance(value, _KEYS[key]):
            kind = {str: "a text", list: "a list of texts", bool: "true or false"}[_KEYS[key]]
            raise ImproperlyConfigured(f"{of}: {key} must be {kind}.")
        if key in _LONGEST and len(str(value)) > _LONGEST[key]:
            raise ImproperlyConfigured(f"{of}: {key} has more than {_LONGEST[key]} characters.")
    if not all(isinstance(scope, str) for scope in entry.get("scopes", ())):
        raise ImproperlyConfigured(f"{of}: scopes must be a list of texts.")
    if entry.get("token_auth_method", _AUTH_METHODS[0]) not in _AUTH_METHODS:
        either = " or ".join(_AUTH_METHODS)
        raise ImproperlyConfigured(f"{of}: token_auth_method must be {either}, or left out.")


def _secret(entry: dict[str, Any], of: str) -> str:
    path = entry.get("client_secret_file")
    if not path:
        return str(entry.get("client_secret", ""))
    if entry.get("client_secret"):
        raise ImproperlyConfigured(f"{of} has client_secret and client_secret_file; keep one.")
    try:
        return Path(path).read_text().strip()
    except (OSError, UnicodeDecodeError) as exc:
        raise ImproperlyConfigured(f"{of}: client_secret_file: {exc}") from None


def _issuer(url: str, of: str) -> str:
    """Exactly as the provider writes it in its tokens, a slash at the end included."""
    url = url.removesuffix(WELL_KNOWN)
    if not is_safe(url):
        raise ImproperlyConfigured(
            f"{of}: issuer is {url!r}; write its https:// address (http:// is for tests on "
            "this computer alone)."
        )
    return url


def is_safe(url: Any) -> bool:
    """Whether what is sent there is read on the way by nobody: HTTPS, or this computer."""
    if not isinstance(url, str):
        return False
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        return False
    if parts.username or parts.password or parts.fragment or not host:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and _is_here(host))


def _is_here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"

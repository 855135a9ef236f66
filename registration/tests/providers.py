"""A real OpenID Connect provider on a port of its own, with manners that a test can spoil."""

import base64
import hashlib
import socket
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

import flask
import httpx
import jwt
import pytest

with warnings.catch_warnings(record=True):  # of the provider's own library
    from oidc_provider_mock import app
    from oidc_provider_mock._server import _threaded_server

SAID = {
    "email": "jane@example.org",
    "email_verified": True,
    "name": "Jane Doe",
    "given_name": "Jane",
    "family_name": "Doe",
    "preferred_username": "jane.doe",
}

Spoil = Callable[[dict[str, Any]], dict[str, Any]]


@dataclass
class Provider:
    """``claims``, ``userinfo`` and ``config`` change what is said; ``codes`` are used ones."""

    url: str = ""
    claims: Spoil | None = None
    userinfo: Spoil | None = None
    config: Spoil | None = None
    key: Any = None  # another key to sign with than the one that is published
    algorithm: str = "RS256"
    asked: list[dict[str, str]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)  # of every request
    challenges: dict[str, str] = field(default_factory=dict)
    broken: int = 0  # the status that every answer has

    def as_app(self, **more: Any) -> dict[str, Any]:
        """As settings hold it."""
        settings = {
            "server_url": self.url,
            "scope": ["openid", "profile", "email"],
            "oauth_pkce_enabled": True,
            "fetch_userinfo": True,
            "token_auth_method": "",
            **more.pop("settings", {}),
        }
        return {
            "provider_id": "lab",
            "name": "Lab ID",
            "client_id": "portal",
            "secret": "the-client-secret",
            **more,
            "settings": settings,
        }

    def knows(self, subject: str, **claims: Any) -> None:
        httpx.put(f"{self.url}/users/{subject}", json=claims).raise_for_status()

    def agree(self, url: str, subject: str) -> str:
        """What a person's browser does there; the address it is sent back to."""
        answer = httpx.post(url, data={"sub": subject})
        assert answer.status_code == 302, answer.text
        return answer.headers["location"]

    def refuse(self, url: str) -> str:
        answer = httpx.post(url, data={"action": "deny"})
        assert answer.status_code == 302, answer.text
        back = answer.headers["location"]
        state = query_of(url)["state"]  # which this one forgets, against RFC 6749, 4.1.2.1
        return back if "state=" in back else f"{back}&state={state}"


@contextmanager
def running() -> Iterator[Provider]:
    provider = Provider()
    server = app(require_nonce=True)
    server.testing = True
    _spoil(server, provider)
    with _threaded_server(server, poll_interval=0.01) as listening:
        provider.url = f"http://localhost:{listening.server_port}"
        yield provider


def _spoil(server: flask.Flask, provider: Provider) -> None:
    server.before_request(lambda: _watch(provider))

    @server.after_request
    def answer(response: flask.Response) -> flask.Response:
        path = flask.request.path
        if provider.broken and not path.startswith("/users/"):
            return flask.Response("out of order", status=provider.broken)
        if path == "/oauth2/token" and response.status_code == 200:
            response.set_data(flask.json.dumps(_token(provider, response.get_json())))
        elif path == "/userinfo" and provider.userinfo and response.status_code == 200:
            response.set_data(flask.json.dumps(provider.userinfo(response.get_json())))
        elif path.startswith("/.well-known/") and provider.config:
            response.set_data(flask.json.dumps(provider.config(response.get_json())))
        return response


def _watch(provider: Provider) -> Any:
    """Remember what was asked, and hold the portal to its PKCE (RFC 7636)."""
    request = flask.request
    provider.paths.append(request.path)
    if request.path == "/oauth2/authorize":
        asked = dict(request.args)
        provider.asked.append(asked)
        provider.challenges[asked["nonce"]] = asked.get("code_challenge", "")
    if request.path == "/oauth2/token":
        provider.asked.append(dict(request.form))
        verifier = request.form.get("code_verifier", "")
        digest = hashlib.sha256(verifier.encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).decode().rstrip("=")
        if challenge not in provider.challenges.values():
            return flask.jsonify(error="invalid_grant"), 400
    return None


def _token(provider: Provider, answer: dict[str, Any]) -> dict[str, Any]:
    if provider.claims is None and provider.key is None:
        return answer
    token = answer["id_token"]
    claims = jwt.decode(token, options={"verify_signature": False})
    header = jwt.get_unverified_header(token)
    storage = flask.g.oidc_provider_mock_storage
    own = jwt.PyJWK(storage.jwk.as_dict(is_private=True), "RS256").key
    spoiled = provider.claims(claims) if provider.claims else claims
    kid = {"kid": header["kid"]} if "kid" in header else {}
    signed = jwt.encode(
        spoiled,
        own if provider.key is None else provider.key,
        algorithm=provider.algorithm,
        headers=kid,
    )
    return {**answer, "id_token": signed}


def query_of(url: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}


# Fixtures --------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def authlib_over_http() -> Iterator[None]:
    """The provider's own library wants HTTPS, on this computer too."""
    patch = pytest.MonkeyPatch()
    patch.setenv("AUTHLIB_INSECURE_TRANSPORT", "1")
    yield
    patch.undo()


@pytest.fixture(scope="session")
def listening(authlib_over_http) -> Iterator[Provider]:
    with running() as provider:
        yield provider


@pytest.fixture
def provider(listening, settings) -> Provider:
    """With good manners, known to the portal; it knows Jane."""
    listening.claims = listening.userinfo = listening.config = listening.key = None
    listening.algorithm, listening.broken = "RS256", 0
    listening.asked.clear()
    listening.challenges.clear()
    listening.knows("jane", **SAID)
    settings.SOCIALACCOUNT_PROVIDERS = {"openid_connect": {"APPS": [listening.as_app()]}}
    return listening


@pytest.fixture
def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])

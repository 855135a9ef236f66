"""Asking an OpenID Connect provider who somebody is: django-allauth's way, made strict.

What allauth leaves out and we ask for: a nonce, signatures of ID tokens, the issuer that was
configured, userinfo about the same person as the token, and answers of the right shape.
"""

import hashlib
from typing import Any

import requests
from allauth.socialaccount.adapter import get_adapter
from allauth.socialaccount.helpers import render_authentication_error
from allauth.socialaccount.models import SocialAccount, SocialLogin, SocialToken
from allauth.socialaccount.providers.base import ProviderException
from allauth.socialaccount.providers.oauth2.client import OAuth2Client
from allauth.socialaccount.providers.oauth2.views import OAuth2CallbackView
from allauth.socialaccount.providers.openid_connect.provider import OpenIDConnectProvider
from allauth.socialaccount.providers.openid_connect.views import OpenIDConnectOAuth2Adapter
from django.core.cache import cache
from django.http import HttpRequest

from registration.identities import tokens, visits
from registration.identities.providers import is_safe

TIMEOUT_S = 5
#: What a provider says of itself is not asked again for so long.
KNOWN_FOR_S = 600
#: Of what a provider says of somebody, what is kept.
KEPT = ("name", "given_name", "family_name", "preferred_username")
LONGEST_CLAIM = 254
_ENDPOINTS = ("authorization_endpoint", "token_endpoint", "jwks_uri")


class Untrusted(ProviderException):
    """The provider's answer cannot be believed, or not be understood."""


class NotProvedNow(Untrusted):
    """The provider does not say that it asked the person again."""


class Session(requests.Session):
    """Waits no longer than ``TIMEOUT_S``, and takes nothing elsewhere: a request has secrets."""

    def request(self, method: Any, url: Any, *args: Any, **more: Any) -> requests.Response:
        more |= {"timeout": TIMEOUT_S, "allow_redirects": False}
        return super().request(method, url, *args, **more)


def ask(method: str, url: str, **more: Any) -> dict[str, Any]:
    """The JSON object that the provider answers.

    Raises:
        requests.RequestException: it does not answer, or has trouble of its own.
        Untrusted: it says no, or something else.
    """
    with get_adapter().get_requests_session() as session:
        response = session.request(method, url, **more)
    if response.status_code >= 500:
        response.raise_for_status()
    try:
        answer = response.json()
    except requests.JSONDecodeError:
        answer = None
    if not isinstance(answer, dict):
        raise Untrusted(f"{url} answered {response.status_code} without a JSON object")
    if response.status_code not in (200, 201):
        raise Untrusted(f"{url} answered {response.status_code} {str(answer.get('error'))[:60]}")
    return answer


def _key(url: str) -> str:
    return f"provider-{hashlib.sha256(url.encode()).hexdigest()}"


class Client(OAuth2Client):
    def get_access_token(
        self, code: str, pkce_code_verifier: str | None = None, extra_data: Any = None
    ) -> dict[str, Any]:
        fields = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self.callback_url,
        }
        if pkce_code_verifier:
            fields["code_verifier"] = pkce_code_verifier
        auth = None
        if self.basic_auth and self.consumer_secret:
            auth = requests.auth.HTTPBasicAuth(self.consumer_key, self.consumer_secret)
        else:
            fields["client_id"] = self.consumer_key
            if self.consumer_secret:
                fields["client_secret"] = self.consumer_secret
        answer = ask("POST", self.access_token_url, data=fields, auth=auth)
        for name in ("access_token", "id_token"):
            if not isinstance(answer.get(name), str):
                raise Untrusted(f"The token endpoint answered without {name}")
        return answer


class Adapter(OpenIDConnectOAuth2Adapter):
    client_class = Client
    #: What this sign-in was begun with; the callback says it.
    nonce = ""
    #: Whether what was read some minutes ago will do.
    may_remember = True
    #: When a proof was begun, in seconds of the epoch; 0: a sign-in, an old session will do.
    proof_began_at = 0.0

    @property
    def openid_config(self) -> dict[str, Any]:
        """Raises: requests.RequestException, Untrusted."""
        if not hasattr(self, "_openid_config"):
            provider = self.get_provider()
            url = provider.server_url
            if self.may_remember and (known := cache.get(_key(url))):
                self._openid_config = known
                return self._openid_config
            config = ask("GET", url)
            if config.get("issuer") != provider.app.settings["server_url"]:
                raise Untrusted(f"The provider calls itself {str(config.get('issuer'))[:200]!r}")
            for name in (*_ENDPOINTS, "userinfo_endpoint"):
                if (name in _ENDPOINTS or name in config) and not is_safe(config.get(name)):
                    raise Untrusted(f"The provider's {name} is missing or not HTTPS")
            cache.set(_key(url), config, KNOWN_FOR_S)
            self._openid_config = config
        return self._openid_config

    @property
    def basic_auth(self) -> bool:
        method = self.get_provider().app.settings["token_auth_method"]
        if method:
            return bool(method == "client_secret_basic")
        # What is meant when nothing is said: OpenID Connect Discovery 1.0, section 3.
        known = self.openid_config.get("token_endpoint_auth_methods_supported")
        return "client_secret_post" not in (known or ["client_secret_basic"])

    def parse_token(self, data: dict[str, Any]) -> SocialToken:
        return SocialToken(token=data["access_token"])

    def complete_login(
        self, request: HttpRequest, app: Any, token: SocialToken, **kwargs: Any
    ) -> SocialLogin:
        """Raises: requests.RequestException, Untrusted, NotProvedNow."""
        claims = self._claims(kwargs["response"]["id_token"], app.client_id)
        if self.proof_began_at and not tokens.is_proof_since(claims, self.proof_began_at):
            raise NotProvedNow(f"auth_time is {str(claims.get('auth_time'))[:40]!r}")
        userinfo = self._userinfo(token.token) if app.settings["fetch_userinfo"] else {}
        if userinfo and userinfo.get("sub") != claims["sub"]:
            raise Untrusted("Userinfo is about somebody else than the token")
        data = {"claims": claims, "userinfo": userinfo}
        login = self.get_provider().sociallogin_from_response(request, data)
        known = SocialAccount.objects.filter(provider=login.account.provider, uid=claims["sub"])
        if any(account.extra_data.get("iss") != claims["iss"] for account in known):
            raise Untrusted("This provider's id stood for another issuer before")
        return login

    def _claims(self, id_token: str, client_id: str) -> dict[str, Any]:
        """What the token says, checked with the keys that are known, or else with those of now.

        Raises: requests.RequestException, Untrusted.
        """
        config = self.openid_config
        asked = {"issuer": config["issuer"], "client_id": client_id, "nonce": self.nonce}
        url = config["jwks_uri"]
        if known := cache.get(_key(url)):
            try:
                return tokens.verify(id_token, keys=known, **asked)
            except tokens.Untrusted:  # the provider may have new ones
                cache.delete(_key(url))
        keys = ask("GET", url)
        try:
            claims = tokens.verify(id_token, keys=keys, **asked)
        except tokens.Untrusted as exc:
            raise Untrusted(str(exc)) from exc
        cache.set(_key(url), keys, KNOWN_FOR_S)
        return claims

    def _userinfo(self, access_token: str) -> dict[str, Any]:
        url = self.openid_config.get("userinfo_endpoint")
        if not url:
            return {}
        return ask("GET", url, headers={"Authorization": f"Bearer {access_token}"})


class Provider(OpenIDConnectProvider):
    oauth2_adapter_class = Adapter

    @property
    def server_url(self) -> str:
        issuer: str = self.app.settings["server_url"]
        return self.wk_server_url(issuer.rstrip("/"))

    def serialize(self) -> dict[str, Any]:
        return {"id": self.app.provider_id}

    def extract_uid(self, data: dict[str, Any]) -> str:
        return str(data["claims"]["sub"])

    def extract_extra_data(self, data: dict[str, Any]) -> dict[str, Any]:
        """What is kept of what was said; the rest is nobody's business here."""
        said = data["claims"] | data["userinfo"]
        email, is_verified = address_in(data["userinfo"], data["claims"])
        kept = {name: _text(said.get(name)) for name in KEPT}
        return kept | {
            "iss": data["claims"]["iss"],
            "email": email,
            "email_verified": is_verified,
        }

    def extract_common_fields(self, data: dict[str, Any]) -> dict[str, Any]:
        return {}

    def extract_email_addresses(self, data: dict[str, Any]) -> list[Any]:
        return []  # addresses are our own table's, and sign nobody in


def _text(value: Any) -> str:
    return value.strip()[:LONGEST_CLAIM] if isinstance(value, str) else ""


def address_in(*said: dict[str, Any]) -> tuple[str, bool]:
    """The first e-mail address, and whether the provider says that it has verified that one.

    Some providers write "true" in place of true; "false" is not true.
    """
    email = next((one["email"] for one in said if _text(one.get("email"))), "")
    is_verified = any(
        one.get("email") == email and str(one.get("email_verified")).lower() == "true"
        for one in said
    )
    return _text(email), bool(email) and is_verified


class Callback(OAuth2CallbackView):
    """Where the provider sends the browser back to, with a code that is good once."""

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        try:
            return super().dispatch(request, *args, **kwargs)
        except (requests.RequestException, Untrusted) as exc:  # before allauth's own try
            provider = self.adapter.get_provider()
            return render_authentication_error(request, provider, exception=exc)

    def _get_state(self, request: HttpRequest, provider: Provider) -> Any:
        state, response = visits.take(request, request.GET.get("state", ""), provider.sub_id), None
        if state is None:
            state, response = super()._get_state(request, provider)
        if state:
            self.adapter.nonce = state.get("nonce", "")
            self.adapter.proof_began_at = state.get("proof_began_at", 0.0)
        return state, response

"""Checks of who else vouches for people, if anybody does: providers, and a directory."""

from collections.abc import Iterator

import requests
from allauth.socialaccount.adapter import get_adapter
from django.conf import settings
from django.http import HttpRequest

from portal.doctor.check import Check, fault, ok, warning
from registration.identities import client, directory


def providers() -> Iterator[Check]:
    for provider in get_adapter().list_providers(HttpRequest()):
        yield _provider(provider)


def _provider(provider: client.Provider) -> Check:
    """Its description and its keys are read anew."""
    name = f"Sign-in with {provider.name}"
    adapter = client.Adapter(HttpRequest(), provider.app.provider_id)
    adapter.may_remember = False
    try:
        config = adapter.openid_config
        keys = client.ask("GET", config["jwks_uri"]).get("keys")
    except requests.RequestException as exc:
        sentence = f"{provider.name} does not answer: {type(exc).__name__}."
        fix = f"Check the network, and that {provider.server_url} is right."
        return fault(name, sentence, fix)
    except client.Untrusted as exc:
        fix = "Write issuer in PORTAL_OIDC_PROVIDERS exactly as the provider's description has it."
        return fault(name, f"{exc}.", fix)
    if not keys:
        sentence = f"{provider.name} publishes no keys: nothing it signs can be checked."
        return fault(name, sentence, "Tell whoever runs it.")
    return ok(name, f"{provider.name} answers; it must know {_callback(provider)}")


def _callback(provider: client.Provider) -> str:
    return f"{settings.PORTAL_URL}{provider.get_callback_url()}"


def ldap() -> Iterator[Check]:
    known = directory.configured()
    if known is None:
        return
    name = "Directory"
    try:
        with directory.connected(known) as connection:
            directory.look_around(known, connection)
    except directory.Unreachable as exc:
        fix = "Check the PORTAL_LDAP_ variables; docs/administrators/people.md has examples."
        yield fault(name, f"{known.url} does not let us in or does not answer: {exc}", fix)
        return
    if not known.is_private:
        sentence = f"Passwords cross the network to {known.url} in the clear."
        fix = "Use an ldaps:// URL, or PORTAL_LDAP_START_TLS=1 (with PORTAL_LDAP_CA_FILE)."
        yield warning(name, sentence, fix)
        return
    yield ok(name, f"{known.url} answers, and holds {known.user_base}.")

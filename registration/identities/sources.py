"""Who vouches for people, in words: what a provider or the directory is called here."""

from typing import Any

from allauth.socialaccount.models import SocialAccount
from django.conf import settings

from registration.identities import directory


def providers() -> dict[str, str]:
    """The name of each OpenID Connect provider, by its id, in the order they are offered."""
    configured = settings.SOCIALACCOUNT_PROVIDERS.get("openid_connect", {}).get("APPS", [])
    return {app["provider_id"]: app["name"] for app in configured}


def providers_of(user: Any) -> list[tuple[str, str]]:
    """The id and the name of the providers that let this person in."""
    connected = set(SocialAccount.objects.filter(user=user).values_list("provider", flat=True))
    return [(id, name) for id, name in providers().items() if id in connected]


def name_of(source: str) -> str:
    """What ``User.source`` is called; a provider that is gone, by its id."""
    if source == directory.SOURCE:
        known = directory.configured()
        return known.name if known else "the directory"
    return providers().get(source, source)


def where_password_is(user: Any) -> str:
    """A sentence for somebody who has no password here; "" for everybody else."""
    if user.source == directory.SOURCE:
        return f"Your password is kept by {name_of(user.source)}. Change it there."
    if user.source and not user.has_usable_password():
        name = name_of(user.source)
        return f"You sign in with {name}, so there is no password here. Look after it at {name}."
    return ""

"""Who else vouches for people, for pages of any view."""

from django import template
from django.http import HttpRequest

from registration.identities import directory, sources

register = template.Library()


@register.simple_tag
def identity_providers() -> list[tuple[str, str]]:
    """The id and the name of each OpenID Connect provider, in the order they are offered."""
    return list(sources.providers().items())


@register.simple_tag(takes_context=True)
def identity_providers_of(context: dict[str, HttpRequest]) -> list[tuple[str, str]]:
    """Those by which the person who reads can prove who they are."""
    return sources.providers_of(context["request"].user)


@register.simple_tag
def passwords_elsewhere() -> str:
    """Who keeps passwords for people of this site: names for a sentence, or ""."""
    names = list(sources.providers().values())
    if directory.configured():
        names.insert(0, sources.name_of(directory.SOURCE))
    return " or ".join(filter(None, (", ".join(names[:-1]), *names[-1:])))


@register.filter
def name_of_source(source: str) -> str:
    return sources.name_of(source)

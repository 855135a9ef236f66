"""Every URL of the portal, read from its URLconf."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from django.urls import URLPattern, URLResolver, get_resolver
from django.urls.resolvers import RegexPattern
from django.utils.regex_helper import normalize

#: A path is only made to ask for methods; what it names need not exist.
_NOTHING = {
    "UUIDStrConverter": "00000000-0000-4000-8000-000000000000",
    "UUIDConverter": "00000000-0000-4000-8000-000000000000",
    "IdentifierConverter": "A" * 27,
    "IntConverter": "0",
}


#: Asks for a path with a method, as an administrator; the answer's Allow header.
Ask = Callable[[str, str], str]


@dataclass(frozen=True)
class Door:
    """One URL: its name with namespace, its route, and what is to be filled in."""

    name: str
    route: str
    converters: dict[str, str] = field(hash=False)

    def takes(self, argument: str) -> bool:
        return argument in self.converters

    def path(self, **values: str) -> str:
        """Its path with these values; what is not given names nothing."""
        path = "/" + self.route
        for name, kind in self.converters.items():
            value = values.get(name, _NOTHING.get(kind, "nothing"))
            start = path.index("<")
            path = f"{path[:start]}{value}{path[path.index('>') + 1 :]}"
        return path

    def methods(self, ask: Ask) -> frozenset[str]:
        """What it says it takes, when it is asked with a method that no page takes."""
        return frozenset(ask("PROPFIND", self.path()).replace(" ", "").split(",")) - {""}


def doors() -> list[Door]:
    """Every route, once; of a route's names ours, where allauth's leads to the same."""
    found: dict[str, Door] = {}
    for door in _walk(get_resolver().url_patterns, "", ""):
        if door.route not in found or found[door.route].name.startswith("account_"):
            found[door.route] = door
    return list(found.values())


def _walk(patterns: list[Any], namespace: str, prefix: str) -> Iterator[Door]:
    for pattern in patterns:
        route = prefix + _route(pattern.pattern)
        if isinstance(pattern, URLResolver):
            inner = f"{namespace}{pattern.namespace}:" if pattern.namespace else namespace
            yield from _walk(pattern.url_patterns, inner, route)
        elif isinstance(pattern, URLPattern):
            yield Door(f"{namespace}{pattern.name}", route, _kinds(pattern.pattern))


def _route(pattern: Any) -> str:
    """As ``path`` would be told it, also of a regular expression: its shortest path."""
    if not isinstance(pattern, RegexPattern):
        return str(pattern)
    ((shortest, names), *_) = normalize(str(pattern))
    return str(shortest % {name: f"<{name}>" for name in names})


def _kinds(pattern: Any) -> dict[str, str]:
    if isinstance(pattern, RegexPattern):
        names = pattern.regex.groupindex
        return {name: "IdentifierConverter" * (name == "identifier") for name in names}
    return {name: type(one).__name__ for name, one in pattern.converters.items()}

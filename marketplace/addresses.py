"""Which entries an identifier or an address names. Addresses of this site cost no network."""

import re
from collections.abc import Collection, Iterator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from django.urls import Resolver404, resolve

from core.errors import Refused
from marketplace.identifiers import PATTERN
from marketplace.models import CREATED_FORMAT, Entry, EntryQuerySet

_IDENTIFIER = re.compile(PATTERN)
_WEB = frozenset({"http", "https"})
#: Where StratusLab's Marketplace has them; here they stand below its name.
_OLD = ("/metadata/", "/tag/")
LONGEST = 500


class Elsewhere(Exception):
    """The address is another site's: somebody has to fetch what it names."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.url = url


def entries_at(text: str, *, user: Any, hosts: Collection[str]) -> EntryQuerySet:
    """What ``user`` may see of the entries that ``text`` names, the best first; maybe none.

    An identifier or the address of an image means the newest entry of each endorser, a full
    address the one entry, an endorser with a tag the newest of that tag. ``hosts`` are the names
    of this site, with the port where addresses have one.

    Raises:
        Elsewhere: a web address of another site.
        Refused: ``image_unknown``: it is neither an identifier nor the address of an image.
    """
    text = text.strip()[:LONGEST]
    visible = Entry.objects.visible_to(user)
    if _IDENTIFIER.fullmatch(text):
        return visible.newest().filter(identifier=text).best_first()
    try:
        address = urlsplit(text)
    except ValueError:
        raise _unknown() from None
    if address.scheme in _WEB and address.netloc not in hosts:
        raise Elsewhere(text)
    if not (address.scheme in _WEB or text.startswith("/")):
        raise _unknown()
    return _named(visible, _key(address.path, address.query))


def _key(path: str, query: str) -> dict[str, str]:
    """Identifier, endorser, instant and tag that a path of ours has, by name."""
    path = unquote(path)
    if path.startswith(_OLD):
        path = f"/marketplace{path}"
    try:
        match = resolve(path)
    except Resolver404:
        raise _unknown() from None
    key = {name: str(value) for name, value in match.kwargs.items() if name == "tag"}
    for part in _parts(match.kwargs):
        if "@" in part:
            key["email"] = part.lower()
        elif _IDENTIFIER.fullmatch(part):
            key["identifier"] = part
        elif part:
            key.setdefault("created", part)
    if asked := parse_qs(query).get("tag"):
        key.setdefault("tag", asked[0])
    if not ("identifier" in key or {"email", "tag"} <= key.keys()):
        raise _unknown()
    return key


def _parts(kwargs: dict[str, Any]) -> Iterator[str]:
    for name, value in kwargs.items():
        if name != "tag":
            yield from str(value).strip("/").split("/")


def _named(visible: EntryQuerySet, key: dict[str, str]) -> EntryQuerySet:
    if "identifier" not in key:
        tagged = visible.newest().filter(endorser_email=key["email"], alternative=key["tag"])
        first = tagged.filter(deprecated="").history().values("pk")[:1]
        return visible.filter(pk__in=first)
    rows = visible.filter(identifier=key["identifier"])
    if "email" in key:
        rows = rows.filter(endorser_email=key["email"])
    if "created" in key:
        return rows.filter(created_at=_instant(key["created"])).best_first()
    return rows.newest().best_first()


def _instant(text: str) -> datetime:
    try:
        return datetime.strptime(text, CREATED_FORMAT).replace(tzinfo=UTC)
    except ValueError:
        raise _unknown() from None


def _unknown() -> Refused:
    return Refused(
        "image_unknown",
        "This is neither an image identifier, which has 27 letters, digits, - or _, nor the "
        "address of an image.",
        field="image",
    )

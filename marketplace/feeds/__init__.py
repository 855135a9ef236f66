"""Catalogues elsewhere, read: each kind's format, and nothing of the database or of clouds."""

from collections.abc import Callable, Iterator, Mapping

from marketplace.feeds import debian, simplestreams, stratuslab
from marketplace.feeds.model import Found, Get, Item, Problem, SignedDocument, Unreadable

Reader = Callable[[str, Get], Iterator[Found]]

#: By ``Source.kind``.
READERS: Mapping[str, Reader] = {
    "stratuslab": stratuslab.read,
    "simplestreams": simplestreams.read,
    "debian": debian.read,
}

__all__ = [
    "READERS",
    "Found",
    "Get",
    "Item",
    "Problem",
    "Reader",
    "SignedDocument",
    "Unreadable",
]

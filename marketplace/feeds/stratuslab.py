"""The list of a StratusLab Marketplace, or of another of these portals.

``/metadata?media=xml`` answers every document inside one ``<metadata>``; a server that knows the
parameters of 6.6 answers a page of them. Deprecated entries are asked for as well: that is how
their endorsers take back what they have said. Source: stratuslab.md 6.5.
"""

from collections.abc import Iterator
from hashlib import sha256
from urllib.parse import urlencode, urlsplit

from core.fetch import Unfetchable
from marketplace import documents
from marketplace.feeds.model import Found, Get, SignedDocument, Unreadable

PAGE = 500
MOST_PAGES = 200
MOST_PAGE_BYTES = 64 << 20


def read(url: str, get: Get) -> Iterator[Found]:
    """Every document, page by page.

    Raises:
        core.fetch.Unfetchable: the list cannot be had.
        Unreadable: it is none.
    """
    seen: set[bytes] = set()
    for page in range(MOST_PAGES):
        listed = _page(url, page * PAGE, get)
        new = [xml for xml in listed if sha256(xml).digest() not in seen]
        for xml in new:
            seen.add(sha256(xml).digest())
            yield SignedDocument(xml)
        # Fewer: the last page. More: a server that knows no pages. None new: the same.
        if len(listed) != PAGE or not new:
            return
    raise Unreadable(f"The list has more than {MOST_PAGES * PAGE:,} documents.")


def list_of(url: str, start: int) -> str:
    """The address of a page of the list, from that of the Marketplace or of its list."""
    parts = urlsplit(url)
    path = parts.path.rstrip("/")
    if not path.endswith("/metadata"):
        path += "/metadata"
    asked = {"media": "xml", "status": "all", "iDisplayStart": start, "iDisplayLength": PAGE}
    return parts._replace(path=path, query=urlencode(asked), fragment="").geturl()


def _page(url: str, start: int, get: Get) -> list[bytes]:
    try:
        with get(list_of(url, start), most_bytes=MOST_PAGE_BYTES) as file:
            xml = file.read()
    except Unfetchable as error:
        if start and not error.is_passing:  # beyond the last: "no metadata matching query found"
            return []
        raise
    try:
        return documents.split_list(xml)
    except documents.Broken as broken:
        raise Unreadable(f"The list is none: {str(broken)[:300]}") from broken

"""FETCHING: bring a metadata document from an address that a person gave.

What comes is judged and taken in as if that person had uploaded it.
"""

from collections.abc import Mapping

from django.conf import settings

from cloud.driver import CloudDriver
from core import fetch
from core.errors import Refused
from core.machine import Go, Step
from marketplace.documents import Broken
from marketplace.judging import documents_in, submit, worth_most
from marketplace.models import DocumentArrival, Entry
from marketplace.states import ArrivalState

#: A catalogue answers browsers with a page.
ACCEPT = "application/rdf+xml, application/xml;q=0.9, text/xml;q=0.8, */*;q=0.1"


def bring(arrival: DocumentArrival, cloud: CloudDriver) -> Go | None:
    """FETCHING: fetch it anew from its beginning; it is small."""
    if not arrival.owner.is_active:
        return Go(ArrivalState.FAILED, "The account that it is fetched for is not active.")
    try:
        came = _fetched(arrival.url)
    except fetch.Unfetchable as error:
        if not error.is_passing:
            return Go(ArrivalState.FAILED, str(error))
        arrival.keep(reason=f"{error} The portal tries again.")
        return None
    return _taken_in(arrival, came)


def _fetched(url: str) -> bytes:
    """Raises: Unfetchable."""
    came = bytearray()

    def write(offset: int, piece: bytes) -> None:
        came[offset:] = piece

    fetch.fetch(
        url,
        write,
        most_bytes=settings.PORTAL_METADATA_KIB << 10,
        allowed=fetch.networks(settings.PORTAL_FETCH_NETWORKS),
        ports=settings.PORTAL_FETCH_PORTS,
        accept=ACCEPT,
    )
    return bytes(came)


def _taken_in(arrival: DocumentArrival, came: bytes) -> Go:
    if _is_page(came):
        return Go(ArrivalState.FAILED, "This address leads to a web page, not to metadata.")
    try:
        xml = worth_most(documents_in(came))
    except Broken as broken:  # of the list, so there is no document to be shown
        return Go(ArrivalState.FAILED, _in_short(broken))
    try:
        made = submit(xml, by=arrival.owner)
    except Broken as broken:
        return Go(ArrivalState.FAILED, _in_short(broken), fields={"xml": xml})
    except Refused as refused:
        return Go(ArrivalState.FAILED, str(refused), fields={"xml": xml})
    if isinstance(made, Entry):
        return Go(ArrivalState.DONE, fields={"xml": xml, "entry": made})
    asked = f"Its endorser, {made.email}, has been asked by mail whether it may be published."
    return Go(ArrivalState.DONE, asked, fields={"xml": xml, "pending": made})


def _is_page(came: bytes) -> bool:
    return came[:1000].lstrip().lower().startswith((b"<!doctype html", b"<html"))


def _in_short(broken: Broken) -> str:
    """Its page has all of them."""
    first, more = broken.problems[0], len(broken.problems) - 1
    rest = f" And {more} more." if more else ""
    return f"What is there breaks the rules of metadata. {first.sentence[:400]}{rest}"


STEPS: Mapping[str, Step[DocumentArrival]] = {ArrivalState.FETCHING: bring}

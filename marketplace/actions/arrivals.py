"""Have a metadata document fetched from an address."""

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from core import fetch
from core.errors import Refused
from core.machine import StaleState
from marketplace import tasks
from marketplace.actions.uploads import must_not_be_many
from marketplace.models import DocumentArrival
from marketplace.states import ArrivalState
from registration.models import User

LONGEST_URL = 500
#: On their way at the same time, of one person.
MOST_AT_ONCE = 5


def fetch_document(url: str, *, owner: User, to_launch: bool = False) -> DocumentArrival:
    """Have the document at ``url`` fetched and taken in; its page says what became of it.

    ``to_launch``: its page leads on to the launch of the image.

    Raises:
        Refused: ``url``, ``too_many_fetches``, ``too_many_documents``, ``not_active``.
    """
    url = url.strip()
    _must_be_fetchable(url)
    must_not_be_many(by=owner, address="")
    with transaction.atomic():
        if not User.objects.select_for_update(no_key=True).get(pk=owner.pk).is_active:
            raise Refused("not_active", "Your account is not active; ask an administrator.")
        _must_not_be_many(owner)
        arrival = DocumentArrival.objects.create(
            owner=owner,
            cloud=settings.DEFAULT_CLOUD,
            url=url,
            to_launch=to_launch,
            next_tick_at=timezone.now(),
        )
        arrival.record_event("asked", by=owner, now=ArrivalState.FETCHING)
        arrival.announce()
        tasks.ring_row(arrival)
    return arrival


def fetch_again(arrival: DocumentArrival, *, by: User) -> None:
    """Try once more.

    Raises:
        Refused: ``document_state``, it did not fail; ``too_many_documents``.
    """
    if arrival.state == ArrivalState.FAILED:
        must_not_be_many(by=by, address="")
        try:
            arrival.move(ArrivalState.FETCHING, by=by, verb="asked")
        except StaleState:
            arrival.refresh_from_db()  # another tab has asked
        else:
            tasks.ring_row(arrival)
    if arrival.state != ArrivalState.FETCHING:
        raise Refused("document_state", "It has been fetched already.")


def _must_be_fetchable(url: str) -> None:
    if len(url) > LONGEST_URL:
        raise Refused("url", f"An address has at most {LONGEST_URL} characters.", field="url")
    try:
        fetch.check(url, settings.PORTAL_FETCH_PORTS)
    except fetch.Unfetchable as error:
        raise Refused("url", str(error), field="url") from error


def _must_not_be_many(owner: User) -> None:
    """Fetches are to catalogues of others, in the site's name."""
    busy = DocumentArrival.objects.filter(owner=owner, state=ArrivalState.FETCHING).count()
    if busy >= MOST_AT_ONCE:
        raise Refused(
            "too_many_fetches",
            f"{busy} documents are being fetched for you, and {MOST_AT_ONCE} are the most at a "
            "time. Wait for one.",
            field="url",
        )

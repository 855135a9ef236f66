"""Documents that people and programs bring: judged, then published or put to their endorser."""

from contextlib import suppress

from core.errors import Refused
from marketplace import documents, judging, traces
from marketplace.actions.inspecting import must_be_looked_into
from marketplace.actions.publishing import EVERYBODY, Reader
from marketplace.judging import Judged, Outcome, judge
from marketplace.models import Entry, Pending
from registration import throttle
from registration.models import User

__all__ = ["Judged", "Outcome", "judge", "must_not_be_many", "submit"]

#: Documents of one person, or from one address without an account, in a window.
MOST_OF_A_PERSON = 300
MOST_OF_AN_ADDRESS = 60
#: A page carries its documents along: each is judged once more with every answer.
MOST_TIMES = 10


def submit(
    xml: bytes, *, by: User | None, address: str = "", readers: Reader = EVERYBODY
) -> Entry | Pending:
    """As ``judging.submit``; what it names and nobody has looked into, is looked into from now on.

    Raises: Broken. Refused.
    """
    try:
        return judging.submit(xml, by=by, address=address, readers=readers)
    except Refused as refused:
        if by is None or refused.code not in ("hygiene_unread", "hygiene_found"):
            raise
        metadata = documents.parse(xml, largest_bytes=len(xml))
        with suppress(Refused):
            must_be_looked_into(traces.disks_in(metadata, by), readers)
        sentence = f"{refused} Here: upload it for yourself alone, and open it on its page."
        raise Refused(refused.code, sentence, field="visibility") from None


def must_not_be_many(
    *, by: User | None, address: str, many: int = 1, are_known: bool = False
) -> None:
    """Count documents before they are judged. ``are_known``: a page has brought them back.

    Raises: Refused: ``too_many_documents``.
    """
    limit, sender = (MOST_OF_A_PERSON, str(by.uuid)) if by else (MOST_OF_AN_ADDRESS, address)
    what = "metadata document"
    if are_known:
        limit, what = limit * MOST_TIMES, "metadata document again"
    if until := throttle.take(limit, what, sender, many=many):
        raise Refused(
            "too_many_documents",
            f"{limit} documents came from you in a short time; the next may come after "
            f"{until:%H:%M} UTC.",
        )

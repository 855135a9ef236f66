"""Documents that people and programs bring: judged, then published or put to their endorser."""

from core.errors import Refused
from marketplace.judging import Judged, Outcome, judge, submit
from registration import throttle
from registration.models import User

__all__ = ["Judged", "Outcome", "judge", "must_not_be_many", "submit"]

#: Documents of one person, or from one address without an account, in a window.
MOST_OF_A_PERSON = 300
MOST_OF_AN_ADDRESS = 60
#: A page carries its documents along: each is judged once more with every answer.
MOST_TIMES = 10


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

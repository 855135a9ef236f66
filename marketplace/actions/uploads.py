"""Documents that people and programs bring: judged, then published or put to their endorser."""

from core.errors import Refused
from marketplace.judging import Judged, Outcome, judge, submit
from registration import throttle
from registration.models import User

__all__ = ["Judged", "Outcome", "judge", "must_not_be_many", "submit"]

#: Documents of one person, or from one address without an account, in a window.
MOST_OF_A_PERSON = 300
MOST_OF_AN_ADDRESS = 60


def must_not_be_many(*, by: User | None, address: str) -> None:
    """Count a document that comes in. Raises: Refused: ``too_many_documents``."""
    limit, sender = (MOST_OF_A_PERSON, str(by.uuid)) if by else (MOST_OF_AN_ADDRESS, address)
    if until := throttle.take(limit, "metadata document", sender):
        raise Refused(
            "too_many_documents",
            f"{limit} documents came from you in a short time; the next may come after "
            f"{until:%H:%M} UTC.",
        )

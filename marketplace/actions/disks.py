"""Before everybody gets a disk that machines boot from: the rules of entries, for the disk itself.

Registered as a gate of ``volumes``, which asks it.
"""

from collections.abc import Callable

from core.errors import Refused
from marketplace import opening, traces
from marketplace.actions.inspecting import must_be_looked_into
from marketplace.publishing import Reader
from registration.models import User
from volumes.asking import must
from volumes.models import Volume

_WAY = (
    "publish it as an image in the Marketplace, for everybody: an administrator is asked, and the "
    "disk stays yours."
)


def ask(volume: Volume, by: User, knows: bool) -> None:
    """May everybody have it? Have it looked into, if nobody has.

    Raises: Refused: ``approval_needed``, ``disk_state``, ``disk_written``, ``hygiene_unread``,
        ``hygiene_found``.
    """
    _pass(volume, by, knows, must_be_looked_into)


def check(volume: Volume, by: User, knows: bool) -> None:
    """As ``ask``; nothing is begun."""
    _pass(volume, by, knows, traces.must_be_known)


def _pass(
    volume: Volume, by: User, knows: bool, look: Callable[[list[Volume], Reader], None]
) -> None:
    if way(by):
        raise Refused(
            "approval_needed",
            "This site asks an administrator before everybody gets a machine image, and a public "
            f"disk goes to everybody at once. Have it private, and {_WAY}",
            field="visibility",
        )
    if refusal := must(volume, "download", by=by).being_written():
        raise refusal
    try:
        look([volume], Reader(knows=knows))
    except Refused as refused:
        if refused.code != "hygiene_unread":
            raise
        raise Refused(
            refused.code,
            f"Everybody would have {volume}: the portal looks into it first, for keys and traces "
            "of its maker. Wait for its report, on the disk's page; or have it private.",
            field="visibility",
        ) from None


def to_read(volume: Volume) -> str:
    """What was found in it, if there is a report that holds still; or ""."""
    report = traces.reports([volume]).get(volume.uuid)
    if report is None or report.is_moving or traces.is_old(report):
        return ""
    return traces.in_words(report)


def way(user: User) -> str:
    """How somebody who must ask first gets an image to everybody; or ""."""
    return _WAY if opening.asks_first(user) else ""

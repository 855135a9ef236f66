"""Documents that came in and were answered are not kept for ever. Entries are; this is the rest."""

from datetime import timedelta
from typing import Any

from django.db.models import QuerySet
from django.utils import timezone

from marketplace.models import DocumentArrival, Pending
from marketplace.states import ArrivalState, PendingState

#: After this the bytes go: an entry has its own.
BYTES_FOR = timedelta(days=30)
#: After this the row goes; the audit keeps what happened.
ROWS_FOR = timedelta(days=90)
#: At a time.
MOST_ROWS = 500


def forget() -> None:
    """Empty what was answered a month ago, and remove what was answered three months ago."""
    arrivals = DocumentArrival.objects.exclude(state=ArrivalState.FETCHING)
    _before(arrivals, BYTES_FOR).exclude(xml=None).update(xml=None)
    answered = Pending.objects.exclude(state=PendingState.WAITING)
    _before(answered, BYTES_FOR).exclude(xml=b"").update(xml=b"")
    for rows in (arrivals, answered):
        old = list(_before(rows, ROWS_FOR).values_list("pk", flat=True)[:MOST_ROWS])
        rows.filter(pk__in=old).delete()


def _before(rows: QuerySet[Any], age: timedelta) -> QuerySet[Any]:
    return rows.filter(state_since__lt=timezone.now() - age)

"""Comparing names whatever their letter case, the way their indexes do."""

from django.db.models import Q, Value
from django.db.models.functions import Lower
from django.db.models.lookups import Exact


def same(field: str, text: str) -> Q:
    """Whether the column ``field`` holds ``text``.

    Unlike ``iexact``, which no index on ``Lower`` serves. The database makes both lower case:
    SQLite knows ASCII alone, Python more.
    """
    return Q(Exact(Lower(field), Lower(Value(text))))

"""What a person may hold at the same time."""

from collections.abc import Mapping

from django.db import transaction

from core.errors import Refused
from registration.actions import rules
from registration.models import GIB, QUOTA_FIELDS, User

LARGEST_QUOTA = 1_000_000_000


@transaction.atomic
def set_quota(user: User, *, by: User, limits: Mapping[str, int | None]) -> None:
    """Set the limits that are named, of ``QUOTA_FIELDS``; None: as everybody.

    Raises:
        Refused: ``not_administrator``, ``quota_invalid``.
    """
    rules.must_be_administrator(by)
    must_be_limits(limits)
    row = User.objects.select_for_update(no_key=True).get(pk=user.pk)
    before = {name: getattr(row, f"quota_{name}") for name in limits}
    changes = {name: limit for name, limit in limits.items() if limit != before[name]}
    for name, limit in limits.items():
        setattr(user, f"quota_{name}", limit)
    if not changes:
        return
    user.save(update_fields=[f"quota_{name}" for name in changes])
    was = {name: before[name] for name in changes}
    user.record_event("quota_set", by=by, before=was, after=changes)
    user.announce()


def must_be_limits(limits: Mapping[str, int | None]) -> None:
    """Raises: Refused: ``quota_invalid``."""
    for name, limit in limits.items():
        if name not in QUOTA_FIELDS:
            raise Refused("quota_invalid", f"There is no limit called {name}.")
        most = LARGEST_QUOTA * GIB if name == "disk_bytes" else LARGEST_QUOTA
        if limit is not None and not 0 <= limit <= most:
            sentence = f"A limit is a whole number from 0 to {LARGEST_QUOTA}, or blank."
            raise Refused("quota_invalid", sentence, field=name)

"""Count what images are used for: launches by whom, and sizes that they come up with."""

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from marketplace.models import Entry, TestedSize, Use
from registration.models import User


def note_launch(entry: Entry, user: User) -> None:
    """Count a launch by ``entry``; of launches at the same time, each counts."""
    now = timezone.now()
    with transaction.atomic():
        Use.objects.bulk_create([Use(entry=entry, user=user, last_at=now)], ignore_conflicts=True)
        Use.objects.filter(entry=entry, user=user).update(launches=F("launches") + 1, last_at=now)


def note_tested(entry: Entry, size: str, vcpus: int, memory_mib: int) -> None:
    """Count that a machine made by this entry and of this size came up so that SSH answered."""
    now = timezone.now()
    known = {"entry": entry, "size": size, "vcpus": vcpus, "memory_mib": memory_mib}
    with transaction.atomic():
        TestedSize.objects.bulk_create([TestedSize(**known, last_at=now)], ignore_conflicts=True)
        TestedSize.objects.filter(**known).update(times=F("times") + 1, last_at=now)

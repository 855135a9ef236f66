"""Wishes for more than a quota allows."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

from django.db import models
from django.db.models import Q
from django.utils import timezone

from core.machine import Stateful
from registration import elsewhere
from registration.models.people import QUOTA_FIELDS, User, limits_in_words
from registration.states import WISH_DEADLINES, WISH_MOVES, WISH_VERBS, WishState


class QuotaWishQuerySet(models.QuerySet["QuotaWish"]):
    def visible_to(self, user: Any) -> Self:
        return self if user.is_staff else self.filter(owner=user)

    def waiting(self) -> Self:
        return self.filter(state=WishState.WAITING)

    def count_by_state(self) -> dict[str, int]:
        return dict(self.order_by().values_list("state").annotate(models.Count("pk")))


#: Counting further costs more than the number tells.
MOST_COUNTED = 100


@dataclass(frozen=True, slots=True)
class Waiting:
    """How many wait for an administrator, each counted up to ``MOST_COUNTED``."""

    registrations: int
    wishes: int
    elsewhere: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def now(cls) -> "Waiting":
        registrations = User.objects.waiting().order_by()[:MOST_COUNTED].count()
        wishes = QuotaWish.objects.waiting().order_by()[:MOST_COUNTED].count()
        return cls(registrations, wishes, elsewhere.counts(MOST_COUNTED))

    @property
    def total(self) -> int:
        return self.registrations + self.wishes + sum(self.elsewhere.values())


class QuotaWish(Stateful):
    """What a person would like to hold at the same time, and why."""

    KIND = "quota_wish"
    MOVES = WISH_MOVES
    DEADLINES = WISH_DEADLINES

    state = models.CharField(
        max_length=12, choices=WishState, default=WishState.WAITING, editable=False
    )
    owner = models.ForeignKey(User, models.CASCADE, related_name="quota_wishes")
    # Null: as it is.
    machines = models.PositiveIntegerField(null=True, blank=True)
    vcpus = models.PositiveIntegerField(null=True, blank=True)
    memory_mib = models.PositiveIntegerField(null=True, blank=True)
    disk_bytes = models.PositiveBigIntegerField(null=True, blank=True)
    images = models.PositiveIntegerField(null=True, blank=True)
    message = models.TextField()
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    objects: ClassVar[models.Manager["QuotaWish"]] = QuotaWishQuerySet.as_manager()

    class Meta:
        ordering = ["pk"]
        constraints = [
            models.CheckConstraint(
                condition=Q(state__in=WishState.values), name="registration_quotawish_state"
            ),
            models.UniqueConstraint(
                fields=["owner"],
                condition=Q(state=WishState.WAITING),
                name="registration_quotawish_one",
            ),
        ]

    def __str__(self) -> str:
        return f"more quota for {self.owner}"

    @property
    def verbs(self) -> frozenset[str]:
        """What an administrator may ask of it now."""
        return frozenset(verb for verb, states in WISH_VERBS.items() if self.state in states)

    @property
    def limits(self) -> dict[str, int]:
        """The limits that are wished for, by the names of ``QUOTA_FIELDS``."""
        wanted = {name: getattr(self, name) for name in QUOTA_FIELDS}
        return {name: limit for name, limit in wanted.items() if limit is not None}

    @property
    def in_words(self) -> str:
        return limits_in_words(self.limits)

    def audience(self) -> tuple[int, ...]:
        return (self.owner_id,)

"""Whom an administrator has refused: no rule lets them in."""

from collections.abc import Sequence
from typing import Self

from django.db import models
from django.db.models import Q
from django.db.models.functions import Lower
from django.utils import timezone

from registration.models.people import User
from registration.states import AccountState


class RejectionQuerySet(models.QuerySet["Rejection"]):
    def keep(self, user: User) -> None:
        """Remember that ``user``, as called now, was refused, whatever becomes of the request."""
        self.get_or_create(user=user, username=user.username.lower(), email=user.email.lower())

    def about(self, people: Sequence[User]) -> Self:
        """Refusals of these people, or of others of the same user name or address."""
        names = {user.username.lower() for user in people}
        addresses = {user.email.lower() for user in people}
        keys = [user.pk for user in people]
        return self.filter(Q(user__in=keys) | Q(username__in=names) | Q(email__in=addresses))

    def refused(self, people: Sequence[User]) -> set[int]:
        """The keys of those whom an administrator has to read: three queries, however many."""
        found = list(self.about(people).values_list("user_id", "username", "email"))
        found += _refused_now(people)
        keys = {key for key, _, _ in found}
        names, addresses = {name for _, name, _ in found}, {email for _, _, email in found}
        return {
            user.pk
            for user in people
            if user.pk in keys or user.username.lower() in names or user.email.lower() in addresses
        }


#: Each is an administrator's no.
REFUSED = (AccountState.REJECTED, AccountState.CLOSED)


def _refused_now(people: Sequence[User]) -> list[tuple[int, str, str]]:
    names = {user.username.lower() for user in people}
    addresses = {user.email.lower() for user in people}
    rows = User.objects.filter(state__in=REFUSED).alias(
        name=Lower("username"), address=Lower("email")
    )
    rows = rows.filter(Q(name__in=names) | Q(address__in=addresses))
    return [(row.pk, row.username.lower(), row.email.lower()) for row in rows]


class Rejection(models.Model):
    """A request that was refused and goes on, or an approval that was undone.

    Kept when the account leaves that state, until an administrator lets the person in. Who is
    rejected or closed now needs none.
    """

    user = models.ForeignKey(User, models.PROTECT, related_name="rejections")
    username = models.CharField(max_length=20, db_index=True)  # both in lower case, as they were
    email = models.EmailField(db_index=True)
    at = models.DateTimeField(default=timezone.now, editable=False)

    objects = RejectionQuerySet.as_manager()

    class Meta:
        ordering = ["pk"]
        constraints = [
            models.UniqueConstraint(
                fields=["user", "username", "email"], name="registration_rejection_once"
            )
        ]

    def __str__(self) -> str:
        return f"{self.username} ({self.email})"

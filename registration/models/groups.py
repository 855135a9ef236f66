"""Groups of people, made and kept by their owners."""

import uuid
from typing import Any, ClassVar, Self

from django.db import models
from django.db.models import Count, OuterRef, Q, Subquery
from django.db.models.functions import Coalesce, Lower
from django.urls import reverse
from django.utils import timezone

from registration.models.people import User
from registration.models.text import same


class Role(models.TextChoices):
    OWNER = "owner", "Owner"
    MEMBER = "member", "Member"


class GroupQuerySet(models.QuerySet["Group"]):
    def visible_to(self, user: Any) -> Self:
        """The groups that ``user`` is in; an administrator sees all."""
        return self if user.is_staff else self.filter(memberships__user=user)

    def of(self, user: Any) -> Self:
        """The groups that ``user`` is a member of, with ``role`` and ``size`` (people)."""
        mine = Membership.objects.filter(group=OuterRef("pk"), user=user)
        return (
            self.filter(memberships__user=user)
            .with_size()
            .annotate(role=Subquery(mine.values("role")[:1]))
        )

    def search(self, text: str) -> Self:
        """Whose name or description holds every word of ``text``."""
        rows = self
        for word in text.split():
            rows = rows.filter(Q(name__icontains=word) | Q(description__icontains=word))
        return rows

    def with_size(self) -> Self:
        """With ``size``, how many people are in it."""
        people = Membership.objects.filter(group=OuterRef("pk")).order_by().values("group")
        size = people.annotate(size=Count("pk")).values("size")
        return self.annotate(size=Coalesce(Subquery(size), 0))

    def known_to(self, user: Any) -> Self:
        """Those that ``user`` may see, and those that invite them."""
        if user.is_staff:
            return self
        invited = Invitation.objects.to(user).values("group")
        member = Membership.objects.filter(user=user).values("group")
        return self.filter(Q(pk__in=member) | Q(pk__in=invited))


class Group(models.Model):
    """People who can be given something together."""

    KIND: ClassVar[str] = "group"

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    name = models.CharField(max_length=40)
    description = models.CharField(max_length=200, blank=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    objects = GroupQuerySet.as_manager()

    class Meta:
        ordering = ["name", "pk"]
        constraints = [models.UniqueConstraint(Lower("name"), name="registration_group_name")]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("registration:group", args=[self.uuid])

    def audience(self) -> tuple[int, ...]:
        """Ids of the people, besides administrators, whom a change of it may reach."""
        members = self.memberships.values_list("user", flat=True)
        invited = self.invitations.exclude(user=None).values_list("user", flat=True)
        return tuple({*members, *invited})


class Membership(models.Model):
    group = models.ForeignKey(Group, models.CASCADE, related_name="memberships")
    user = models.ForeignKey(User, models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=8, choices=Role, default=Role.MEMBER)
    joined_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering = ["-role", "pk"]
        constraints = [
            models.UniqueConstraint(fields=["group", "user"], name="registration_membership_once"),
            models.CheckConstraint(
                condition=Q(role__in=Role.values), name="registration_membership_role"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.user} in {self.group}"


class InvitationQuerySet(models.QuerySet["Invitation"]):
    def open(self) -> Self:
        return self.filter(expires_at__gt=timezone.now())

    def to(self, user: Any) -> Self:
        """What this person can accept: offered to the account, or to its confirmed address."""
        meant = Q(user=user)
        if user.email_confirmed_at is not None:
            meant |= same("email", user.email)
        groups = Membership.objects.filter(user=user).values("group")
        return self.open().filter(meant).exclude(group__in=groups)


class Invitation(models.Model):
    """A place in a group that is offered to an account or to an address."""

    KIND: ClassVar[str] = "invitation"

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    group = models.ForeignKey(Group, models.CASCADE, related_name="invitations")
    user = models.ForeignKey(User, models.CASCADE, null=True, related_name="invitations")
    email = models.EmailField(blank=True)  # of somebody who may have no account yet
    digest = models.CharField(max_length=64, blank=True)  # SHA-256 of the token in the mail
    invited_by = models.ForeignKey(User, models.CASCADE, related_name="+")
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    expires_at = models.DateTimeField()

    objects = InvitationQuerySet.as_manager()

    class Meta:
        ordering = ["pk"]
        constraints = [
            models.UniqueConstraint(
                fields=["group", "user"],
                condition=Q(user__isnull=False),
                name="registration_invitation_user",
            ),
            models.UniqueConstraint(
                Lower("email"),
                "group",
                condition=~Q(email=""),
                name="registration_invitation_email",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.user or self.email} to {self.group}"

    @property
    def is_open(self) -> bool:
        return self.expires_at > timezone.now()

"""People, what they may hold, and the SSH keys they bring to their machines."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from django.conf import settings
from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.core.validators import RegexValidator
from django.db import models
from django.db.models import Case, F, Q, Value, When
from django.db.models.functions import Lower
from django.utils import timezone

from core.machine import Stateful
from core.models import Event
from registration.states import (
    ACCOUNT_DEADLINES,
    ACCOUNT_MOVES,
    ACCOUNT_VERBS,
    LET_IN,
    NAMELESS,
    AccountState,
)

USERNAME_RULE = r"^[A-Za-z0-9_]{3,20}\Z"


@dataclass(frozen=True, slots=True)
class Quota:
    """What one person may hold at the same time."""

    machines: int
    vcpus: int
    memory_mib: int


class UserQuerySet(models.QuerySet["User"]):
    def visible_to(self, user: Any) -> Self:
        """The accounts that ``user`` may see: an administrator all, others their own."""
        return self if user.is_staff else self.filter(pk=user.pk)

    def waiting(self) -> Self:
        return self.filter(state=AccountState.APPLIED)

    def active(self) -> Self:
        return self.filter(state__in=LET_IN)

    def administrators(self) -> Self:
        return self.active().filter(is_staff=True)

    def waiting_first(self) -> Self:
        """Requests in the order they came, then everybody else, the latest change first."""
        waits = Case(When(state=AccountState.APPLIED, then=Value(0)), default=Value(1))
        came = Case(When(state=AccountState.APPLIED, then=F("created_at")))
        return self.order_by(waits, came, "-state_since", "-pk")

    def search(self, text: str) -> Self:
        """Whose name, user name or address holds every word of ``text``."""
        rows = self
        for word in text.split():
            rows = rows.filter(
                Q(username__icontains=word)
                | Q(email__icontains=word)
                | Q(given_name__icontains=word)
                | Q(family_name__icontains=word)
            )
        return rows

    def count_by_state(self) -> dict[str, int]:
        return dict(self.order_by().values_list("state").annotate(models.Count("pk")))

    def holding(self, *, username: str = "", email: str = "") -> Self:
        """Whoever holds this user name or this address; letter case does not matter."""
        wanted = Q()
        if username:
            wanted |= Q(username__iexact=username)
        if email:
            wanted |= Q(email__iexact=email)
        return self.filter(wanted).exclude(state__in=NAMELESS) if wanted else self.none()

    def named(self, login: str) -> "User | None":
        """The account that this user name or e-mail address means at the sign-in page.

        The holder of the name; if there is none, the one that lost it last.
        """
        lost = Case(When(state__in=NAMELESS, then=Value(1)), default=Value(0))
        column = "email__iexact" if "@" in login else "username__iexact"
        return self.filter(**{column: login}).order_by(lost, "-pk").first()


class UserManager(BaseUserManager["User"].from_queryset(UserQuerySet)):  # type: ignore[misc]
    def get_by_natural_key(self, username: str | None) -> "User":
        """The account that may be meant by ``username``, a user name or an address."""
        user: User | None = self.named(username or "")
        if user is None:
            raise User.DoesNotExist
        return user


class User(AbstractBaseUser, Stateful):
    """A person: asked for by themselves, let in by an administrator."""

    KIND = "account"
    MOVES = ACCOUNT_MOVES
    DEADLINES = ACCOUNT_DEADLINES

    # Who was rejected holds no name any more, so the name alone is not unique.
    USERNAME_FIELD = "uuid"
    EMAIL_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []

    state = models.CharField(
        max_length=12, choices=AccountState, default=AccountState.APPLIED, editable=False
    )
    username = models.CharField(max_length=20, validators=[RegexValidator(USERNAME_RULE)])
    email = models.EmailField()
    given_name = models.CharField(max_length=100)
    family_name = models.CharField(max_length=100)
    x500_dn = models.CharField(max_length=500, blank=True)  # RFC 4514 text, as X.509 clients show
    is_staff = models.BooleanField(default=False)  # an administrator; the only role
    message = models.TextField(blank=True)  # to the administrator, with the request
    terms_version = models.CharField(max_length=20, blank=True)
    terms_agreed_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    # Counts cancelled links: a link to a new password is good for one value only.
    reset_serial = models.PositiveIntegerField(default=0, editable=False)
    default_instance_type = models.CharField(max_length=40, blank=True)
    # Null: the site's default.
    quota_machines = models.PositiveIntegerField(null=True, blank=True)
    quota_vcpus = models.PositiveIntegerField(null=True, blank=True)
    quota_memory_mib = models.PositiveIntegerField(null=True, blank=True)

    objects: ClassVar[UserManager] = UserManager()

    class Meta:
        ordering = ["pk"]
        indexes = [models.Index(fields=["state", "created_at"], name="registration_user_queue")]
        constraints = [
            models.CheckConstraint(
                condition=Q(state__in=AccountState.values), name="registration_user_state"
            ),
            models.UniqueConstraint(
                Lower("username"),
                condition=~Q(state__in=[AccountState.REJECTED]),
                name="registration_user_username",
            ),
            models.UniqueConstraint(
                Lower("email"),
                condition=~Q(state__in=[AccountState.REJECTED]),
                name="registration_user_email",
            ),
        ]

    def __str__(self) -> str:
        return self.username

    def get_username(self) -> str:
        return self.username

    def get_full_name(self) -> str:
        return f"{self.given_name} {self.family_name}".strip()

    @property
    def is_active(self) -> bool:  # type: ignore[override]
        """Whether this person is let in: the state says so, and nothing else."""
        return self.state in LET_IN

    def is_earlier_request_of(self, other: "User") -> bool:
        is_same = (
            self.username.lower() == other.username.lower()
            or self.email.lower() == other.email.lower()
        )
        return is_same and self.pk < other.pk

    @property
    def verbs(self) -> frozenset[str]:
        """What an administrator may ask of it now. Buttons and actions both read this."""
        return frozenset(verb for verb, states in ACCOUNT_VERBS.items() if self.state in states)

    @property
    def quota(self) -> Quota:
        return Quota(
            machines=_own_or(self.quota_machines, settings.PORTAL_QUOTA_MACHINES),
            vcpus=_own_or(self.quota_vcpus, settings.PORTAL_QUOTA_VCPUS),
            memory_mib=_own_or(self.quota_memory_mib, settings.PORTAL_QUOTA_MEMORY_MIB),
        )

    def audience(self) -> tuple[int, ...]:
        return (self.pk,)

    # Filled by ``with_history`` for pages that show them.
    decision: Event | None = None
    earlier: Sequence["User"] = ()


def with_history(people: list[User]) -> list[User]:
    """Who decided last about each of ``people``, and what they asked before: two queries."""
    moves = Event.objects.filter(subject__in=[user.uuid for user in people], verb="moved")
    decisions = {event.subject: event for event in moves.select_related("by").order_by("pk")}
    names = {user.username.lower() for user in people}
    addresses = {user.email.lower() for user in people}
    asked = User.objects.filter(state__in=NAMELESS).alias(
        name=Lower("username"), address=Lower("email")
    )
    refused = list(asked.filter(Q(name__in=names) | Q(address__in=addresses)).order_by("-pk"))
    for user in people:
        user.decision = decisions.get(user.uuid)
        user.earlier = [other for other in refused if other.is_earlier_request_of(user)]
    return people


def _own_or(own: int | None, default: int) -> int:
    return default if own is None else own


class Attempts(models.Model):
    """How often something was tried and failed since an instant, by whom and from where."""

    key = models.CharField(max_length=64, unique=True)  # SHA-256: typed names may be passwords
    since = models.DateTimeField(db_index=True)
    count = models.PositiveIntegerField()

    def __str__(self) -> str:
        return f"{self.count} since {self.since}"


class SshKey(models.Model):
    """A public key that a person's machines let in."""

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    owner = models.ForeignKey(User, models.CASCADE, related_name="ssh_keys")
    name = models.CharField(max_length=80)
    public_key = models.TextField()  # one line: type, base64, name
    fingerprint = models.CharField(max_length=60)  # SHA256:…, as ssh-keygen -l prints
    is_default = models.BooleanField(default=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering = ["-is_default", "pk"]
        constraints = [
            models.UniqueConstraint(
                fields=["owner"], condition=Q(is_default=True), name="registration_sshkey_default"
            ),
            models.UniqueConstraint(
                fields=["owner", "fingerprint"], name="registration_sshkey_fingerprint"
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def algorithm(self) -> str:
        return self.public_key.partition(" ")[0]

"""People: who they are, where their account stands, what they may hold."""

from collections.abc import Mapping
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
from registration.models.text import same
from registration.states import (
    ACCOUNT_DEADLINES,
    ACCOUNT_MOVES,
    ACCOUNT_VERBS,
    ADDRESSLESS,
    LET_IN,
    NAMELESS,
    REQUEST_VERBS,
    AccountState,
)

GIB = 2**30
USERNAME_RULE = r"^[A-Za-z0-9_]{3,20}\Z"


@dataclass(frozen=True, slots=True)
class Quota:
    """What one person may hold at the same time."""

    machines: int
    vcpus: int
    memory_mib: int
    disk_bytes: int
    images: int


#: The limits of a quota, as the columns, forms and mails name them.
QUOTA_FIELDS = ("machines", "vcpus", "memory_mib", "disk_bytes", "images")

_LIMIT_WORDS = {
    "machines": "{:,} machines",
    "vcpus": "{:,} vCPUs",
    "memory_mib": "{:,} MiB of memory",
    "disk_bytes": "{:,} GiB of disk",
    "images": "{:,} images",
}


def limits_in_words(limits: Mapping[str, int]) -> str:
    """Limits as a person reads them: "4 machines, 8,192 MiB of memory"."""
    shown = {name: limits[name] for name in QUOTA_FIELDS if name in limits}
    if "disk_bytes" in shown:
        shown["disk_bytes"] //= GIB
    return ", ".join(_LIMIT_WORDS[name].format(limit) for name, limit in shown.items())


class UserQuerySet(models.QuerySet["User"]):
    def visible_to(self, user: Any) -> Self:
        """The accounts that ``user`` may see: an administrator all, others their own."""
        return self if user.is_staff else self.filter(pk=user.pk)

    def waiting(self) -> Self:
        """Requests that only an administrator can move on."""
        return self.filter(state=AccountState.CONFIRMED)

    def active(self) -> Self:
        return self.filter(state__in=LET_IN)

    def administrators(self) -> Self:
        return self.active().filter(is_staff=True)

    def waiting_first(self) -> Self:
        """Requests in the order they came, then everybody else, the latest change first."""
        waits = Case(When(state=AccountState.CONFIRMED, then=Value(0)), default=Value(1))
        came = Case(When(state=AccountState.CONFIRMED, then=F("asked_at")))
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
            wanted |= same("username", username) & ~Q(state__in=NAMELESS)
        if email:
            wanted |= same("email", email) & ~Q(state__in=ADDRESSLESS)
        return self.filter(wanted) if wanted else self.none()

    def named(self, login: str) -> "User | None":
        """The account that this user name or e-mail address means at the sign-in page.

        The holder of it; if there is none, the last one to have lost it. An address means
        nobody who only wrote it: whether that works would tell if it has an account.
        """
        if "@" in login:
            rows, loses = self.filter(same("email", login)), ADDRESSLESS
            rows = rows.exclude(state__in=loses, email_confirmed_at=None)
        else:
            rows, loses = self.filter(same("username", login)), NAMELESS
        lost = Case(When(state__in=loses, then=Value(1)), default=Value(0))
        return rows.order_by(lost, "-pk").first()


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
    # Who vouches for this person's password: "" the portal, "ldap", or an OpenID Connect id.
    source = models.CharField(max_length=80, blank=True, editable=False)
    # Who this is in the directory, whatever they are called there: "entryUUID=…", or "dn=…".
    source_id = models.CharField(max_length=500, blank=True, editable=False)
    email_confirmed_at = models.DateTimeField(null=True, blank=True, editable=False)
    new_email = models.EmailField(blank=True, editable=False)  # wanted, and not confirmed yet
    # Counts confirmations: a link to confirm an address is good for one value only.
    email_serial = models.PositiveIntegerField(default=0, editable=False)
    policy_version = models.PositiveIntegerField(default=0, editable=False)  # last agreed to
    policy_agreed_at = models.DateTimeField(null=True, blank=True, editable=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    asked_at = models.DateTimeField(default=timezone.now, editable=False)  # the latest request
    last_seen_at = models.DateTimeField(null=True, blank=True, editable=False)
    # Counts cancelled links: a link to a new password is good for one value only.
    reset_serial = models.PositiveIntegerField(default=0, editable=False)
    default_instance_type = models.CharField(max_length=40, blank=True)
    default_context_method = models.CharField(max_length=12, blank=True)  # "": the site's
    date_style = models.CharField(max_length=8, blank=True)  # a BCP 47 language; "": the site's
    # Null: the site's default.
    quota_machines = models.PositiveIntegerField(null=True, blank=True)
    quota_vcpus = models.PositiveIntegerField(null=True, blank=True)
    quota_memory_mib = models.PositiveIntegerField(null=True, blank=True)
    quota_disk_bytes = models.PositiveBigIntegerField(null=True, blank=True)
    quota_images = models.PositiveIntegerField(null=True, blank=True)

    objects: ClassVar[UserManager] = UserManager()

    class Meta:
        ordering = ["pk"]
        indexes = [
            models.Index(fields=["state", "asked_at"], name="registration_user_queue"),
            models.Index(fields=["state", "state_since"], name="registration_user_latest"),
            # Whoever had a name or an address before, its holder or not.
            models.Index(Lower("username"), name="registration_user_name"),
            models.Index(Lower("email"), name="registration_user_address"),
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(state__in=AccountState.values), name="registration_user_state"
            ),
            models.UniqueConstraint(
                Lower("username"),
                condition=~Q(state__in=sorted(NAMELESS)),
                name="registration_user_username",
            ),
            models.UniqueConstraint(
                Lower("email"),
                condition=~Q(state__in=sorted(ADDRESSLESS)),
                name="registration_user_email",
            ),
            models.UniqueConstraint(
                fields=["source", "source_id"],
                condition=~Q(source_id=""),
                name="registration_user_source_id",
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

    @property
    def verbs(self) -> frozenset[str]:
        """What an administrator may ask of it now. Buttons and actions both read this."""
        verbs = {verb for verb, states in ACCOUNT_VERBS.items() if self.state in states}
        was_here = self.last_login is not None or self.is_staff
        return frozenset(verbs - {"take_back"} if was_here else verbs)

    @property
    def request_verbs(self) -> frozenset[str]:
        """What the person may ask about their own request now."""
        return frozenset(verb for verb, states in REQUEST_VERBS.items() if self.state in states)

    @property
    def owner_pk(self) -> int | None:
        return self.pk

    def has_perm(self, perm: str, obj: Any = None) -> bool:
        """Django's admin site asks: an administrator may look at everything in it."""
        return self.is_active and self.is_staff

    def has_module_perms(self, app_label: str) -> bool:
        return self.is_active and self.is_staff

    @property
    def quota(self) -> Quota:
        return Quota(
            machines=_own_or(self.quota_machines, settings.PORTAL_QUOTA_MACHINES),
            vcpus=_own_or(self.quota_vcpus, settings.PORTAL_QUOTA_VCPUS),
            memory_mib=_own_or(self.quota_memory_mib, settings.PORTAL_QUOTA_MEMORY_MIB),
            disk_bytes=_own_or(self.quota_disk_bytes, settings.PORTAL_QUOTA_DISK_GIB * GIB),
            images=_own_or(self.quota_images, settings.PORTAL_QUOTA_IMAGES),
        )

    def audience(self) -> tuple[int, ...]:
        return (self.pk,)


def _own_or(own: int | None, default: int) -> int:
    return default if own is None else own

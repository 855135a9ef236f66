"""What a person brings or is given to prove who they are: SSH keys and API tokens."""

import uuid
from typing import Any, ClassVar, Self

from django.db import models
from django.db.models import Q
from django.utils import timezone

from registration.models.people import User


class SshKey(models.Model):
    """A public key that a person's machines let in."""

    KIND: ClassVar[str] = "ssh_key"

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    owner = models.ForeignKey(User, models.CASCADE, related_name="ssh_keys")
    name = models.CharField(max_length=80)
    public_key = models.TextField()  # one line: type, base64, name
    fingerprint = models.CharField(max_length=60)  # SHA256:…, as ssh-keygen -l prints
    is_default = models.BooleanField(default=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    added_from = models.CharField(max_length=45, blank=True, editable=False)  # an address
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False)
    last_used_on = models.CharField(max_length=80, blank=True, editable=False)  # a machine's name

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


class Scope(models.TextChoices):
    READ = "read", "Read"
    WRITE = "write", "Read and write"


class ApiTokenQuerySet(models.QuerySet["ApiToken"]):
    def visible_to(self, user: Any) -> Self:
        """A person's own; nobody else's, an administrator's neither."""
        return self.filter(owner=user)

    def good(self) -> Self:
        return self.filter(revoked_at=None, expires_at__gt=timezone.now())


class ApiToken(models.Model):
    """A password for programs: shown once, kept as a digest, limited in time and reach."""

    KIND: ClassVar[str] = "api_token"

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    owner = models.ForeignKey(User, models.CASCADE, related_name="api_tokens")
    name = models.CharField(max_length=80)
    digest = models.CharField(max_length=64, unique=True)  # SHA-256 of the whole token
    hint = models.CharField(max_length=12)  # its first letters, to tell tokens apart
    scope = models.CharField(max_length=8, choices=Scope, default=Scope.READ)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    expires_at = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True)
    last_used_from = models.CharField(max_length=45, blank=True)

    objects = ApiTokenQuerySet.as_manager()

    class Meta:
        ordering = ["-pk"]
        constraints = [
            models.CheckConstraint(
                condition=Q(scope__in=Scope.values), name="registration_apitoken_scope"
            )
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def is_good(self) -> bool:
        return self.revoked_at is None and self.expires_at > timezone.now()

"""Contextualizations that are kept, and copies of machines' disks that belong together."""

import uuid
from typing import Any, ClassVar, Self

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.urls import reverse

from registration.models import Group, Membership
from vms.context import Context, from_json
from vms.models.building import OwnedQuerySet
from vms.models.machines import VM, ContextMethod
from volumes.models import Snapshot, Volume


class RecipeQuerySet(models.QuerySet["Recipe"]):
    def visible_to(self, user: Any) -> Self:
        """One's own, those shared with a group of one's own, and the shipped ones."""
        if not user.is_authenticated:
            return self.none()
        groups = Membership.objects.filter(user=user).values("group")
        return self.filter(Q(owner=user) | Q(group__in=groups) | Q(owner__isnull=True))


class Recipe(models.Model):
    """A contextualization by name, to launch machines with. Without an owner: shipped."""

    KIND: ClassVar[str] = "recipe"

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, blank=True, related_name="recipes"
    )
    group = models.ForeignKey(Group, models.SET_NULL, null=True, blank=True, related_name="recipes")
    name = models.CharField(max_length=60)
    description = models.CharField(max_length=300, blank=True)
    method = models.CharField(
        max_length=10, choices=ContextMethod, default=ContextMethod.CLOUD_INIT
    )
    context = models.JSONField(default=dict)  # as VM.context
    created_at = models.DateTimeField(auto_now_add=True)
    changed_at = models.DateTimeField(auto_now=True)

    objects = RecipeQuerySet.as_manager()

    class Meta:
        ordering = ["name", "pk"]
        constraints = [
            models.UniqueConstraint(fields=["owner", "name"], name="vms_recipe_name"),
        ]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("vms:recipe", args=[self.uuid])

    @property
    def told(self) -> Context:
        return from_json(self.method, self.context)


class Backup(models.Model):
    """What a machine's disks held at one time: a copy of its root disk, snapshots of others."""

    uuid = models.UUIDField(unique=True, editable=False)  # chosen by the browser
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="backups")
    vm = models.ForeignKey(VM, models.PROTECT, related_name="backups")
    name = models.CharField(max_length=40)
    root = models.ForeignKey(Volume, models.SET_NULL, null=True, blank=True, related_name="backups")
    snapshots = models.ManyToManyField(Snapshot, related_name="backups", blank=True)
    was_running = models.BooleanField(default=False)  # as after a power cut
    created_at = models.DateTimeField(auto_now_add=True)

    objects = OwnedQuerySet.as_manager()

    class Meta:
        ordering = ["-pk"]

    def __str__(self) -> str:
        return f"{self.name} of {self.vm}"

    def get_absolute_url(self) -> str:
        return reverse("vms:backup_detail", args=[self.uuid])

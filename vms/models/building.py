"""Images that are created by themselves, and the steps of their machines."""

from datetime import timedelta
from typing import Any, Self

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.urls import reverse
from django.utils import timezone

from core.machine import Stateful
from marketplace.models import Entry
from vms.models.machines import VM
from vms.states import (
    BUILD_DEADLINES,
    BUILD_MEANINGS,
    BUILD_MOVES,
    BuildState,
    StepState,
    VmState,
)


class OwnedQuerySet(models.QuerySet[Any]):
    def visible_to(self, user: Any) -> Self:
        """What ``user`` may see; anything else is a 404."""
        if not user.is_authenticated:
            return self.none()
        return self if user.is_staff else self.filter(owner=user)


class Build(Stateful):
    """A machine that is started, changed by steps, and saved as an image.

    ``recipe`` is what was asked for: packages, installer, repositories, scripts, excludes.
    """

    KIND = "build"
    MOVES = BUILD_MOVES
    DEADLINES = BUILD_DEADLINES

    state = models.CharField(max_length=10, choices=BuildState, default=BuildState.STARTING)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="builds")
    base = models.ForeignKey(Entry, models.PROTECT, related_name="+")
    vm = models.OneToOneField(VM, models.PROTECT, related_name="build")
    # Chosen by the browser: the same form sent twice makes one build.
    create_key = models.UUIDField()
    recipe = models.JSONField(default=dict)
    keep_running = models.BooleanField(default=False)
    start_minutes = models.PositiveSmallIntegerField(default=10)
    step_minutes = models.PositiveSmallIntegerField(default=60)
    log_read_bytes = models.PositiveBigIntegerField(default=0)  # of the console's log, so far
    created_at = models.DateTimeField(auto_now_add=True)
    ended_at = models.DateTimeField(null=True, blank=True)

    objects = OwnedQuerySet.as_manager()

    class Meta:
        ordering = ["-pk"]
        indexes = [
            models.Index(
                fields=["next_tick_at"],
                name="vms_build_due",
                condition=Q(next_tick_at__isnull=False),
            ),
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(state__in=BuildState.values), name="vms_build_state"
            ),
            models.UniqueConstraint(fields=["owner", "create_key"], name="vms_build_once"),
        ]

    def __str__(self) -> str:
        return str(self.recipe.get("title") or "") or f"build {self.token[:8]}"

    def get_absolute_url(self) -> str:
        return reverse("vms:build", args=[self.uuid])

    @property
    def cloud(self) -> str:
        return self.vm.cloud

    @property
    def meaning(self) -> str:
        return BUILD_MEANINGS[self.state]

    @property
    def is_machine_theirs(self) -> bool:
        """Whether its machine is still its owner's: it may have been given to somebody else."""
        return self.vm.owner_id == self.owner_id

    @property
    def saved_as(self) -> Any:
        """The ``Saving`` of its machine, or None; not what another owner has made of that."""
        saving = self.vm.saved_as
        if saving is None or self.is_machine_theirs:
            return saving
        return saving if saving.entry and saving.entry.owner_id == self.owner_id else None

    @property
    def has_machine(self) -> bool:
        """Whether its machine is there, and still its owner's."""
        return self.is_machine_theirs and self.vm.state != VmState.DONE

    def audience(self) -> tuple[int, ...]:
        return (self.owner_id,)


class BuildPiece(models.Model):
    """A piece of what the machine of a build has printed; the last ones are kept."""

    build = models.ForeignKey(Build, models.CASCADE, related_name="pieces")
    start = models.PositiveBigIntegerField()  # bytes of the log before it
    data = models.BinaryField()

    class Meta:
        ordering = ["start"]
        constraints = [
            models.UniqueConstraint(fields=["build", "start"], name="vms_buildpiece_once"),
        ]

    def __str__(self) -> str:
        return f"{self.build} from {self.start}"


class BuildStep(models.Model):
    """One step of a build: what its machine said of it on the serial line."""

    build = models.ForeignKey(Build, models.CASCADE, related_name="steps")
    number = models.PositiveSmallIntegerField()
    name = models.CharField(max_length=100)
    state = models.CharField(max_length=8, choices=StepState, default=StepState.WAITING)
    began_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    status = models.SmallIntegerField(null=True, blank=True)  # exit status
    tail = models.TextField(blank=True)  # its last lines, of one that failed

    class Meta:
        ordering = ["number"]
        constraints = [
            models.UniqueConstraint(fields=["build", "number"], name="vms_buildstep_once"),
            models.CheckConstraint(
                condition=Q(state__in=StepState.values), name="vms_buildstep_state"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.number}. {self.name}"

    @property
    def took(self) -> timedelta | None:
        """How long; of one that is running: so far."""
        end = self.ended_at or (timezone.now() if self.state == StepState.RUNNING else None)
        return end - self.began_at if self.began_at and end else None

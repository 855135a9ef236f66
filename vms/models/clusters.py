"""Machines that were asked for together: batches and clusters."""

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.urls import reverse

from core.machine import Stateful
from vms.models.building import OwnedQuerySet
from vms.models.networks import Network
from vms.states import CLUSTER_DEADLINES, CLUSTER_MEANINGS, CLUSTER_MOVES, ClusterState


class Batch(models.Model):
    """Machines of one launch. Its state is theirs."""

    uuid = models.UUIDField(unique=True, editable=False)  # chosen by the browser
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="batches")
    name = models.CharField(max_length=80)
    asked = models.PositiveSmallIntegerField()  # how many machines
    # Rows of a table that were not launched: [{row, name, reason}].
    refused = models.JSONField(default=list, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    objects = OwnedQuerySet.as_manager()

    class Meta:
        ordering = ["-pk"]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("vms:batch", args=[self.uuid])


class Cluster(Stateful):
    """A master and workers on a network of their own, which set themselves up.

    ``wishes``: {"user", "shared_folder", "packages", "machine_file", "hook", "include_master",
    "tolerate", "minutes"}.
    """

    KIND = "cluster"
    MOVES = CLUSTER_MOVES
    DEADLINES = CLUSTER_DEADLINES

    state = models.CharField(max_length=10, choices=ClusterState, default=ClusterState.STARTING)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="clusters")
    cloud = models.CharField(max_length=40)
    # Chosen by the browser: the same form sent twice makes one cluster.
    create_key = models.UUIDField()
    name = models.CharField(max_length=60)
    network = models.ForeignKey(Network, models.PROTECT, related_name="clusters")
    wishes = models.JSONField(default=dict)
    # The private key by which its machines reach each other, by registration.sealing.
    sealed_key = models.TextField(blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    ended_at = models.DateTimeField(null=True, blank=True)

    objects = OwnedQuerySet.as_manager()

    class Meta:
        ordering = ["-pk"]
        indexes = [
            models.Index(
                fields=["next_tick_at"],
                name="vms_cluster_due",
                condition=Q(next_tick_at__isnull=False),
            ),
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(state__in=ClusterState.values), name="vms_cluster_state"
            ),
            models.UniqueConstraint(fields=["owner", "create_key"], name="vms_cluster_once"),
        ]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("vms:cluster", args=[self.uuid])

    @property
    def meaning(self) -> str:
        return CLUSTER_MEANINGS[self.state]

    def audience(self) -> tuple[int, ...]:
        return (self.owner_id,)

"""Machines that were asked for together: batches and clusters."""

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.urls import reverse

from core.machine import Stateful
from registration import sealing
from vms.clusters import Node, Plan, Wishes, script
from vms.context import Part
from vms.models.building import OwnedQuerySet
from vms.models.machines import VM
from vms.models.networks import Network, Nic
from vms.states import CLUSTER_DEADLINES, CLUSTER_MEANINGS, CLUSTER_MOVES, ClusterState, NicState


class Batch(models.Model):
    """Machines of one launch. Its state is theirs."""

    KIND: ClassVar[str] = "batch"

    uuid = models.UUIDField(unique=True, editable=False)  # chosen by the browser
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="batches")
    name = models.CharField(max_length=80)
    asked = models.PositiveSmallIntegerField()  # how many machines
    # Rows of a table that were not launched: [{row, name, reason}].
    refused = models.JSONField(default=list, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    # When its owner was told what became of all of its machines.
    told_at = models.DateTimeField(null=True, blank=True, editable=False)

    objects = OwnedQuerySet.as_manager()

    class Meta:
        ordering = ["-pk"]
        indexes = [
            models.Index(fields=["id"], name="vms_batch_untold", condition=Q(told_at=None)),
        ]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("vms:batch", args=[self.uuid])


class Cluster(Stateful):
    """A master and workers on a network of their own, which set themselves up.

    ``wishes``: ``vms.clusters.Wishes`` as JSON, and "borrowed" if its master was there before it.
    ``nodes``: by UUID of a machine, what it has said of its set-up: {"step", "status", "done",
    "tail", "without", "dropped"}; the last is why it was given up.
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
    nodes = models.JSONField(default=dict, blank=True)
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

    @property
    def wanted(self) -> Wishes:
        return Wishes.from_json(self.wishes)

    @property
    def is_borrowed(self) -> bool:
        """Whether its master is a machine that was there before it, and outlives it."""
        return bool(self.wishes.get("borrowed"))

    @property
    def tag(self) -> str:
        """By which its nodes' words are known on the serial line."""
        return self.uuid.hex[:12]

    @property
    def label(self) -> str:
        """A legal host name (RFC 1123) made from its name."""
        return VM(name=self.name).hostname[:40].strip("-") if self.name else "cluster"

    def plan(self) -> Plan:
        """What its nodes are told of it, the private key among it: never for a page.

        Those that were given up by now are not among them.
        """
        try:
            key = sealing.unseal(self.sealed_key) if self.sealed_key else ""
        except sealing.Unreadable:  # its nodes say so
            key = ""
        nics = self.network.nics.filter(vm__cluster=self).exclude(state=NicState.DETACHED)
        found = nics.select_related("vm").order_by("vm__node_number")
        given_up = {key for key, said in self.nodes.items() if said.get("dropped")}
        nodes = [_node(nic) for nic in found if nic.vm.token not in given_up]
        return Plan(tag=self.tag, label=self.label, cidr=self.network.cidr, nodes=nodes,
                    wishes=self.wanted, public_key=str(self.wishes.get("public_key", "")),
                    private_key=key)  # fmt: skip

    def parts_for(self, vm: VM) -> tuple[Part, ...]:
        """The program that makes ``vm`` a node: for its user data alone, with the key in it.

        Nothing for a machine whose card is gone.
        """
        plan = self.plan()
        me = [one for one in plan.nodes if one.number == vm.node_number]
        text = "".join(script(plan, one, is_borrowed=self.is_borrowed) for one in me)
        return (Part("x-shellscript", "portal-cluster", text),) if me else ()

    def audience(self) -> tuple[int, ...]:
        return (self.owner_id,)


def _node(nic: Nic) -> Node:
    address, _, prefix = nic.address.partition("/")
    return Node(number=nic.vm.node_number or 0, address=address, prefix=int(prefix), mac=nic.mac,
                cores=nic.vm.vcpus)  # fmt: skip

"""Private networks, and the cards of machines on them."""

from typing import Any, Self

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.urls import reverse

from core.machine import Stateful
from vms.models.machines import VM
from vms.states import (
    NETWORK_DEADLINES,
    NETWORK_MEANINGS,
    NETWORK_MOVES,
    NIC_DEADLINES,
    NIC_HOLDS,
    NIC_MOVES,
    NetworkState,
    NicState,
)


class NetworkQuerySet(models.QuerySet["Network"]):
    def visible_to(self, user: Any) -> Self:
        """What ``user`` may see; anything else is a 404."""
        if not user.is_authenticated:
            return self.none()
        return self if user.is_staff else self.filter(owner=user)

    def listed(self) -> Self:
        return self.exclude(state=NetworkState.DELETED)


class Network(Stateful):
    """A network of a person's own: nobody else's machines are on it."""

    KIND = "network"
    MOVES = NETWORK_MOVES
    DEADLINES = NETWORK_DEADLINES

    state = models.CharField(max_length=10, choices=NetworkState, default=NetworkState.CREATING)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="networks")
    cloud = models.CharField(max_length=40)
    # Chosen by the browser: the same form sent twice makes one network.
    create_key = models.UUIDField()
    name = models.CharField(max_length=40)
    cidr = models.CharField(max_length=18)  # addresses of its machines: "10.81.7.0/24"
    cloud_ref = models.CharField(max_length=80, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    objects = NetworkQuerySet.as_manager()

    class Meta:
        ordering = ["name", "pk"]
        indexes = [
            models.Index(
                fields=["next_tick_at"],
                name="vms_network_due",
                condition=Q(next_tick_at__isnull=False),
            ),
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(state__in=NetworkState.values), name="vms_network_state"
            ),
            models.UniqueConstraint(fields=["owner", "create_key"], name="vms_network_once"),
        ]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("vms:network", args=[self.uuid])

    @property
    def meaning(self) -> str:
        return NETWORK_MEANINGS[self.state]

    def audience(self) -> tuple[int, ...]:
        return (self.owner_id,)


class NicQuerySet(models.QuerySet["Nic"]):
    def holding(self) -> Self:
        """Those whose address is taken."""
        return self.filter(state__in=NIC_HOLDS)


class Nic(Stateful):
    """A machine's card on a private network."""

    KIND = "nic"
    MOVES = NIC_MOVES
    DEADLINES = NIC_DEADLINES

    state = models.CharField(max_length=10, choices=NicState, default=NicState.PLANNED)
    vm = models.ForeignKey(VM, models.PROTECT, related_name="nics")
    network = models.ForeignKey(Network, models.PROTECT, related_name="nics")
    address = models.CharField(max_length=18)  # with its prefix: "10.81.7.2/24"
    mac = models.CharField(max_length=17)
    created_at = models.DateTimeField(auto_now_add=True)

    objects = NicQuerySet.as_manager()

    class Meta:
        ordering = ["pk"]
        indexes = [
            models.Index(
                fields=["next_tick_at"],
                name="vms_nic_due",
                condition=Q(next_tick_at__isnull=False),
            ),
        ]
        constraints = [
            models.CheckConstraint(condition=Q(state__in=NicState.values), name="vms_nic_state"),
            models.UniqueConstraint(
                fields=["network", "address"],
                condition=Q(state__in=sorted(NIC_HOLDS)),
                name="vms_nic_address",
            ),
            models.UniqueConstraint(
                fields=["network", "vm"],
                condition=Q(state__in=sorted(NIC_HOLDS)),
                name="vms_nic_once",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.vm} on {self.network}"

    @property
    def is_held(self) -> bool:
        """Whether its address is the machine's now."""
        return self.state in NIC_HOLDS

    @property
    def owner_pk(self) -> int | None:
        return self.vm.owner_id

    @property
    def cloud(self) -> str:
        return self.vm.cloud

    def audience(self) -> tuple[int, ...]:
        return (self.vm.owner_id,)

    def announce(self) -> None:
        self.vm.announce()
        self.network.announce()

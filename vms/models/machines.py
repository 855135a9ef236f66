"""Machines."""

from dataclasses import replace
from typing import Any, Self

from django.conf import settings
from django.db import models, transaction
from django.db.models import F, Q
from django.urls import reverse
from django.utils import timezone

from cloud.types import ContextMethod as Medium
from cloud.types import DiskBus, Plug, VmSpec
from cloud.types import Nic as Card
from core import live
from core.machine import Stateful
from marketplace.models import Entry
from registration.models import GIB
from vms.context import Context, Part, from_json, parts_from, with_system
from vms.states import (
    NIC_HOLDS,
    VM_DEADLINES,
    VM_MEANINGS,
    VM_MOVES,
    VM_VERBS,
    VmState,
)
from volumes.models import Visibility, Volume
from volumes.states import HOLDING


class ContextMethod(models.TextChoices):
    """How a guest learns who it is. Source: StratusLab (stratuslab.md 3.1)."""

    CLOUD_INIT = "cloud-init", "cloud-init"
    ONE = "one", "OpenNebula/HEPiX"


class VMQuerySet(models.QuerySet["VM"]):
    def visible_to(self, user: Any) -> Self:
        """What ``user`` may see. A machine outside it is a 404, never a 403."""
        if not user.is_authenticated:
            return self.none()
        return self if user.is_staff else self.filter(owner=user)

    def alive(self) -> Self:
        """Those that hold something: all but the Done."""
        return self.exclude(state=VmState.DONE)

    def for_rows(self) -> Self:
        """Everything a row or a page of a machine reads, in one query."""
        return self.select_related("entry", "root_disk", "owner", "readiness", "saving__volume")

    def search(self, text: str) -> Self:
        """Every word must be found in the name, image or disk, address, owner, id or UUID."""
        rows = self
        for word in text.split():
            found = (
                Q(name__icontains=word)
                | Q(entry__title__icontains=word)
                | Q(entry__identifier__icontains=word)
                | Q(root_disk__tag__icontains=word, root_disk__owner=F("owner"))
                | Q(root_disk__uuid__icontains=word)
                | Q(owner__username__icontains=word)
                | Q(address__icontains=word)
                | Q(uuid__icontains=word)
                | Q(state__iexact=word)
            )
            if word.isdecimal() and len(word) < 18:
                found |= Q(pk=int(word))
            rows = rows.filter(found)
        return rows


class VM(Stateful):
    """A machine a person asked for. It boots from an image, or from a disk that outlives it."""

    KIND = "vm"
    MOVES = VM_MOVES
    DEADLINES = VM_DEADLINES

    state = models.CharField(max_length=12, choices=VmState, default=VmState.PENDING)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="vms")
    cloud = models.CharField(max_length=40)
    # Chosen by the browser before it asks: the same form sent twice makes one machine.
    launch_key = models.UUIDField()
    name = models.CharField(max_length=80)
    entry = models.ForeignKey(
        Entry, models.PROTECT, related_name="vms", null=True, blank=True, verbose_name="image"
    )
    root_disk = models.ForeignKey(
        Volume, models.PROTECT, related_name="booted", null=True, blank=True
    )
    type_name = models.CharField(max_length=40)
    vcpus = models.PositiveSmallIntegerField("vCPUs")
    cpu_share = models.FloatField(default=1.0)
    memory_mib = models.PositiveIntegerField()
    swap_mib = models.PositiveIntegerField(default=0)
    volatile_gib = models.JSONField(default=list, blank=True)  # a size for each empty disk
    disk_bus = models.CharField(max_length=10, default=DiskBus.VIRTIO)
    default_user = models.CharField(max_length=32, blank=True)  # blank: as its image says
    ssh_keys = models.TextField(blank=True)  # one public key a line
    user_data = models.TextField(blank=True)  # as the guest gets it
    context_method = models.CharField(
        max_length=10, choices=ContextMethod, default=ContextMethod.CLOUD_INIT
    )
    # What the user data were made of: {"pairs": {KEY: value}, "parts": [{type, name, text}]},
    # and, under "system", parts of the portal's own, which are in no user data.
    context = models.JSONField(default=dict, blank=True)
    batch = models.ForeignKey(
        "vms.Batch", models.PROTECT, null=True, blank=True, related_name="vms"
    )
    cluster = models.ForeignKey(
        "vms.Cluster", models.PROTECT, null=True, blank=True, related_name="vms"
    )
    node_number = models.PositiveSmallIntegerField(null=True, blank=True)  # 0: its master
    # Its lease: shut down then. None: it lasts until somebody ends it.
    expires_at = models.DateTimeField(null=True, blank=True)
    lease_since = models.DateTimeField(null=True, blank=True)  # when it was given this end
    expiry_told_at = models.DateTimeField(null=True, blank=True)  # of the lease as it is now
    created_at = models.DateTimeField(auto_now_add=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    # Since when it is this owner's; None: since it was created.
    owner_since = models.DateTimeField(null=True, blank=True, editable=False)

    # What the engine said last.
    cloud_ref = models.CharField(max_length=80, blank=True)
    address = models.CharField(
        max_length=120, blank=True
    )  # the endpoints as users see them, for search
    endpoints = models.JSONField(default=list, blank=True)  # [{guest_port, host, port}]
    attributes = models.JSONField(default=dict, blank=True)
    note = models.CharField(max_length=300, blank=True)  # what it waits for, while it waits
    asked = models.CharField(max_length=10, blank=True)  # why it is in BOOT: "start", "reboot"
    cpu_percent = models.FloatField(null=True, blank=True)  # of one core, latest sample
    memory_used_bytes = models.BigIntegerField(null=True, blank=True)

    objects = VMQuerySet.as_manager()

    class Meta:
        verbose_name = "machine"
        ordering = ["-pk"]
        indexes = [
            models.Index(
                fields=["next_tick_at"],
                name="vms_vm_due",
                condition=Q(next_tick_at__isnull=False),
            ),
            models.Index(fields=["owner", "state"], name="vms_vm_owner_state"),
            models.Index(fields=["cloud", "state"], name="vms_vm_cloud_state"),
            # A page of a list is found in its order: sorting whole rows of 10,000 machines
            # takes longer than everything else about it.
            models.Index(fields=["name", "id"], name="vms_vm_by_name"),
            models.Index(fields=["state", "-id"], name="vms_vm_by_state"),
            models.Index(fields=["cpu_percent", "-id"], name="vms_vm_by_cpu"),
            models.Index(fields=["memory_mib", "-id"], name="vms_vm_by_memory"),
            models.Index(fields=["-created_at"], name="vms_vm_by_age"),
            models.Index(
                fields=["expires_at"],
                name="vms_vm_expires",
                condition=Q(expires_at__isnull=False),
            ),
        ]
        constraints = [
            models.CheckConstraint(condition=Q(state__in=VmState.values), name="vms_vm_state"),
            models.UniqueConstraint(fields=["owner", "launch_key"], name="vms_vm_launch_once"),
            models.CheckConstraint(
                condition=Q(entry__isnull=True) ^ Q(root_disk__isnull=True), name="vms_vm_boots"
            ),
        ]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("vms:detail", args=[self.uuid])

    def audience(self) -> tuple[int, ...]:
        return (self.owner_id,)

    def announce(self) -> None:
        super().announce()
        if self.batch:  # its page shows how far its machines are
            kind, subject, audience = "batch", str(self.batch.uuid), self.audience()
            transaction.on_commit(lambda: live.publish(kind, subject, audience), robust=True)
        if self.cluster:
            self.cluster.announce()

    @property
    def verbs(self) -> frozenset[str]:
        """What may be asked of it now. While its disk is saved, a kill would lose the image."""
        verbs = frozenset(verb for verb, states in VM_VERBS.items() if self.state in states)
        if self.expires_at is None:
            verbs -= {"extend"}
        elif self.expires_at <= timezone.now():
            verbs -= {"start"}  # it would be shut down again
        is_losable = self.state == VmState.EPILOG and self.saved_as and self.saved_as.is_losable
        return verbs | {"kill"} if is_losable else verbs

    @property
    def saved_as(self) -> Any:
        """The ``Saving`` that says what image it becomes, or None; free after ``for_rows``."""
        return getattr(self, "saving", None)

    @property
    def meaning(self) -> str:
        return VM_MEANINGS[self.state]

    @property
    def ssh_endpoint(self) -> dict[str, Any] | None:
        return next((end for end in self.endpoints if end["guest_port"] == 22), None)

    @property
    def ssh_address(self) -> str:
        """host:port of its SSH, or "" while there is none."""
        end = self.ssh_endpoint
        return f"{end['host']}:{end['port']}" if end else ""

    @property
    def ssh_name(self) -> str:
        """As ``ssh_address``, with the host's name where DNS knows one."""
        end = self.ssh_endpoint
        return f"{self.readiness.host_name or end['host']}:{end['port']}" if end else ""

    @property
    def ssh_command(self) -> str:
        """The line to paste into a terminal, or "" while there is no address."""
        end = self.ssh_endpoint
        if end is None:
            return ""
        port = "" if end["port"] == 22 else f"-p {end['port']} "
        return f"ssh {port}{self.login}@{end['host']}"

    @property
    def login(self) -> str:
        """Whom its SSH lets in."""
        return self.default_user or (self.entry.default_user if self.entry else "root")

    @property
    def source(self) -> str:
        """What it boots from, by name; of a disk that went to somebody else, by number."""
        if self.entry:
            return self.entry.label
        disk = self.root_disk
        return f"disk {disk if self.is_root_disk_known else disk.token[:8]}" if disk else ""

    @property
    def is_root_disk_known(self) -> bool:
        """Whether whoever sees the machine sees the disk that it boots from, too."""
        disk = self.root_disk
        return disk is not None and (
            disk.owner_id == self.owner_id or disk.visibility == Visibility.PUBLIC
        )

    @property
    def hostname(self) -> str:
        """A legal host name (RFC 1123) made from the free-text name."""
        letters = [char if char.isascii() and char.isalnum() else "-" for char in self.name.lower()]
        label = "-".join(part for part in "".join(letters).split("-") if part)[:50].strip("-")
        return label or f"vm-{self.token[:8]}"

    def spec(self) -> VmSpec:
        """What to ask a cloud for: the disks that it holds now are plugged in from the start."""
        held = self.attachments.filter(state__in=HOLDING).select_related("volume")
        plugs = [Plug(volume=one.volume.cloud_ref, read_only=one.read_only)
                 for one in held if not one.is_root]  # fmt: skip
        ports = self.entry.inbound_ports if self.entry else []
        return VmSpec(
            name=self.name,
            hostname=self.hostname,
            vcpus=self.vcpus,
            cpu_share=self.cpu_share,
            memory_mib=self.memory_mib,
            swap_mib=self.swap_mib,
            image=self.entry.identifier if self.entry else "",
            root_volume=self.root_disk.cloud_ref if self.root_disk else "",
            volumes=tuple(plugs),
            volatile_bytes=tuple(size * GIB for size in self.volatile_gib),
            disk_bus=DiskBus(self.disk_bus),
            inbound_ports=tuple(sorted({22, *ports} - {0})),
            ssh_keys=tuple(self.ssh_keys.splitlines()),
            nics=self.cards(),
            context_method=Medium(self.context_method),
            context=self.context.get("pairs", {}),
            user_data=with_system(self.user_data, self.system_parts()),
        )

    def cards(self) -> tuple[Card, ...]:
        """Its cards on private networks, whose networks are there."""
        held = self.nics.filter(state__in=NIC_HOLDS).select_related("network").order_by("pk")
        return tuple(
            Card(network=nic.network.cloud_ref, mac=nic.mac, address=nic.address) for nic in held
        )

    @property
    def told(self) -> Context:
        """What its owner has the guest told, as at its launch."""
        told = from_json(self.context_method, self.context)
        return told if told.parts else replace(told, literal=self.user_data)

    def system_parts(self) -> tuple[Part, ...]:
        """What the portal itself has the guest told: before its owner's, and in no export."""
        parts = parts_from(self.context.get("system", ()))
        return (*parts, *self.cluster.parts_for(self)) if self.cluster else parts


class Tenure(models.Model):
    """A time during which somebody had a machine that is another person's now."""

    vm = models.ForeignKey(VM, models.CASCADE, related_name="tenures")
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="tenures")
    since = models.DateTimeField()
    until = models.DateTimeField()

    class Meta:
        ordering = ["pk"]

    def __str__(self) -> str:
        return f"{self.vm} of {self.owner} until {self.until}"

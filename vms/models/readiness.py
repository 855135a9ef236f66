"""What machines have been seen to do, and to use; and what clouds have said."""

from django.db import models
from django.db.models import Q

from core.machine import Stateful
from vms.models.machines import VM
from vms.states import READINESS_DEADLINES, READINESS_MOVES, ReadinessState


class Readiness(Stateful):
    """What a running machine has been seen to do, each with its time."""

    KIND = "readiness"
    MOVES = READINESS_MOVES
    DEADLINES = READINESS_DEADLINES

    state = models.CharField(max_length=12, choices=ReadinessState, default=ReadinessState.IDLE)
    vm = models.OneToOneField(VM, models.CASCADE, related_name="readiness")
    port_open_at = models.DateTimeField(null=True, blank=True)
    ssh_at = models.DateTimeField(null=True, blank=True)
    context_at = models.DateTimeField(null=True, blank=True)
    context_note = models.CharField(max_length=200, blank=True)
    # How far it is, as its serial line says: [{"what": sentence, "at": when it was first seen}].
    context_steps = models.JSONField(default=list, blank=True)
    context_log = models.TextField(blank=True)  # the last lines before a script failed
    boots_before = models.PositiveIntegerField(default=0)  # seen in the console log before this
    host_name = models.CharField(max_length=255, blank=True)  # what reverse DNS calls its address

    class Meta:
        indexes = [
            models.Index(
                fields=["next_tick_at"],
                name="vms_readiness_due",
                condition=Q(next_tick_at__isnull=False),
            )
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(state__in=ReadinessState.values), name="vms_readiness_state"
            )
        ]

    def __str__(self) -> str:
        return f"{self.vm}: {self.state}"

    @property
    def owner_pk(self) -> int | None:
        return self.vm.owner_id

    @property
    def cloud(self) -> str:
        return self.vm.cloud

    def announce(self) -> None:
        self.vm.announce()  # pages show machines


class Sample(models.Model):
    """Counters of one machine at one time, since it started."""

    vm = models.ForeignKey(VM, models.CASCADE, related_name="samples")
    at = models.DateTimeField()
    cpu_s = models.FloatField()
    memory_bytes = models.BigIntegerField()
    disk_read_bytes = models.BigIntegerField(null=True)
    disk_write_bytes = models.BigIntegerField(null=True)
    net_rx_bytes = models.BigIntegerField(null=True)
    net_tx_bytes = models.BigIntegerField(null=True)

    class Meta:
        indexes = [models.Index(fields=["vm", "at"], name="vms_sample_vm_at")]

    def __str__(self) -> str:
        return f"{self.vm_id} {self.at:%H:%M:%S}"


class CloudStatus(models.Model):
    """What a worker last heard from a cloud: pages read this, never the cloud."""

    cloud = models.CharField(max_length=40, unique=True)
    seen_at = models.DateTimeField(null=True)  # last answer
    trouble = models.CharField(max_length=300, blank=True)  # "" while it answers
    engine = models.CharField(max_length=120, blank=True)
    lacks = models.JSONField(default=dict)
    disk_buses = models.JSONField(default=list)
    architectures = models.JSONField(default=list)  # of its machines; empty: it cannot tell
    largest_vcpus = models.PositiveIntegerField(null=True)
    largest_memory_mib = models.PositiveIntegerField(null=True)
    free_memory_mib = models.PositiveIntegerField(null=True)
    free_disk_bytes = models.BigIntegerField(null=True)
    machines = models.PositiveIntegerField(default=0)

    def __str__(self) -> str:
        return self.cloud

"""Use over time: one call per cloud, one row per machine, thinned out as it ages."""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from django.db.models import OuterRef, Subquery
from django.utils import timezone

from cloud.errors import CloudError
from cloud.types import VmUsage
from core.clouds import clouds
from vms.models import VM, Sample
from vms.states import VmState
from volumes.models import Attachment, VolumeSample
from volumes.states import HOLDING

KEEP_ALL_FOR = timedelta(hours=6)
KEEP_ANY_FOR = timedelta(days=7)
#: Of old samples, those of every tenth minute stay.
THIN_MINUTES = 10


def sample(cloud: str) -> int:
    """Ask the engine once for all running machines; how many samples were written."""
    latest = Sample.objects.filter(vm=OuterRef("pk")).order_by("-at")
    rows = list(
        VM.objects.filter(cloud=cloud, state=VmState.RUNNING)
        .exclude(cloud_ref="")
        .annotate(last_at=Subquery(latest.values("at")[:1]))
        .annotate(last_cpu_s=Subquery(latest.values("cpu_s")[:1]))
        .only("pk", "cloud_ref", "uuid", "state")
    )
    if not rows:
        return 0
    try:
        usage = clouds[cloud].usage([vm.cloud_ref for vm in rows])
    except CloudError:
        return 0  # the sweep says so where administrators look
    seen = [(vm, usage[vm.cloud_ref]) for vm in rows if vm.cloud_ref in usage]
    for vm, use in seen:
        vm.cpu_percent = _percent(vm, use)
        vm.memory_used_bytes = use.memory_bytes
    Sample.objects.bulk_create([_row(vm, use) for vm, use in seen], batch_size=500)
    _sample_disks({vm.pk: use for vm, use in seen if use.volumes})
    # Only rows that still run: a machine that ended meanwhile uses nothing.
    VM.objects.filter(state=VmState.RUNNING).bulk_update(
        [vm for vm, _ in seen], ["cpu_percent", "memory_used_bytes"], batch_size=200
    )
    return len(seen)


def _percent(vm: Any, use: VmUsage) -> float | None:
    """Of one core, since the last sample; None for the first or after a restart."""
    if vm.last_at is None or use.cpu_s < vm.last_cpu_s or use.at <= vm.last_at:
        return None
    spent: float = (use.cpu_s - vm.last_cpu_s) / (use.at - vm.last_at).total_seconds()
    return round(100 * spent, 1)


def _row(vm: VM, use: VmUsage) -> Sample:
    return Sample(
        vm=vm,
        at=use.at,
        cpu_s=use.cpu_s,
        memory_bytes=use.memory_bytes,
        disk_read_bytes=use.disk_read_bytes,
        disk_write_bytes=use.disk_write_bytes,
        net_rx_bytes=use.net_rx_bytes,
        net_tx_bytes=use.net_tx_bytes,
    )


def _sample_disks(uses: Mapping[int, VmUsage]) -> None:
    """What each machine has done with its disks; ``uses`` by the machine's primary key."""
    if not uses:
        return
    plugged = Attachment.objects.filter(vm__in=uses, state__in=sorted(HOLDING))
    rows = []
    for pk, vm, ref in plugged.values_list("pk", "vm", "volume__cloud_ref"):
        use = uses[vm]
        if done := use.volumes.get(ref):
            rows.append(
                VolumeSample(
                    attachment_id=pk,
                    at=use.at,
                    read_bytes=done.read_bytes,
                    write_bytes=done.write_bytes,
                )
            )
    VolumeSample.objects.bulk_create(rows, batch_size=500)


def thin(now: datetime | None = None) -> int:
    """Delete what plots no longer need; how many rows went."""
    now = now or timezone.now()
    minutes = [minute for minute in range(60) if minute % THIN_MINUTES]
    gone = 0
    for rows in (Sample.objects.all(), VolumeSample.objects.all()):
        old, _ = rows.filter(at__lt=now - KEEP_ANY_FOR).delete()
        fine, _ = rows.filter(at__lt=now - KEEP_ALL_FOR, at__minute__in=minutes).delete()
        gone += old + fine
    return gone


def series(samples: Iterable[Sample]) -> dict[str, list[float | int | None]]:
    """What the plots draw: rates between neighbouring samples, oldest first.

    ``at`` is in epoch seconds, ``cpu_percent`` of one core, ``memory_mib`` a level, the
    rest bytes per second. None where it cannot be told: a restart, or an engine that
    does not count.
    """
    names = ("disk_read", "disk_write", "net_rx", "net_tx")
    out: dict[str, list[float | int | None]] = {"at": [], "cpu_percent": [], "memory_mib": []}
    out |= {f"{name}_bps": [] for name in names}
    before: Sample | None = None
    for now in samples:
        if before is not None:
            span = (now.at - before.at).total_seconds()
            out["at"].append(int(now.at.timestamp()))
            cpu = _rate(before.cpu_s, now.cpu_s, span)
            out["cpu_percent"].append(None if cpu is None else round(cpu * 100, 1))
            out["memory_mib"].append(round(now.memory_bytes / 2**20))
            for name in names:
                column = f"{name}_bytes"
                out[f"{name}_bps"].append(
                    _rate(getattr(before, column), getattr(now, column), span)
                )
        before = now
    return out


def _rate(was: float | None, now: float | None, span_s: float) -> float | None:
    if was is None or now is None or now < was or span_s <= 0:
        return None
    return (now - was) / span_s

"""What running machines have used since they started, for plots and accounting.

CPU and memory are those of the QEMU process, disks as QEMU counts them, and the network
as in ``cloud.local.traffic``: TCP payload through the machine's ports.
"""

import contextlib
import os
import time
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path

from cloud.errors import CloudUnavailable
from cloud.local import qmp, traffic
from cloud.local.disks import volatile
from cloud.local.machine import Machine, Record
from cloud.local.plugs import node_name
from cloud.local.site import Site
from cloud.types import VmUsage, VolumeUsage

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
_DISKS = ("root", "swap")


def measure(site: Site, machines: Iterable[Machine]) -> Mapping[str, VmUsage]:
    """Counters of those that run, by token. ``None`` where the host does not tell."""
    alive = {one: record for one in machines if (record := _record(one)) and record.is_alive}
    runs = [one.run for one in alive]
    blocks = qmp.ask_all(runs, "query-blockstats", timeout_s=site.timeout_s)
    passed = traffic.measure(site) if alive else {}
    measured = {}
    for one, record in alive.items():
        if usage := _usage(record, blocks.get(one.run), passed.get(one.token)):
            measured[one.token] = usage
    return measured


def _record(one: Machine) -> Record | None:
    """A damaged record is one machine without counters, not a site without."""
    with contextlib.suppress(CloudUnavailable):
        return one.find()
    return None


def _usage(
    record: Record, blocks: qmp.Answer | None, passed: traffic.Bytes | None
) -> VmUsage | None:
    here = Path("/proc", str(record.process.pid))
    try:
        fields = (here / "stat").read_text(errors="replace").rpartition(")")[2].split()
        resident = int((here / "statm").read_text().split()[1])
    except OSError:
        return None
    nodes = {block.get("node-name"): block["stats"] for block in blocks or ()}
    own = {*_DISKS, node_name(record.spec.root_volume), *(name for name, _ in volatile(record))}
    disks = [stats for name, stats in nodes.items() if name in own]
    volumes = {token: nodes.get(node_name(token)) for token in record.volumes}
    return VmUsage(
        ref=record.token,
        at=datetime.fromtimestamp(time.time(), UTC),
        cpu_s=(int(fields[11]) + int(fields[12])) / _TICKS,
        memory_bytes=resident * _PAGE,
        disk_read_bytes=sum(disk["rd_bytes"] for disk in disks) if disks else None,
        disk_write_bytes=sum(disk["wr_bytes"] for disk in disks) if disks else None,
        volumes={
            token: VolumeUsage(read_bytes=stats["rd_bytes"], write_bytes=stats["wr_bytes"])
            for token, stats in volumes.items()
            if stats
        },
        net_rx_bytes=passed[0] if passed else None,
        net_tx_bytes=passed[1] if passed else None,
    )

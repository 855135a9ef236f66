"""QEMU's command line for one machine.

Source: the measured command of engine.md, section 11 (QEMU 7.2). Every path is relative
to the machine's ``run`` directory, where QEMU starts: its unprivileged user needs no
right on any directory above, and socket paths stay short. Nothing a person types is in
it: names come from the token, numbers are numbers.
"""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from cloud import cards
from cloud.local import disks, nics
from cloud.local.accel import Accel
from cloud.local.machine import Record
from cloud.local.networks import Wire
from cloud.local.plugs import node_name
from cloud.types import DiskBus, ImageFormat

#: Every machine yields to the portal; smaller shares yield more, 1.25 times a step.
NICE = 5
NICE_STEP = 1.25
LOWEST = 19
#: When the host runs out of memory, a machine goes before the portal does.
OOM_SCORE_ADJ = 300
#: No file of a machine may outgrow this: a volume that is plugged in later, with all that its
#: snapshots keep. Where root may not change the limits of others, it cannot be raised then.
LARGEST_FILE_BYTES = 8 << 40


def argv(
    record: Record,
    *,
    accel: Accel,
    bind_address: str,
    opened: Mapping[str, int],
    wires: Mapping[str, Wire],
) -> list[str]:
    """The whole command, from the wrappers that take its rights to the network card.

    ``opened`` has the descriptor of each volume's file, which the process is to inherit;
    ``wires`` has each private network's.
    """
    return [
        *wrappers(record, accel),
        *_machine(record, accel),
        *_consoles(),
        *_disks(record, opened),
        *_network(record, bind_address),
        *nics.argv(record, wires),
    ]


def wrappers(record: Record, accel: Accel) -> list[str]:
    """Drop root, forbid getting it back, be nice, and bound what it may use."""
    return [
        *("env", "--ignore-signal=XFSZ"),
        *as_user(record.uid, groups=() if accel.gid is None else (accel.gid,)),
        *("nice", "-n", str(niceness(record.spec.cpu_share))),
        *("choom", "-n", str(OOM_SCORE_ADJ), "--"),
        *("prlimit", "--core=0", "--nofile=1024", f"--fsize={LARGEST_FILE_BYTES}", "--"),
    ]


def as_user(uid: int | None, *, groups: tuple[int, ...] = ()) -> list[str]:
    """The prefix that runs a command as ``uid``, without a way back to root."""
    if uid is None:
        return ["setpriv", "--no-new-privs", "--"]
    more = f"--groups={','.join(map(str, groups))}" if groups else "--clear-groups"
    user = (f"--reuid={uid}", f"--regid={uid}", more)
    return ["setpriv", *user, "--bounding-set=-all", "--no-new-privs", "--"]


def niceness(cpu_share: float) -> int:
    """Weight 1.0 is ``NICE``; each step above it is worth ``NICE_STEP`` times less."""
    share = min(max(cpu_share, 0.01), 1.0)
    return min(LOWEST, NICE + round(math.log(1 / share, NICE_STEP)))


def _machine(record: Record, accel: Accel) -> list[str]:
    deny = "obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"
    return [
        *("qemu-system-x86_64", "-name", f"guest=vm-{record.token[:8]},debug-threads=on"),
        *("-uuid", record.token, "-msg", "timestamp=on", "-nodefaults", "-no-user-config"),
        *("-machine", "q35,vmport=off,smm=off,hpet=off", *accel.argv(record.spec.memory_mib)),
        *("-m", str(record.spec.memory_mib), "-smp", str(record.spec.vcpus)),
        *("-rtc", "base=utc", "-sandbox", f"on,{deny}", "-no-shutdown"),
        *("-qmp", "unix:qmp,server=on,wait=off", "-qmp", "unix:events,server=on,wait=off"),
    ]


def _consoles() -> list[str]:
    serial = "socket,id=con,path=console,server=on,wait=off,logfile=console.log,logappend=on"
    return [
        *("-chardev", serial, "-serial", "chardev:con"),
        *("-vga", "std", "-display", "none", "-vnc", "unix:vnc"),
    ]


def _disks(record: Record, opened: Mapping[str, int]) -> list[str]:
    parts = nics.ports()
    parts += ["-device", "virtio-scsi-pci,id=scsi0", "-device", "virtio-rng-pci"]
    parts += _descriptors(opened)
    parts += _root(record, list(opened))
    if record.spec.swap_mib:
        parts += _disk("swap", ImageFormat.RAW, "swap.raw", "virtio-blk-pci,serial=swap")
    seed = "virtio-blk-pci,serial=cidata"
    parts += _disk("seed", ImageFormat.RAW, "seed.iso", seed, read_only=True)
    for serial, slot in disks.volatile(record):
        node = _node(serial, ImageFormat.QCOW2, f"{serial}.qcow2")
        parts += _plugged(node, disks.scsi_device(serial, f"{serial}dev", serial=serial, slot=slot))
    for plug in record.plugs:
        fdset = list(opened).index(plug.volume)
        node = disks.volume_node(plug.volume, fdset, read_only=plug.read_only)
        parts += _plugged(node, disks.volume_device(plug))
    return parts


def _descriptors(opened: Mapping[str, int]) -> list[str]:
    """One set a volume, in order, under the name by which ``hotplug`` finds it again."""
    parts = []
    for number, (token, fd) in enumerate(opened.items()):
        parts += ["-add-fd", f"fd={fd},set={number},opaque={node_name(token)}"]
    return parts


def _root(record: Record, volumes: Sequence[str]) -> list[str]:
    """The disk that it boots from: an overlay of its image, or a volume."""
    token = record.spec.root_volume
    if token:
        name, serial = node_name(token), token
        node = disks.volume_node(token, volumes.index(token), read_only=False)
    else:
        name = serial = "root"
        node = _node(name, ImageFormat.QCOW2, "root.qcow2")
    if record.spec.disk_bus is DiskBus.SCSI:
        device = disks.scsi_device(name, "rootdev", serial=serial, slot=0)
    else:
        short = serial[: disks.VIRTIO_SERIAL]
        device = {"driver": "virtio-blk-pci", "id": "rootdev", "drive": name, "serial": short}
    return _plugged(node, device | {"bootindex": 1})


def _plugged(node: Mapping[str, Any], device: Mapping[str, Any]) -> list[str]:
    words = ",".join(f"{name}={value}" for name, value in device.items())
    return ["-blockdev", json.dumps(node), "-device", words.removeprefix("driver=")]


def _disk(
    name: str, kind: ImageFormat, path: str, device: str, *, read_only: bool = False
) -> list[str]:
    node = _node(name, kind, path, read_only=read_only)
    return ["-blockdev", json.dumps(node), "-device", f"{device},drive={name},id={name}dev"]


def _node(name: str, kind: ImageFormat, path: str, *, read_only: bool = False) -> dict[str, Any]:
    return {
        "driver": kind.value,
        "node-name": name,
        "read-only": read_only,
        "discard": "unmap",
        "file": {"driver": "file", "filename": path},
    }


def _network(record: Record, bind_address: str) -> list[str]:
    forwards = "".join(
        f",hostfwd=tcp:{bind_address}:{port}-:{guest}" for guest, port in record.ports.items()
    )
    card = f"virtio-net-pci,netdev=net0,id=nic0,mac={cards.first(record.token)},romfile="
    return ["-netdev", f"user,id=net0,restrict=on{forwards}", "-device", card]

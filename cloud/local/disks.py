"""A machine's SCSI disks: where each sits, how the guest likely calls it, QEMU's words for it.

One target each, in the order in which they were plugged in, because Linux names the disks
that it finds at boot by target; one that comes later gets the first letter that is free.

A volume's file is opened by us and handed over as a descriptor: a QEMU runs as a user that
may open nothing but its own files, so it reaches the volumes of its machine and no others.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from cloud.local.machine import Hold, Plugged, Record
from cloud.local.plugs import node_name
from cloud.types import Disk, DiskBus

#: Two descriptors each, of the 1024 that a QEMU may have.
MOST = 128
#: What a virtio disk tells the guest of its serial number: virtio 1.2, section 5.2.
VIRTIO_SERIAL = 20


def fixed(record: Record) -> int:
    """How many SCSI disks come before the volumes: the root's, if it is one, and volatile ones."""
    return (record.spec.disk_bus is DiskBus.SCSI) + len(record.spec.volatile_bytes)


def room_for(record: Record, volume: str, *, read_only: bool) -> Plugged | None:
    """Where a volume goes; None if every place is taken."""
    first = fixed(record)
    if first + len(record.plugs) >= MOST:
        return None
    slot = _first_free(first, (plug.slot for plug in record.plugs))
    letter = _first_free(first, (plug.letter for plug in record.plugs))
    return Plugged(volume=volume, read_only=read_only, slot=slot, letter=letter)


def _first_free(first: int, taken: Iterable[int]) -> int:
    used = set(taken)
    return next(number for number in range(first, first + MOST + 1) if number not in used)


def by_slot(record: Record, plugs: Iterable[Plugged]) -> tuple[Plugged, ...]:
    """``plugs`` as a guest finds them when it boots: all there, and named in order."""
    ordered = enumerate(sorted(plugs, key=lambda plug: plug.slot))
    return tuple(replace(plug, letter=fixed(record) + n, hold=Hold.IN) for n, plug in ordered)


def after_reset(record: Record) -> tuple[Plugged, ...]:
    """The letters anew, because the guest has restarted."""
    named = {plug.volume: plug.letter for plug in by_slot(record, record.plugs)}
    return tuple(replace(plug, letter=named[plug.volume]) for plug in record.plugs)


def device(letter: int) -> str:
    """Linux's name of its SCSI disk number ``letter``: sda to sdz, sdaa and so on."""
    name = ""
    number = letter + 1
    while number:
        number, rest = divmod(number - 1, 26)
        name = chr(ord("a") + rest) + name
    return f"/dev/sd{name}"


def scsi_path(serial: str) -> str:
    """The name that udev gives a SCSI disk of QEMU's: vendor, model, page 0x83 of its data."""
    return f"/dev/disk/by-id/scsi-0QEMU_QEMU_HARDDISK_{serial}"


def virtio_path(serial: str) -> str:
    return f"/dev/disk/by-id/virtio-{serial[:VIRTIO_SERIAL]}"


def shown(record: Record) -> tuple[Disk, ...]:
    """The volumes that are plugged in, or will be when the machine starts."""
    return (*_root(record), *(_disk(plug) for plug in record.plugs if plug.is_shown))


def _root(record: Record) -> Iterable[Disk]:
    token = record.spec.root_volume
    if not token:
        return
    if record.spec.disk_bus is DiskBus.SCSI:
        yield Disk(volume=token, device=device(0), stable_path=scsi_path(token))
    else:
        yield Disk(volume=token, device="/dev/vda", stable_path=virtio_path(token))


def _disk(plug: Plugged) -> Disk:
    return Disk(
        volume=plug.volume,
        device=device(plug.letter),
        stable_path=scsi_path(plug.volume),
        read_only=plug.read_only,
    )


def volatile(record: Record) -> Sequence[tuple[str, int]]:
    """Serial number and SCSI target of each disk that ends with the machine."""
    first = fixed(record) - len(record.spec.volatile_bytes)
    return [(f"volatile-{n + 1}", first + n) for n in range(len(record.spec.volatile_bytes))]


# QEMU's words -----------------------------------------------------------------------------


def volume_node(token: str, fdset: int, *, read_only: bool) -> dict[str, Any]:
    """A block node on the descriptor in set ``fdset``. It follows no name in the file."""
    return {
        "driver": "qcow2",
        "node-name": node_name(token),
        "read-only": read_only,
        "discard": "unmap",
        "backing": None,
        "file": {
            "driver": "file",
            "filename": f"/dev/fdset/{fdset}",
            "read-only": read_only,
            "discard": "unmap",
        },
    }


def device_id(token: str) -> str:
    return f"disk-{token}"


def scsi_device(node: str, name: str, *, serial: str, slot: int) -> dict[str, Any]:
    """A SCSI disk. ``device_id`` is page 0x83, of which udev makes the stable name."""
    return {
        "driver": "scsi-hd",
        "id": name,
        "drive": node,
        "bus": "scsi0.0",
        "scsi-id": slot,
        "lun": 0,
        "serial": serial,
        "device_id": serial,
    }


def volume_device(plug: Plugged) -> dict[str, Any]:
    serial = plug.volume
    return scsi_device(node_name(serial), device_id(serial), serial=serial, slot=plug.slot)

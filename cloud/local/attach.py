"""Attaching a volume to a machine and detaching it, whether the machine runs or not.

The machine's record says what it holds and how far that is; QEMU is asked only while it
lives. Asked again after a kill at any point, each verb goes on from there.
"""

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import replace

from qemu.qmp import QMPClient

from cloud.errors import CloudBusy, CloudError, CloudRefused, NotFound
from cloud.local import disks, hotplug, plugs, qmp
from cloud.local.machine import Hold, Machine, Plugged, Record
from cloud.local.site import Site, is_machine_name
from cloud.local.volumes import Volume

#: A look at the site waits no longer for a QEMU that does not answer.
SETTLE_S = 1.0
IS_ROOT = "The machine boots from this disk, so it holds it until the machine is deleted."


def attach(one: Machine, volume: str, *, read_only: bool) -> None:
    """See ``CloudDriver.attach_volume``."""
    with one.locked():
        record = one.load()
        if _is_root(record, volume):
            return
        plug = record.plug(volume)
        if plug and plug.read_only != read_only:
            how = "read-only" if plug.read_only else "read-write"
            raise CloudBusy(f"This machine has the disk attached {how}. Detach it first.")
        if plug is None:
            record = _hold(one, record, volume, read_only=read_only)
        if record.is_alive:
            _plug_in(one, record, volume)
        elif plug and plug.hold is not Hold.IN:
            one.save(record, plugs=disks.by_slot(record, record.plugs))


def _is_root(record: Record, volume: str) -> bool:
    return bool(volume) and volume == record.spec.root_volume


def _hold(one: Machine, record: Record, volume: str, *, read_only: bool) -> Record:
    """Claim the volume and write it down as the machine's."""
    plug = disks.room_for(record, volume, read_only=read_only)
    with plugs.locked(one.site, volume):
        Volume(one.site, volume).load()
        if plug is None:
            raise CloudRefused(
                f"A machine has room for {disks.MOST} disks, and this one has no more."
                " Detach another one first."
            )
        plugs.claim(one.site, volume, vm=one.token, read_only=read_only)
        if record.is_alive:
            plug = replace(plug, hold=Hold.COMING)
            return one.save(record, plugs=(*record.plugs, plug))
        return one.save(record, plugs=disks.by_slot(record, (*record.plugs, plug)))


@contextlib.contextmanager
def taken(site: Site, wanted: Mapping[str, bool], *, vm: str) -> Iterator[None]:
    """Claim volumes (each: only to read it?) for a machine whose record is written inside.

    Raises:
        CloudRefused: there is no such disk. CloudBusy: somebody else has one of them.
    """
    with plugs.locked(site, *wanted):
        for token, read_only in wanted.items():
            if Volume(site, token).find() is None:
                raise CloudRefused("One of its disks does not exist any more.", detail=token)
            plugs.claim(site, token, vm=vm, read_only=read_only)
        yield


def _plug_in(one: Machine, record: Record, volume: str) -> None:
    plug = _plug(record, volume)
    path = plugs.disk_path(one.site, volume)

    async def work(client: QMPClient) -> None:
        await hotplug.plug_in(client, plug, path, afresh=plug.hold is not Hold.IN)

    try:
        qmp.talk(one.run, work, timeout_s=one.site.timeout_s)
    except CloudError:
        if plug.hold is not Hold.IN:
            _let_go(one, record, volume)
        raise
    if plug.hold is not Hold.IN:
        _mark(one, record, plug, Hold.IN)


def detach(one: Machine, volume: str, *, force: bool) -> None:
    """See ``CloudDriver.detach_volume``."""
    if not is_machine_name(one.token) or not is_machine_name(volume) or one.find() is None:
        return
    with one.locked():
        record = one.find()
        if record is None:
            return
        if _is_root(record, volume):
            raise CloudRefused(IS_ROOT)
        plug = record.plug(volume)
        if plug and record.is_alive:
            if plug.hold is Hold.IN and not force:
                _must_be_let_go(one, plug)
            record = _mark(one, record, plug, Hold.LEAVING)
            _pull_out(one, plug, timeout_s=one.site.timeout_s)
        _let_go(one, record, volume)


def settle(one: Machine) -> None:
    """Take back what a killed process had begun to plug in, and nobody asks for any more.

    Whoever asks again finishes it; what was begun to be unplugged is shown until then.
    """
    with contextlib.suppress(CloudError, OSError, qmp.NoAnswer):
        if _coming(one.find()) is None:
            return
        with one.locked(wait_s=0):
            while plug := _coming(record := one.load()):
                if record.is_alive:
                    _pull_out(one, plug, timeout_s=SETTLE_S)
                _let_go(one, record, plug.volume)


def _coming(record: Record | None) -> Plugged | None:
    plugs_of_it = record.plugs if record else ()
    return next((plug for plug in plugs_of_it if plug.hold is Hold.COMING), None)


def _must_be_let_go(one: Machine, plug: Plugged) -> None:
    path = plugs.disk_path(one.site, plug.volume)

    async def work(client: QMPClient) -> None:
        await hotplug.must_be_let_go(client, plug, path)

    qmp.talk(one.run, work, timeout_s=one.site.timeout_s)


def _pull_out(one: Machine, plug: Plugged, *, timeout_s: float) -> None:
    async def work(client: QMPClient) -> None:
        await hotplug.pull_out(client, plug)

    qmp.talk(one.run, work, timeout_s=timeout_s)


def _mark(one: Machine, record: Record, plug: Plugged, hold: Hold) -> Record:
    changed = tuple(
        replace(each, hold=hold) if each.volume == plug.volume else each for each in record.plugs
    )
    return one.save(record, plugs=changed)


def _let_go(one: Machine, record: Record, volume: str) -> None:
    """Strike the volume from the machine's record, and then give up the claim."""
    left = tuple(plug for plug in record.plugs if plug.volume != volume)
    if left != record.plugs:
        one.save(record, plugs=left if record.is_alive else disks.by_slot(record, left))
    plugs.release(one.site, [volume], vm=one.token)


def _plug(record: Record, volume: str) -> Plugged:
    plug = record.plug(volume)
    if plug is None:
        raise NotFound(plugs.NO_SUCH, detail=volume)
    return plug

"""Plugging volumes into a QEMU that runs, and out of it.

Every step looks first, so that each can be repeated after a kill between any two: a
descriptor in a set named after the volume, a block node on it, a disk on that.
"""

import asyncio
import contextlib
import os
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from qemu.qmp import ExecuteError, QMPClient

from cloud.errors import CloudBusy, CloudRefused
from cloud.local import disks, mounted, qmp
from cloud.local.machine import Plugged
from cloud.local.plugs import node_name

#: A guest that has done nothing with a disk for so long is done with it.
QUIET_S = 0.25
#: How long such a moment is waited for.
PATIENCE_S = 1.0
#: QEMU says that a SCSI disk is gone after 50 ms, whatever the guest does.
GONE_S = 4.0
AGAIN_S = 0.02

_LOCKED = re.compile(r'Failed to get .*"write" lock')
_OPERATIONS = ("rd_operations", "wr_operations", "flush_operations", "unmap_operations")

IN_USE = (
    "The guest is still reading from this disk or writing to it. Unmount it there, then detach it"
    " again."
)
DAMAGED = "This disk cannot be opened: it is damaged."
NOT_RUNNING = (
    "The machine is paused, so its guest cannot let go of the disk. Let it go on, or detach the"
    " disk by force."
)


async def plug_in(client: QMPClient, plug: Plugged, path: Path, *, afresh: bool) -> None:
    """Give the guest the volume in the file at ``path``. Quiet if it has it.

    ``afresh``: what is there was left half done, so it is removed first.

    Raises:
        CloudBusy: somebody else has the file open. CloudRefused: it is damaged.
    """
    if afresh:
        await pull_out(client, plug)
    elif await _has_device(client, plug):
        return
    else:
        await _remove_node(client, plug)
    try:
        fdset = await _hand_over(client, plug, path)
        node = disks.volume_node(plug.volume, fdset, read_only=plug.read_only)
        await _ask(client, "blockdev-add", node)
        await _ask(client, "device_add", disks.volume_device(plug))
    except ExecuteError as error:
        await _remove_node(client, plug)
        if _LOCKED.search(str(error)):
            raise CloudBusy(
                "Something else has this disk open now. Try again.", detail=str(error)
            ) from error
        raise CloudRefused(DAMAGED, detail=str(error)) from error


async def _hand_over(client: QMPClient, plug: Plugged, path: Path) -> int:
    """Pass the opened file to QEMU; the number of the set that it is in."""
    fd = os.open(path, open_flags(read_only=plug.read_only))
    try:
        client.send_fd_scm(fd)
    finally:
        os.close(fd)
    added: dict[str, int] = await _ask(client, "add-fd", {"opaque": node_name(plug.volume)})
    return added["fdset-id"]


def open_flags(*, read_only: bool) -> int:
    return (os.O_RDONLY if read_only else os.O_RDWR) | os.O_CLOEXEC | os.O_NOFOLLOW


async def pull_out(client: QMPClient, plug: Plugged) -> None:
    """Take the volume from the guest, whatever it does with it, and close the file.

    Raises:
        CloudBusy: QEMU did not let go of it.
    """
    if await _has_device(client, plug):
        with client.listener(("DEVICE_DELETED",)) as gone:
            with contextlib.suppress(ExecuteError):  # it is on its way already, or gone
                await _ask(client, "device_del", {"id": disks.device_id(plug.volume)})
            await _until_gone(client, plug, gone)
    await _remove_node(client, plug)


async def _until_gone(client: QMPClient, plug: Plugged, gone: Any) -> None:
    name = disks.device_id(plug.volume)

    async def hear() -> None:
        while (await gone.get())["data"].get("device") != name:
            pass

    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(hear(), GONE_S)
    if await _has_device(client, plug):
        raise CloudBusy("The machine has not let go of this disk. Try again.")


async def _has_device(client: QMPClient, plug: Plugged) -> bool:
    name = disks.device_id(plug.volume)
    return any(block.get("qdev") == name for block in await _ask(client, "query-block"))


async def _remove_node(client: QMPClient, plug: Plugged) -> None:
    """Remove the block node and what holds the file open."""
    name = node_name(plug.volume)

    async def is_removed() -> bool:
        nodes = await _ask(client, "query-named-block-nodes", {"flat": True})
        if all(node["node-name"] != name for node in nodes):
            return True
        with contextlib.suppress(ExecuteError):  # the disk on it is just going
            await _ask(client, "blockdev-del", {"node-name": name})
        return False

    if not await _soon(is_removed, within_s=GONE_S):
        raise CloudBusy("The machine has not let go of this disk. Try again.")
    for fdset in await _ask(client, "query-fdsets"):
        if any(fd.get("opaque") == name for fd in fdset["fds"]):
            with contextlib.suppress(ExecuteError):  # QEMU had closed it already
                await _ask(client, "remove-fd", {"fdset-id": fdset["fdset-id"]})


async def _ask(client: QMPClient, command: str, arguments: qmp.Answer = None) -> qmp.Answer:
    return await client.execute(command, arguments)


async def _soon(is_so: Callable[[], Awaitable[bool]], *, within_s: float) -> bool:
    loop = asyncio.get_running_loop()
    deadline = loop.time() + within_s
    while not await is_so():
        if loop.time() > deadline:
            return False
        await asyncio.sleep(AGAIN_S)
    return True


# Whether the guest has let go ----------------------------------------------------------------


async def must_be_let_go(client: QMPClient, plug: Plugged, path: Path) -> None:
    """See that the guest does nothing with the volume, for a moment, and has not mounted it.

    Quiet if there is no guest any more.

    Raises:
        CloudBusy: it has not let go, or cannot do anything now.
    """
    status = (await _ask(client, "query-status"))["status"]
    if status == "shutdown":
        return
    if status != "running":
        raise CloudBusy(NOT_RUNNING, detail=status)
    done = await _until_idle(client, plug)
    if done.writes and mounted.looks_mounted(path):
        raise CloudBusy(mounted.SENTENCE)


async def _until_idle(client: QMPClient, plug: Plugged) -> "_Operations":
    loop = asyncio.get_running_loop()
    deadline = loop.time() + PATIENCE_S
    done = await _operations(client, plug)
    while done.any_ever and done.idle_s < QUIET_S:
        if loop.time() > deadline:
            raise CloudBusy(IN_USE)
        await asyncio.sleep(QUIET_S - done.idle_s)
        done = await _operations(client, plug)
    return done


class _Operations:
    """What QEMU counts of one node since the disk on it was plugged in."""

    def __init__(self, stats: dict[str, int]) -> None:
        self.any_ever = any(stats.get(name, 0) for name in _OPERATIONS)
        self.writes = stats.get("wr_operations", 0) + stats.get("unmap_operations", 0)
        self.idle_s = stats.get("idle_time_ns", 0) / 1e9


async def _operations(client: QMPClient, plug: Plugged) -> _Operations:
    name = node_name(plug.volume)
    for block in await _ask(client, "query-blockstats"):
        if block.get("node-name") == name:
            return _Operations(block["stats"])
    return _Operations({})

"""A machine's root disk becomes a volume: read once, written, and summed on the way.

::

    machines/<token>/saving      locked while the machine is saved; of one that boots from a
    volumes/<token>/saving       volume, there. Names the snapshot that is read; none: it is off
    volumes/<token>/saved.json   beside the new volume's disk: its checksums

A machine that is off stays off meanwhile. Of one that runs, a snapshot inside its disk is read,
which its QEMU takes, and removes in the end; after a kill, whoever sweeps the site removes it.
"""

import contextlib
import json
import logging
import os
from collections.abc import Iterator
from pathlib import Path

from cloud.diskfiles import child, flattening
from cloud.diskfiles.digests import LENGTHS
from cloud.driver import Progress
from cloud.errors import CloudBusy, CloudError, CloudRefused, CloudUnavailable, NotFound
from cloud.local import files, machine, process, qmp, reading, roots, transfers, volumes
from cloud.local.machine import Machine, Record, Stage
from cloud.local.roots import Root
from cloud.local.site import Site
from cloud.local.volumes import BEING_SAVED, Volume
from cloud.types import SavedDisk

logger = logging.getLogger("cloud.local")

SUMS = "saved.json"
BUSY = "This machine's disk is being saved now. Wait for it."
WAITS = "The machine waits for its start. Save it when it runs, or is off."
NO_DISK = "The machine has never started, so it has no disk to save."


def save(one: Machine, *, token: str, on_progress: Progress) -> SavedDisk:
    """See ``CloudDriver.save_root_disk``."""
    volume = Volume(one.site, token)
    if volume.find() is None:
        one.load()
        with volumes.making(one.site, token, wait_s=0) as new:
            if new is not None:
                with _still(one) as (root, snapshot):
                    sums = _copied(root, snapshot, new, on_progress)
                files.write(new / SUMS, json.dumps(sums).encode())
    saved = _kept(volume)
    on_progress(saved.volume.size_bytes, saved.volume.size_bytes)
    return saved


def _kept(volume: Volume) -> SavedDisk:
    """What was saved, with the checksums of then; blank, if it came to be otherwise."""
    info = volume.load()
    try:
        sums = json.loads((volume.folder / SUMS).read_bytes())
    except FileNotFoundError:
        return SavedDisk(volume=info)
    except ValueError as error:
        raise CloudUnavailable(volumes.DAMAGED, detail=f"{volume.folder}: {error!r}") from error
    return SavedDisk(volume=info, **{name: str(sums[name]) for name in LENGTHS})


def refuse_if_read(one: Machine, record: Record) -> None:
    """Call it with the lock of a machine held that is off.

    Raises:
        CloudBusy: its disk is saved, and must not change.
    """
    mark = roots.of(one, record).mark
    with contextlib.suppress(FileNotFoundError):  # it was just over
        if process.is_held(mark) and not mark.read_bytes():
            raise CloudBusy(BUSY)


@contextlib.contextmanager
def _still(one: Machine) -> Iterator[tuple[Root, str]]:
    """The machine's disk, and the snapshot of it that stays as it is; "": all of it does.

    Raises:
        NotFound. CloudBusy: the machine waits for its start, is saved already, or being changed.
        CloudRefused: it has no disk.
    """
    root = roots.of(one, one.load())
    with contextlib.ExitStack() as stack, contextlib.ExitStack() as held:
        run = held.enter_context(root.alone())
        _must_have_a_disk(one.load())
        stack.enter_context(files.locked(root.mark, wait_s=0, busy=BUSY))
        _forget_snapshot(root, run)
        if run:
            stack.callback(_clean, root)
            root.mark.write_bytes(BEING_SAVED.encode())
            _ask(root, run, "blockdev-snapshot-internal-sync")
        else:
            root.mark.write_bytes(b"")
            stack.callback(root.mark.unlink, missing_ok=True)
        stack.enter_context(root.being_read(reading.THEN if run else reading.NOW))
        held.close()
        yield root, BEING_SAVED if run else ""


def _must_have_a_disk(record: Record) -> None:
    if record.stage is Stage.QUEUED:
        raise CloudBusy(WAITS)
    if not (record.prepared or record.spec.root_volume):
        raise CloudRefused(NO_DISK)


def _copied(root: Root, snapshot: str, new: Path, on_progress: Progress) -> dict[str, str]:
    """Write the disk to an empty directory; its checksums by the names of ``hashlib``."""
    uid = child.new_uid()
    disk = new / volumes.DISK
    with root.opened(os.O_RDONLY) as fd, root.base() as base:
        size_bytes = root.head(fd).size_at(snapshot)
        tell = transfers.above_the_floor(root.site, on_progress)
        with flattening.layers(fd, uid, base=base, snapshot=snapshot) as layers:
            need = flattening.room_bytes(layers, uid, on_tick=lambda: on_progress(0, size_bytes))
            transfers.must_have_room(root.site, need)
            volumes.empty(disk, size_bytes)
            found = flattening.flatten(layers, uid, disk, size_bytes=size_bytes, on_progress=tell)
    return dict(found)


# Snapshots ------------------------------------------------------------------------------


def _ask(root: Root, run: Path, command: str) -> None:
    timeout_s = root.site.timeout_s
    qmp.ask(run, command, timeout_s=timeout_s, device=root.node, name=BEING_SAVED)


def _forget_snapshot(root: Root, run: Path | None) -> None:
    """Remove what was taken of the disk. Quiet if nothing was. Call it alone with the disk."""
    with root.opened(os.O_RDWR) as fd:
        if BEING_SAVED not in root.head(fd).snapshots:
            return
        if run:
            _ask(root, run, "blockdev-snapshot-delete-internal-sync")
        else:
            root.edit(fd, "snapshot", "-q", "-d", BEING_SAVED)


def _clean(root: Root) -> None:
    """Have no snapshot left. What cannot be done now, the next sweep does."""
    try:
        with root.alone() as run:
            _forget_snapshot(root, run)
            root.mark.unlink(missing_ok=True)
    except NotFound:
        pass  # the machine is gone, and its disk with it
    except (CloudError, OSError, qmp.NoAnswer) as error:
        logger.warning("saving.not_clean", extra={"subject": str(root.folder)}, exc_info=error)


def sweep(site: Site) -> None:
    """Remove the snapshots that killed savers left."""
    every: list[Root] = [roots.Overlay(one) for one in machine.every(site)]
    every += [roots.Booted(Volume(site, token)) for token in files.names(site.volumes)]
    for root in every:
        if root.mark.exists():
            with (
                contextlib.suppress(CloudBusy, OSError),
                files.locked(root.mark, wait_s=0, busy=BUSY),
            ):
                _clean(root)

"""Who holds which volume: one machine to write to it, or any number to read it.

::

    volumes/<token>/plugs/<machine>   a machine's claim to the volume: "write" or "read"
    locks/volume-<token>              held by whoever changes a volume, or who holds it

A claim is written before the machine's own record names the volume, and counts for as long
as that record does, running or off. One whose machine is gone, or does not name the volume,
was left by a killed process; whoever looks with the lock held, removes it.
"""

import contextlib
import math
import resource
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from cloud.errors import CloudBusy, CloudUnavailable, NotFound
from cloud.local import files, qcow2, reading
from cloud.local.machine import Machine, Record
from cloud.local.site import Site, is_machine_name

LOCK = "volume-"
NO_SUCH = "There is no such disk."
BUSY = "Something else is being done to this disk now. Try again."
#: A qcow2 file may outgrow its disk by this much: its tables, and the rounding of them.
METADATA_BYTES = 1 << 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """A machine that a volume is plugged into. ``pid`` is that of its QEMU.

    ``run`` is where the monitor of its QEMU is (see ``qmp.ask``), which knows the volume as
    block node ``node``; None: the machine is off, and nobody has the file open.
    """

    vm: str
    read_only: bool
    node: str
    run: Path | None
    pid: int | None


def disk_path(site: Site, token: str) -> Path:
    return site.volumes / token / "disk.qcow2"


def node_name(token: str) -> str:
    """The volume's name inside a QEMU, which takes 31 characters: 108 bits of its UUID."""
    return f"vol-{token.replace('-', '')[:27]}"


@contextlib.contextmanager
def locked(site: Site, *tokens: str, wait_s: float | None = None) -> Iterator[None]:
    """Be the only one who changes these volumes, or who holds them.

    Raises:
        NotFound: that names no volume. CloudBusy: somebody else is at one of them.
    """
    for token in tokens:
        if not is_machine_name(token):
            raise NotFound(NO_SUCH, detail=token)
    site.make()
    wait_s = site.timeout_s if wait_s is None else wait_s
    with contextlib.ExitStack() as stack:
        for token in sorted(set(tokens)):
            path = site.locks / f"{LOCK}{token}"
            stack.enter_context(files.locked(path, wait_s=wait_s, busy=BUSY))
            stack.callback(_forget_lock, site, token)
        yield


def _forget_lock(site: Site, token: str) -> None:
    if not (site.volumes / token).exists():
        (site.locks / f"{LOCK}{token}").unlink(missing_ok=True)


def holders(site: Site, token: str) -> list[Holder]:
    """The machines that hold the volume. Call it with the volume's lock held."""
    folder = site.volumes / token / "plugs"
    held = []
    for name in files.names(folder):
        read_only = (folder / name).read_bytes() == b"read"
        try:
            record = Machine(site, name).find() if is_machine_name(name) else None
        except CloudUnavailable:  # its record is damaged, and may name the volume
            held.append(Holder(vm=name, read_only=read_only, node="", run=None, pid=None))
            continue
        if record and token in record.volumes:
            held.append(_holder(site, record, token))
        else:
            (folder / name).unlink(missing_ok=True)
    return held


def _holder(site: Site, record: Record, token: str) -> Holder:
    is_alive = record.is_alive
    return Holder(
        vm=record.token,
        read_only=record.volumes[token],
        node=node_name(token),
        run=Machine(site, record.token).run if is_alive else None,
        pid=record.process.pid if is_alive else None,
    )


def refuse_if_held(site: Site, token: str) -> None:
    """Call it with the volume's lock held.

    Raises:
        CloudBusy: the volume is plugged into a machine, running or off.
    """
    if count := len(holders(site, token)):
        many = "a machine" if count == 1 else f"{count} machines"
        raise CloudBusy(f"This disk is attached to {many}. Detach it first.")


def refuse_if_written(site: Site, token: str) -> None:
    """Call it with the volume's lock held, and keep that while reading the file.

    Raises:
        CloudBusy: a running machine may write to the volume at any moment.
    """
    if any(one.run and not one.read_only for one in holders(site, token)):
        raise CloudBusy(
            "A running machine can write to this disk now. Detach it, or shut the machine down."
        )


def file_bytes(path: Path) -> int:
    """How large a volume's file may become until its next snapshot or growth.

    All that it holds now may be kept by snapshots, and all of the disk be written anew.
    """
    try:
        size_bytes = qcow2.read(path).size_bytes
    except qcow2.Damaged:
        size_bytes = 0
    return path.stat().st_size + size_bytes


def make_room(holder: Holder, file_bytes: int) -> None:
    """Let the QEMU of a running machine write files of ``file_bytes``, and of its tables.

    For a volume that grows, or whose file does because a snapshot keeps what it held. Quiet if
    it may already, as it may from the start in all but absurd cases, or does not run.

    Raises:
        PermissionError: only root can give a machine that has a user of its own more.
    """
    if holder.pid is None:
        return
    wanted = file_bytes + METADATA_BYTES
    with contextlib.suppress(ProcessLookupError, FileNotFoundError):
        if _file_limit(holder.pid) < wanted:
            resource.prlimit(holder.pid, resource.RLIMIT_FSIZE, (wanted, wanted))


def _file_limit(pid: int) -> float:
    """Read where everybody may: prlimit(2) asks for rights even to look."""
    for line in Path("/proc", str(pid), "limits").read_text(encoding="ascii").splitlines():
        if line.startswith("Max file size"):
            soft = line.split()[3]
            return math.inf if soft == "unlimited" else int(soft)
    return math.inf


# What machines do with them -------------------------------------------------------------


def claim(site: Site, token: str, *, vm: str, read_only: bool) -> None:
    """Write a claim down. Call it with the volume's lock held, and then name it in the record.

    Raises:
        CloudBusy: another machine writes to it, or this one is to and others have or copy it.
    """
    if not read_only:
        reading.refuse_if_read(site, token, reading.NOW)
    others = [one for one in holders(site, token) if one.vm != vm]
    if any(not one.read_only for one in others):
        raise CloudBusy("Another machine has this disk attached read-write. Detach it there first.")
    if others and not read_only:
        raise CloudBusy(
            "Other machines have this disk attached read-only, so none can write to it."
            " Detach it there first, or attach it read-only."
        )
    folder = site.volumes / token / "plugs"
    folder.mkdir(mode=0o700, exist_ok=True)
    files.write(folder / vm, b"read" if read_only else b"write")


def release(site: Site, tokens: Iterable[str], *, vm: str) -> None:
    """Forget a machine's claims, once its record does not name the volumes any more."""
    for token in tokens:
        (site.volumes / token / "plugs" / vm).unlink(missing_ok=True)

"""Where the gateway finds a machine's screen and serial line, and what the line has said."""

import hashlib
import os
import tempfile
from pathlib import Path

from cloud.errors import CloudBusy, CloudUnavailable
from cloud.local import files
from cloud.local.machine import Machine
from cloud.types import ConsoleEndpoint, ConsoleKind

BACKLOG_BYTES = 64 << 10
#: QEMU appends to the log for as long as the machine lives; a guest could fill the disk.
LOG_BYTES = 4 << 20
#: sun_path has 108 bytes, the last a zero: unix(7).
LONGEST_PATH = 107

_SOCKET = {ConsoleKind.SCREEN: "vnc", ConsoleKind.SERIAL: "console"}


def endpoint(one: Machine, kind: ConsoleKind) -> ConsoleEndpoint:
    """Raises: NotFound. CloudBusy: it does not run."""
    record = one.load()
    if not record.is_alive:
        raise CloudBusy("It is not running, so it has no console now.")
    backlog = log(one, BACKLOG_BYTES) if kind is ConsoleKind.SERIAL else b""
    path = _reachable(one, _SOCKET[kind])
    return ConsoleEndpoint(kind=kind, unix_path=path, peer_uid=record.uid, backlog=backlog)


def log(one: Machine, max_bytes: int) -> bytes:
    """The last ``max_bytes`` of the serial line, across the place where the log was cut."""
    new = files.tail(one.run / "console.log", max_bytes)
    if len(new) < max_bytes:
        return files.tail(one.folder / "console.old", max_bytes - len(new)) + new
    return new


def trim(one: Machine) -> None:
    """Cut a log that has grown beyond ``LOG_BYTES``, keeping its end beside it."""
    path = one.run / "console.log"
    if path.lstat().st_size <= LOG_BYTES:
        return
    files.write(one.folder / "console.old", files.tail(path, LOG_BYTES // 4))
    fd = os.open(path, os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(fd, "wb"):
        if os.fstat(fd).st_nlink == 1:
            os.ftruncate(fd, 0)


def _reachable(one: Machine, name: str) -> Path:
    """A path that fits in a socket address, by a short link where home is too deep."""
    path = one.run / name
    if len(os.fsencode(path)) <= LONGEST_PATH:
        return path
    return _short(one.site.machines) / one.token / "run" / name


def _short(machines: Path) -> Path:
    """A private directory of ours under /tmp with a link to ``machines`` in it."""
    digest = hashlib.sha256(os.fsencode(machines)).hexdigest()[:16]
    folder = Path(tempfile.gettempdir()) / f"portal-{os.geteuid()}-{digest}"
    folder.mkdir(mode=0o700, exist_ok=True)
    about = folder.lstat()
    if about.st_uid != os.geteuid() or about.st_mode != 0o040700:
        raise CloudUnavailable(
            "The console cannot be reached: its directory belongs to somebody else.",
            detail=str(folder),
        )
    link = folder / "m"
    if not (link.is_symlink() and link.readlink() == machines):
        fresh = folder / f".m{os.getpid()}"
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(machines)
        fresh.replace(link)
    return link

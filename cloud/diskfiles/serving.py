"""A disk behind a ``qemu-nbd`` in the jail: QEMU reads and writes the format, we see its bytes.

Nobody else can connect: the socket has lost its name before the program starts, and our one
connection waits in it. Source: qemu-nbd(8); sd_listen_fds(3), which is how it takes a socket.
"""

import contextlib
import fcntl
import json
import logging
import os
import socket
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cloud.diskfiles import child, nbd

logger = logging.getLogger("cloud.serving")

#: The socket comes as standard input and is wanted as number 3, by a process that knows its own.
_LISTEN = (
    'exec 3<&0 </dev/null; LISTEN_PID=$$ LISTEN_FDS=1; export LISTEN_PID LISTEN_FDS; exec "$@"'
)
#: Files that are handed over have higher numbers than that.
_FIRST_FD = 10
#: How long a server may take to close its file, once all is on disk.
_CLOSE_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Disk:
    """A disk in QEMU's words. ``files`` are the descriptors that ``node`` names."""

    node: Mapping[str, Any]
    files: Sequence[int]
    snapshot: str = ""  # an internal one of its qcow2

    @property
    def name(self) -> str:
        """As a file name of qemu-img and qemu-nbd."""
        return f"json:{json.dumps(self.node)}"

    @property
    def at(self) -> list[str]:
        return ["-l", f"snapshot.name={self.snapshot}"] if self.snapshot else []


class Gone(Exception):
    """The server ended before it should. ``ended`` says how, if it ran at all."""

    def __init__(self, ended: child.Ended | None, why: str) -> None:
        super().__init__(f"{why}; {ended}")
        self.ended = ended


def opened(path: Path, flags: int) -> int:
    """A descriptor with a number that can be handed over. Raises: OSError."""
    fd = os.open(path, flags | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _FIRST_FD)
    finally:
        os.close(fd)


@contextlib.contextmanager
def served(
    disk: Disk,
    *,
    writable: bool = False,
    folder: Path,
    uid: int | None,
    limits: child.Limits,
    on_tick: Callable[[], None],
) -> Iterator[nbd.Client]:
    """A client of ``disk`` for as long as the block lasts; then its server has ended.

    ``folder`` is ours alone; a socket has its name there for a moment. ``on_tick`` is called
    while the server is silent.

    Raises:
        Gone: the server could not open the disk, or ended in the middle.
    """
    ours, listener = _pair(folder)
    with ours:
        server = _Server(disk, listener, writable=writable, uid=uid, limits=limits)
        with listener:
            server.start()
        client = None
        try:
            client = nbd.Client(ours, on_tick=on_tick)
            yield client
            client.disconnect()
        except BaseException as error:
            ours.close()
            if isinstance(error, nbd.Broken) and (client is None or client.is_broken):
                raise Gone(server.end(wait_s=_CLOSE_S), str(error)) from error
            server.end(wait_s=0)
            raise
        ended = server.end(wait_s=_CLOSE_S)
        if ended is None or ended.code:
            raise Gone(ended, "it did not end well")


def _pair(folder: Path) -> tuple[socket.socket, socket.socket]:
    """A connected socket, and the one that it waits in to be accepted."""
    name = "nbd"
    where = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        path = f"/proc/self/fd/{where}/{name}"
        with contextlib.ExitStack() as stack:
            listener = stack.enter_context(socket.socket(socket.AF_UNIX))
            ours = stack.enter_context(socket.socket(socket.AF_UNIX))
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name, dir_fd=where)
            listener.bind(path)
            listener.listen(1)
            ours.connect(path)
            os.unlink(name, dir_fd=where)
            stack.pop_all()
            return ours, listener
    finally:
        os.close(where)


class _Enough(Exception):
    """Nobody needs the server any more."""


@dataclass(slots=True)
class _Server:
    """A qemu-nbd in a thread of its own, with which it dies."""

    disk: Disk
    listener: socket.socket
    writable: bool = field(kw_only=True)
    uid: int | None = field(kw_only=True)
    limits: child.Limits = field(kw_only=True)
    _thread: threading.Thread = field(init=False)
    _is_up: threading.Event = field(default_factory=threading.Event)
    _is_over: threading.Event = field(default_factory=threading.Event)
    _ended: child.Ended | None = None

    def start(self) -> None:
        """Return once the socket is handed over. It may end at any moment."""
        self._thread = threading.Thread(target=self._work, name="qemu-nbd", daemon=True)
        self._thread.start()
        self._is_up.wait()

    def end(self, *, wait_s: float) -> child.Ended | None:
        """How it ended by itself within ``wait_s``; None: it was ended, or never ran."""
        self._thread.join(wait_s)
        self._is_over.set()
        self._thread.join()
        return self._ended

    def _work(self) -> None:
        try:
            self._ended = child.run(
                ["sh", "-c", _LISTEN, "sh", *self._command()],
                uid=self.uid,
                limits=self.limits,
                files=self.disk.files,
                stdin=self.listener.fileno(),
                on_start=self._is_up.set,
                on_output=_ignore,
                on_tick=self._tick,
            )
        except _Enough:
            pass
        except OSError as error:
            logger.warning("serving.not_started", extra={"error": repr(error)})
        finally:
            self._is_up.set()

    def _command(self) -> list[str]:
        how = [] if self.writable else ["--read-only"]
        return ["qemu-nbd", *how, *self.disk.at, self.disk.name]

    def _tick(self) -> None:
        if self._is_over.is_set():
            raise _Enough


def _ignore(said: bytes) -> None:
    """What it prints when all is well is of no interest."""

"""QEMU processes: started so that they outlive us, and never mistaken for another."""

import contextlib
import fcntl
import functools
import os
import select
import signal
import subprocess
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from cloud.diskfiles.child import ENVIRONMENT as ENVIRONMENT

POLL_MS = 5
FIND_S = 2.0


@dataclass(frozen=True, slots=True)
class Process:
    """A process that cannot be confused: pid, kernel start time and the host's boot."""

    pid: int
    start_ticks: int
    boot_id: str


class _Detached(subprocess.Popen[bytes]):
    """A child nobody waits for: it is meant to live on when we go."""

    def __del__(self) -> None:
        """Say nothing: ``is_alive`` reaps it if it dies before us."""


@functools.cache
def boot_id() -> str:
    """A name of this boot of the host, which no process sees change."""
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def start(
    argv: Sequence[str],
    *,
    cwd: Path,
    output: Path,
    life: Path,
    niceness: int,
    pass_fds: Iterable[int] = (),
) -> Process:
    """Start ``argv`` in a session of its own, in ``cwd``, with its words in ``output``.

    It inherits a lock on ``life`` and so holds it until it has ended; and ``pass_fds``.

    Raises:
        BlockingIOError: an earlier one holds it still.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC
    fd = os.open(output, flags, 0o600)
    held = os.open(life, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        child = _Detached(
            argv,
            cwd=cwd,
            env=ENVIRONMENT,
            stdin=subprocess.DEVNULL,
            stdout=fd,
            stderr=fd,
            start_new_session=True,
            umask=0o077,
            pass_fds=(held, *pass_fds),
        )
    finally:
        os.close(fd)
        os.close(held)
    _be_nice_as_a_session(child.pid, niceness)
    about = _stat(child.pid)
    return Process(child.pid, about[1] if about else 0, boot_id())


def _be_nice_as_a_session(pid: int, niceness: int) -> None:
    """Where the kernel groups tasks by session, only the group's niceness counts: sched(7).

    A whole share gets as much as any other session; the portal is one of them.
    """
    with contextlib.suppress(OSError):
        Path("/proc", str(pid), "autogroup").write_text(str(niceness), encoding="ascii")


def is_alive(process: Process) -> bool:
    """Whether it still runs. A zombie does not: PID 1 may reap late or never."""
    if not process.pid or process.boot_id != boot_id():
        return False
    with contextlib.suppress(ChildProcessError):
        os.waitpid(process.pid, os.WNOHANG)
    about = _stat(process.pid)
    return about is not None and about[1] == process.start_ticks and _is_running(process.pid, about)


def _is_running(pid: int, about: tuple[str, int]) -> bool:
    """A zombie has ended only when its last thread has: until then its ports are open."""
    if about[0] not in "ZX":
        return True
    try:
        fd = os.pidfd_open(pid)
    except OSError:
        return False
    try:
        return not has_exited(fd, wait_s=0)
    finally:
        os.close(fd)


def open_pidfd(process: Process) -> int | None:
    """A descriptor that becomes readable when it exits; None if it has."""
    try:
        fd = os.pidfd_open(process.pid)
    except OSError:
        return None
    if is_alive(process):
        return fd
    os.close(fd)
    return None


def has_exited(fd: int, *, wait_s: float) -> bool:
    """Whether the process of a pidfd has exited, waiting for it up to ``wait_s``."""
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    return bool(poll.poll(wait_s * 1000))


def kill(process: Process, *, wait_s: float) -> bool:
    """Kill it, and only it. True when it is gone."""
    fd = open_pidfd(process)
    if fd is None:
        return True
    try:
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(fd, signal.SIGKILL)
        gone = has_exited(fd, wait_s=wait_s)
    finally:
        os.close(fd)
    return not is_alive(process) or gone  # asking reaps it, if it is our child


def find(token: str, *, life: Path) -> list[Process]:
    """The QEMU processes of machine ``token``, by their command lines.

    For what a killed starter left behind: it had no time to write the pid down. A process
    that is just becoming QEMU has no command line for a moment, but holds ``life``.
    """
    deadline = time.monotonic() + FIND_S
    while True:
        found = _find(token)
        if found or not is_held(life) or time.monotonic() > deadline:
            return found
        select.poll().poll(POLL_MS)


def is_held(life: Path) -> bool:
    """Whether a process that was started with this lock still lives."""
    try:
        fd = os.open(life, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False


def has_let_go(life: Path, *, wait_s: float) -> bool:
    """Whether nobody holds ``life``, waiting for it up to ``wait_s``."""
    deadline = time.monotonic() + wait_s
    while is_held(life):
        if time.monotonic() > deadline:
            return False
        select.poll().poll(POLL_MS)
    return True


def _find(token: str) -> list[Process]:
    mark = f"\0-uuid\0{token}\0".encode()
    found = []
    for name in os.listdir("/proc"):
        if not name.isdecimal():
            continue
        with contextlib.suppress(OSError):
            if mark in Path("/proc", name, "cmdline").read_bytes():
                about = _stat(int(name))
                if about and _is_running(int(name), about):
                    found.append(Process(int(name), about[1], boot_id()))
    return found


def _stat(pid: int) -> tuple[str, int] | None:
    """State letter and start time (clock ticks since boot): proc(5)."""
    try:
        text = Path("/proc", str(pid), "stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()
    return fields[0], int(fields[19])

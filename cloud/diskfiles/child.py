"""A child process over bytes that we do not trust: limits, next to no rights, no secrets.

It dies with the thread that started it, and whatever it could reach it was given: files
come as descriptors, so that no directory needs to be open to its user. ``jail`` hides the rest.
"""

import contextlib
import os
import secrets
import selectors
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from cloud.diskfiles import jail

ENVIRONMENT = jail.ENVIRONMENT
#: Users of children: each has one that no other child has, beside those of machines, and above
#: every range that systemd or shadow hand out.
FIRST_UID = 1_910_000_000
UIDS = 10_000_000
LOOK_EVERY_S = 0.25
#: Says a qemu-img that met its limit of addresses, or whose host has no thread left for it.
OUT_OF_THREADS = "qemu_thread_create: Resource temporarily unavailable"
#: Of what it prints to its error output, the end is kept, for the log.
KEPT_WORDS = 2000
#: A killed one may be in the middle of a write; it is waited for.
_DEATH_S = 10
_READ = 64 << 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What the kernel allows a child: prlimit(1). Nothing it does leaves a core."""

    cpu_s: int = 10
    file_bytes: int = 1 << 20  # the largest that a file it writes may become
    memory_bytes: int = 1 << 30  # of addresses
    stack_bytes: int = 2 << 20  # of each thread: qemu-img may have 64
    files: int = 64
    threads: int = 100  # qemu-img has up to 64 beside its own

    def argv(self, uid: int | None) -> list[str]:
        """``uid`` None: our own user, whose other threads would count as well."""
        threads = [] if uid is None else [f"--nproc={self.threads}"]
        return [
            "prlimit",
            f"--as={self.memory_bytes}",
            f"--stack={self.stack_bytes}",
            f"--cpu={self.cpu_s}",
            f"--nofile={self.files}",
            f"--fsize={self.file_bytes}",
            "--core=0",
            *threads,
            "--",
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How it ended. ``code`` is negative for a signal; ``words`` is for the log."""

    code: int
    words: str


def new_uid() -> int | None:
    """A user for one child alone; None when we are not root: it is ourselves, with less."""
    return FIRST_UID + secrets.randbelow(UIDS) if os.geteuid() == 0 else None


def argv(command: Sequence[str], *, uid: int | None, limits: Limits) -> list[str]:
    """``command`` with limits and without rights, for one that needs to see files by name."""
    return jail.beside(command, uid=uid, limits=limits.argv(uid))


def run(
    command: Sequence[str],
    *,
    uid: int | None,
    limits: Limits,
    files: Sequence[int] = (),
    stdin: int = subprocess.DEVNULL,
    on_start: Callable[[], None] | None = None,
    on_output: Callable[[bytes], None],
    on_tick: Callable[[], None],
) -> Ended:
    """Run it to its end, telling what it prints. Whatever is raised meanwhile kills it.

    ``on_start`` is called once it has its own ``stdin`` and ``files``, ``on_tick`` every
    ``LOOK_EVERY_S`` seconds.

    Raises:
        ChildProcessError: the host could not start it.
    """
    child = subprocess.Popen(
        jail.around(command, uid=uid, limits=limits.argv(uid)),
        cwd="/",
        env=ENVIRONMENT,
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        pass_fds=tuple(files),
        umask=0o077,
    )
    with _killed_at_the_end(child):
        if on_start is not None:
            on_start()
        words = _listen(child, on_output, on_tick).decode(errors="replace")
        return Ended(code=jail.ended_with(child.wait(), words), words=words)


@contextlib.contextmanager
def _killed_at_the_end(child: "subprocess.Popen[bytes]") -> Iterator[None]:
    with child:
        is_over = False
        try:
            yield
            is_over = True
        finally:
            child.kill()
            if not is_over:
                _wait_for_all(child)


def _wait_for_all(child: "subprocess.Popen[bytes]") -> None:
    """Until nobody of the jail holds its end of the pipe: only then nobody writes any more."""
    until = time.monotonic() + _DEATH_S
    with selectors.DefaultSelector() as one:
        if child.stderr is not None:
            one.register(child.stderr, selectors.EVENT_READ)
            while time.monotonic() < until and one.select(_DEATH_S):
                if not os.read(child.stderr.fileno(), _READ):
                    return


def _listen(
    child: "subprocess.Popen[bytes]",
    on_output: Callable[[bytes], None],
    on_tick: Callable[[], None],
) -> bytes:
    words = b""
    told_at = time.monotonic()
    with selectors.DefaultSelector() as both:
        for pipe in (child.stdout, child.stderr):
            if pipe is not None:
                both.register(pipe, selectors.EVENT_READ)
        while both.get_map():
            for key, _ in both.select(LOOK_EVERY_S):
                heard = os.read(key.fd, _READ)
                if not heard:
                    both.unregister(key.fileobj)
                elif key.fileobj is child.stdout:
                    on_output(heard)
                else:
                    words = (words + heard)[-KEPT_WORDS:]
            if time.monotonic() - told_at >= LOOK_EVERY_S:
                told_at = time.monotonic()
                on_tick()
    return words


def path_of(fd: int) -> str:
    """A passed descriptor as a file name: no directory on the way is looked at."""
    return str(Path("/proc/self/fd") / str(fd))

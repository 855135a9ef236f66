"""A child process over bytes that we do not trust: limits, next to no rights, no secrets.

It dies with the thread that started it, and whatever it could reach it was given: files
come as descriptors, so that no directory needs to be open to its user.
"""

import contextlib
import os
import selectors
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

#: What every program is given: the portal's own environment holds secrets.
ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "LANG": "C",
}
NOBODY = 65534
LOOK_EVERY_S = 0.25
#: Of what it prints to its error output, the end is kept, for the log.
KEPT_WORDS = 2000
_READ = 64 << 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What the kernel allows a child: prlimit(1). Nothing it does leaves a core."""

    cpu_s: int = 10
    file_bytes: int = 1 << 20  # the largest that a file it writes may become
    memory_bytes: int = 1 << 30  # of addresses
    files: int = 64

    def argv(self) -> list[str]:
        return [
            "prlimit",
            f"--as={self.memory_bytes}",
            f"--cpu={self.cpu_s}",
            f"--nofile={self.files}",
            f"--fsize={self.file_bytes}",
            "--core=0",
            "--",
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How it ended. ``code`` is negative for a signal; ``words`` is for the log."""

    code: int
    words: str


def unprivileged(uid: int | None = None) -> int | None:
    """The user that a child gets: ``uid``, else nobody; None when we are nobody ourselves."""
    if os.geteuid() != 0:
        return None
    return NOBODY if uid is None else uid


def argv(command: Sequence[str], *, uid: int | None, limits: Limits) -> list[str]:
    """``command`` in its jail. ``uid`` None: as ourselves, and never more than that."""
    user = [] if uid is None else [f"--reuid={uid}", f"--regid={uid}", "--clear-groups"]
    jail = ["setpriv", *user, "--no-new-privs", "--pdeathsig=KILL", "--"]
    return [*limits.argv(), *jail, *command]


def run(
    command: Sequence[str],
    *,
    uid: int | None,
    limits: Limits,
    files: Sequence[int] = (),
    on_output: Callable[[bytes], None],
    on_tick: Callable[[], None],
) -> Ended:
    """Run it to its end, telling what it prints. Whatever is raised meanwhile kills it.

    ``on_tick`` is called every ``LOOK_EVERY_S`` seconds.
    """
    child = subprocess.Popen(
        argv(command, uid=uid, limits=limits),
        cwd="/",
        env=ENVIRONMENT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        pass_fds=tuple(files),
        umask=0o077,
    )
    with _killed_at_the_end(child):
        words = _listen(child, on_output, on_tick)
        return Ended(code=child.wait(), words=words.decode(errors="replace"))


@contextlib.contextmanager
def _killed_at_the_end(child: "subprocess.Popen[bytes]") -> Iterator[None]:
    with child:
        try:
            yield
        finally:
            child.kill()


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

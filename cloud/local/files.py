"""Files that survive a kill between any two lines: atomic writes and locks with deadlines."""

import contextlib
import fcntl
import os
import re
import select
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from cloud.errors import CloudBusy

#: How often a lock that somebody else holds is tried again.
RETRY_MS = 10

_PARTIAL = re.compile(r"\..+\.(\d+)\.\d+")  # .<name>.<pid of the writer>.<ns>


def write(path: Path, data: bytes, *, mode: int = 0o600, durable: bool = True) -> None:
    """Replace ``path`` by ``data`` at once: a reader sees the old bytes or the new ones.

    What is not ``durable`` can be lost with the host's power: for what can be found again.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.{time.monotonic_ns()}")
    try:
        fd = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with open(fd, "wb") as file:
            file.write(data)
            file.flush()
            if durable:
                os.fsync(file.fileno())
        partial.replace(path)
    except OSError:
        partial.unlink(missing_ok=True)
        raise


def sweep(folder: Path) -> None:
    """Remove what killed writers left half written in ``folder``."""
    with contextlib.suppress(FileNotFoundError):
        for name in os.listdir(folder):
            partial = _PARTIAL.fullmatch(name)
            if partial and not Path("/proc", partial[1]).exists():
                (folder / name).unlink(missing_ok=True)


@contextlib.contextmanager
def locked(path: Path, *, wait_s: float, busy: str) -> Iterator[None]:
    """Hold the lock named by ``path``, which every process of the site respects.

    A killed holder lets go by itself. The file may be removed by whoever holds it.

    Raises:
        CloudBusy: somebody else held it for ``wait_s``; the sentence is ``busy``.
    """
    deadline = time.monotonic() + wait_s
    while (fd := _try(path)) is None:
        if time.monotonic() >= deadline:
            raise CloudBusy(busy, detail=f"lock {path}")
        select.poll().poll(RETRY_MS)
    try:
        yield
    finally:
        os.close(fd)


def _try(path: Path) -> int | None:
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.stat(path).st_ino == os.fstat(fd).st_ino:
            return fd
    except (BlockingIOError, FileNotFoundError):
        pass
    os.close(fd)
    return None


def names(folder: Path) -> list[str]:
    """What is in ``folder``, without what is half made (dot names); empty if there is none."""
    try:
        return sorted(name for name in os.listdir(folder) if not name.startswith("."))
    except FileNotFoundError:
        return []


def tail(path: Path, max_bytes: int) -> bytes:
    """The last bytes of a regular file that an untrusted process may have replaced."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return b""
    with open(fd, "rb") as file:
        about = os.fstat(fd)
        if about.st_nlink > 1 or about.st_mode & 0o170000 != 0o100000:
            return b""
        file.seek(max(0, about.st_size - max_bytes))
        return file.read(max_bytes)


def remove(folder: Path, trash: Path) -> None:
    """Remove a directory: gone by name at once, then gone from disk."""
    with contextlib.suppress(FileNotFoundError):
        folder.rename(trash)
    shutil.rmtree(trash, ignore_errors=True)

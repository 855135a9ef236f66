"""Who reads a volume for long: nobody writes to it meanwhile, or removes what is read.

A mark is a lock on a file of the volume, shared by all readers: one that is killed lets go.
``reading`` is for what the disk holds now, ``looking`` for one of its snapshots, which stays
as it is whatever a machine writes.
"""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from cloud.errors import CloudBusy
from cloud.local.site import Site

NOW = "reading"
THEN = "looking"
BEING_READ = "This disk is being copied or downloaded now. Wait for it."


@contextlib.contextmanager
def marked(site: Site, token: str, mark: str) -> Iterator[None]:
    """Read until the end. Call it with the volume's lock held, which may be let go of then."""
    path = site.volumes / token / mark
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_SH)
        yield
    finally:
        os.close(fd)


def refuse_if_read(site: Site, token: str, *marks: str) -> None:
    """Call it with the volume's lock held.

    Raises:
        CloudBusy: somebody reads it.
    """
    for mark in marks:
        if _is_held(site.volumes / token / mark):
            raise CloudBusy(BEING_READ)


def _is_held(path: Path) -> bool:
    try:
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False

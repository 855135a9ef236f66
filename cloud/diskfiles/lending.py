"""A file of ours, readable to a child of another user for as long as children read it.

The file's folder keeps everybody else out; but a child that opens the descriptor it was handed
needs the file's own bit. Several may read at a time: each holds a shared lock on a byte that no
file reaches, and whoever finds itself the last takes the bit back. QEMU locks other bytes, the
portal whole files (flock), so this stands in nobody's way. Source: fcntl(2), "Open file
description locks".
"""

import contextlib
import fcntl
import os
import stat
import struct
from collections.abc import Iterator

#: What a file of ours is, and what it is while it is lent: left so by a kill, the next ends it.
OURS = 0o600
LENT = 0o604
_BYTE = 1 << 62


@contextlib.contextmanager
def lent(fd: int, uid: int | None) -> Iterator[None]:
    """Let ``uid`` open the file behind ``fd`` to read. None: it may, it is ourselves."""
    if uid is None or os.fstat(fd).st_uid == uid:
        yield
        return
    marker = os.open(f"/proc/self/fd/{fd}", os.O_RDWR | os.O_CLOEXEC)
    try:
        _lock(marker, fcntl.F_OFD_SETLKW, fcntl.F_RDLCK)
        is_ours = not _mode(marker) & stat.S_IROTH
        if is_ours:
            os.fchmod(marker, _mode(marker) | stat.S_IROTH)
        try:
            yield
        finally:
            _take_back(marker, is_ours)
    finally:
        os.close(marker)


def _take_back(marker: int, is_ours: bool) -> None:
    _lock(marker, fcntl.F_OFD_SETLK, fcntl.F_UNLCK)
    with contextlib.suppress(BlockingIOError, PermissionError):  # others read it still
        _lock(marker, fcntl.F_OFD_SETLK, fcntl.F_WRLCK)
        if is_ours or _mode(marker) == LENT:
            os.fchmod(marker, _mode(marker) & ~stat.S_IROTH)


def _mode(fd: int) -> int:
    return stat.S_IMODE(os.fstat(fd).st_mode)


def _lock(fd: int, how: int, kind: int) -> None:
    fcntl.fcntl(fd, how, struct.pack("@hhqqi4x", kind, os.SEEK_SET, _BYTE, 1, 0))

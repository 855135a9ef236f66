"""Who is at the other end of a Unix socket: the kernel's word, not the path's.

A machine's sockets are in a directory that its own process may write, so what stands
there may be a link to somebody else's.
"""

import socket
import struct
from typing import Protocol

_UCRED = struct.Struct("iII")  # pid, uid, gid: unix(7)


class Connected(Protocol):
    """A connected socket, or what an event loop's transport shows of it."""

    def getsockopt(self, level: int, optname: int, buflen: int, /) -> bytes: ...


def must_be(uid: int, sock: Connected) -> None:
    """Refuse a connected socket that another user than ``uid`` listens on.

    Raises:
        PermissionError: somebody else does.
    """
    _, found, _ = _UCRED.unpack(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size))
    if found != uid:
        raise PermissionError(f"user {found} listens there, not user {uid}")

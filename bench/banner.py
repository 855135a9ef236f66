"""When a machine's SSH says hello."""

import contextlib
import select
import socket
import time

EVERY_S = 0.05
#: An attempt that came before the guest listened is never answered; others follow it.
PATIENCE_S = 1.5
HELLO = b"SSH-"


def wait(port: int, *, within_s: float) -> float:
    """Knock every 50 ms until SSH answers; the moment (``time.time``) that it did.

    Raises:
        TimeoutError: it did not within ``within_s``.
    """
    deadline = time.monotonic() + within_s
    knocks: dict[int, tuple[float, socket.socket]] = {}
    poll = select.poll()
    try:
        while (now := time.monotonic()) < deadline:
            _give_up_old(knocks, poll, now)
            knock = socket.socket()
            knock.setblocking(False)
            knock.connect_ex(("127.0.0.1", port))
            knocks[knock.fileno()] = (now, knock)
            poll.register(knock, select.POLLIN)
            while (left_s := now + EVERY_S - time.monotonic()) > 0:
                for fd, _ in poll.poll(left_s * 1000):
                    if _hello(knocks[fd][1]):
                        return time.time()
                    _close(knocks, poll, fd)
        raise TimeoutError(f"No SSH on port {port} within {within_s} s.")
    finally:
        for _, knock in knocks.values():
            knock.close()


def _hello(knock: socket.socket) -> bool:
    with contextlib.suppress(OSError):
        return knock.recv(4) == HELLO
    return False


def _give_up_old(
    knocks: dict[int, tuple[float, socket.socket]], poll: select.poll, now: float
) -> None:
    for fd in [fd for fd, (began, _) in knocks.items() if now - began > PATIENCE_S]:
        _close(knocks, poll, fd)


def _close(knocks: dict[int, tuple[float, socket.socket]], poll: select.poll, fd: int) -> None:
    poll.unregister(fd)
    knocks.pop(fd)[1].close()

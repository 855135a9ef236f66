"""A line between browser and portal that can be slow, and can be cut."""

import contextlib
import socket
import threading
import time

PIECE = 64 * 1024


class Relay:
    """Passes TCP on to ``port``; what goes there, at ``bytes_per_s`` for each connection."""

    def __init__(self, port: int, *, bytes_per_s: int = 1 << 40) -> None:
        self.bytes_per_s = bytes_per_s
        self.is_open = True  # False: whoever comes is sent away
        self._target = port
        self._open: set[socket.socket] = set()
        self._door = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._door.getsockname()[1]}"
        threading.Thread(target=self._take, daemon=True).start()

    def _take(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                here, _ = self._door.accept()
                if not self.is_open:
                    here.close()
                    continue
                try:
                    there = socket.create_connection(("127.0.0.1", self._target), 5)
                except OSError:  # the portal is being started again
                    here.close()
                    continue
                self._open |= {here, there}
                for pair in ((here, there, True), (there, here, False)):
                    threading.Thread(target=self._pass, args=pair, daemon=True).start()

    def _pass(self, source: socket.socket, sink: socket.socket, is_slow: bool) -> None:
        begun, passed = time.monotonic(), 0
        with contextlib.suppress(OSError):
            while piece := source.recv(PIECE):
                sink.sendall(piece)
                passed += len(piece)
                ahead_s = passed / self.bytes_per_s - (time.monotonic() - begun)
                if is_slow and ahead_s > 0:
                    threading.Event().wait(ahead_s)
        for end in (source, sink):
            self._end(end)

    def _end(self, end: socket.socket) -> None:
        self._open.discard(end)
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
        end.close()

    def cut(self) -> int:
        """End every connection of this moment; how many."""
        ends = list(self._open)
        for end in ends:
            self._end(end)
        return len(ends) // 2

    def close(self) -> None:
        self._door.close()
        self.cut()

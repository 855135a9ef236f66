"""A file on the web, read as it passes: nothing of it is kept but what is about to be read.

The fetcher pushes and whoever unpacks pulls, so the fetcher has a thread of its own; it touches
no database. A transfer that breaks goes on where it ended, if the file is still the same.
"""

import queue
import threading
from typing import Self

from django.conf import settings

from core import fetch

#: Pieces that wait to be read: what is kept of the file in memory.
_AHEAD = 16
#: Tries that bring nothing before the transfer is given up, and the pause between them.
MOST_TRIES = 5
PAUSE_S = 1.0


class _Enough(Exception):
    """Whoever reads wants no more."""


class Passing:
    """``with Passing(url, most_bytes=n) as file: file.read(size)``, from beginning to end.

    ``done`` of ``total`` bytes have come; ``total`` is 0 as long as the server has not said.
    """

    def __init__(self, url: str, *, most_bytes: int) -> None:
        self._url = url
        self._most_bytes = most_bytes
        self._pieces: queue.Queue[bytes | None] = queue.Queue(_AHEAD)
        self._rest = b""
        self._has_ended = False
        self._error: BaseException | None = None
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="passing", daemon=True)
        self.done = 0
        self.total = 0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        while self._thread.is_alive():  # it may wait for room
            while not self._pieces.empty():
                self._pieces.get_nowait()
            self._thread.join(0.05)

    def read(self, size: int, /) -> bytes:
        """Raises: fetch.Unfetchable: no more of it comes, and it has not ended."""
        if not self._rest:
            self._rest = self._next()
        piece, self._rest = self._rest[:size], self._rest[size:]
        return piece

    def look_ahead(self, count: int) -> bytes:
        """Up to its next ``count`` bytes, which stay to be read. Raises: as ``read``."""
        while len(self._rest) < count and (more := self._next()):
            self._rest += more
        return self._rest[:count]

    def _next(self) -> bytes:
        piece = None if self._has_ended else self._pieces.get()
        if piece is not None:
            return piece
        self._has_ended = True
        if self._error is not None:
            raise self._error
        return b""

    # In the thread ------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            self._fetch_all()
        except _Enough:
            return
        except fetch.Unfetchable as error:
            self._error = error
        self._put(None)

    def _fetch_all(self) -> None:
        tries, validator = 0, ""
        while True:
            before = self.done
            try:
                head = self._fetch(validator)
            except _Again as again:
                validator = again.validator
                tries = 0 if self.done > before else tries + 1
                if tries >= MOST_TRIES or (self.done and not validator):
                    raise again.error from None
                self._is_over.wait(PAUSE_S)
                continue
            self.total = head.length or self.done
            return

    def _fetch(self, validator: str) -> fetch.Head:
        known = validator

        def on_head(head: fetch.Head) -> None:
            nonlocal known
            if head.offset != self.done:
                raise fetch.Unfetchable(
                    "The file has changed, or the server starts anew, while it was being read."
                )
            known, self.total = head.validator, head.length or 0

        try:
            return fetch.fetch(
                self._url,
                self._take,
                offset=self.done,
                validator=validator,
                most_bytes=self._most_bytes,
                allowed=fetch.networks(settings.PORTAL_FETCH_NETWORKS),
                ports=settings.PORTAL_FETCH_PORTS,
                on_head=on_head,
            )
        except fetch.Unfetchable as error:
            if error.is_passing:
                raise _Again(error, known) from error
            raise

    def _take(self, _offset: int, piece: bytes) -> None:
        self._put(piece)
        self.done += len(piece)

    def _put(self, piece: bytes | None) -> None:
        while not self._is_over.is_set():
            try:
                self._pieces.put(piece, timeout=0.2)
            except queue.Full:
                continue
            return
        raise _Enough


class _Again(Exception):
    def __init__(self, error: fetch.Unfetchable, validator: str) -> None:
        super().__init__(str(error))
        self.error = error
        self.validator = validator

"""Several checksums in one pass, each in a thread of its own: hashing lets go of Python's lock.

A pass costs about what the slowest of them does, if there are cores for them.
"""

import hashlib
import queue
import threading
from collections.abc import Iterable, Mapping
from typing import Self

#: In hexadecimal digits.
LENGTHS: Mapping[str, int] = {"sha1": 40, "sha256": 64, "sha512": 128}
#: Of all that endorsers state: MD5 is found only where it is asked for.
STATED: Mapping[str, int] = {"md5": 32, **LENGTHS}
#: Pieces that a slower one may lie behind: what is kept of the file in memory.
_BEHIND = 4
#: As people write them.
LABELS: Mapping[str, str] = {
    "md5": "MD5",
    "sha1": "SHA-1",
    "sha256": "SHA-256",
    "sha512": "SHA-512",
}


def difference(stated: Mapping[str, str], found: Mapping[str, str]) -> str:
    """The first checksum that is not as stated, with both values; "": all are.

    In hexadecimal, by the names of ``hashlib``; every one that is stated must have been found.
    """
    for name in ("sha256", "sha512", "sha1", "md5"):
        wanted = stated.get(name, "").lower()
        if wanted and wanted != found[name]:
            return f"{LABELS[name]} expected {wanted}, got {found[name]}"
    return ""


class Digests:
    """``with Digests() as digests: digests.update(piece) ... ; found = digests.found()``."""

    def __init__(self, names: Iterable[str] = LENGTHS) -> None:
        """``names`` as ``hashlib`` has them."""
        self._lanes = [_Lane(name) for name in names]

    def __enter__(self) -> Self:
        for lane in self._lanes:
            lane.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        for lane in self._lanes:
            lane.end()

    def update(self, piece: bytes | bytearray) -> None:
        """Waits while the slowest lies too far behind. ``piece`` must not change any more."""
        for lane in self._lanes:
            lane.pieces.put(piece)

    def found(self) -> dict[str, str]:
        """Hexadecimal, by the names of ``hashlib``. Nothing can be added any more."""
        for lane in self._lanes:
            lane.end()
        return {lane.name: lane.digest.hexdigest() for lane in self._lanes}


class _Lane:
    def __init__(self, name: str) -> None:
        self.name = name
        # Known answers are compared with what others publish; SHA-1 names images.
        self.digest = hashlib.new(name, usedforsecurity=False)
        self.pieces: queue.Queue[bytes | bytearray | None] = queue.Queue(_BEHIND)
        self.thread = threading.Thread(target=self._work, name=f"digest-{name}", daemon=True)

    def _work(self) -> None:
        while (piece := self.pieces.get()) is not None:
            self.digest.update(piece)

    def end(self) -> None:
        if self.thread.is_alive():
            self.pieces.put(None)
        self.thread.join()

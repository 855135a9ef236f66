"""Checksums of a raw disk that lies in a file."""

from collections.abc import Callable
from pathlib import Path

from cloud.diskfiles import packing
from cloud.diskfiles.digests import Digests


def sums_of_file(path: Path, tell: Callable[[int, int], None]) -> dict[str, str]:
    """SHA-1, SHA-256 and SHA-512, hexadecimal, by the names of the columns."""
    size, done = path.stat().st_size, 0
    with path.open("rb") as file, Digests() as digests:
        for piece in packing.pieces(file):
            digests.update(piece)
            done += len(piece)
            tell(done, size)
        return digests.found()

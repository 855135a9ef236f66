"""A file tree in memory, from which initial RAM disks and file systems are written.

Everything belongs to root and has the same time stamp unless it is said otherwise, so no
right of the builder and no clock leaks into an image.
"""

import dataclasses
import stat
import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

from cloud.images.tools import EPOCH_S


@dataclass(frozen=True, slots=True)
class Node:
    """One name: ``mode`` as in stat(2); ``data`` is a file's bytes or a link's target."""

    mode: int
    data: bytes = b""
    device: tuple[int, int] = (0, 0)
    uid: int = 0
    gid: int = 0
    modified_s: int = EPOCH_S


class Tree:
    """Paths without a leading slash, each with its node; parents come by themselves."""

    def __init__(self) -> None:
        self._nodes: dict[str, Node] = {}

    def __contains__(self, path: str) -> bool:
        return path in self._nodes

    def __getitem__(self, path: str) -> Node:
        return self._nodes[path]

    def items(self) -> Iterator[tuple[str, Node]]:
        """Every path and node, parents before children, always in the same order."""
        return iter(sorted(self._nodes.items(), key=lambda item: PurePosixPath(item[0]).parts))

    def directories(self, paths: Iterable[str], *, mode: int = 0o755) -> None:
        for path in paths:
            self._add(path, Node(stat.S_IFDIR | mode))

    def file(self, path: str, data: bytes, *, mode: int = 0o644) -> None:
        self._add(path, Node(stat.S_IFREG | mode, data))

    def link(self, path: str, target: str) -> None:
        self._add(path, Node(stat.S_IFLNK | 0o777, target.encode()))

    def character_device(self, path: str, device: tuple[int, int]) -> None:
        self._add(path, Node(stat.S_IFCHR | 0o600, device=device))

    def replace_data(self, path: str, data: bytes) -> None:
        """Change what a file has, and nothing else of it."""
        self._nodes[path] = dataclasses.replace(self._nodes[path], data=data)

    def remove(self, path: str) -> None:
        """Forget a path and everything below it; quiet if there is none."""
        below = f"{path}/"
        for name in [n for n in self._nodes if n == path or n.startswith(below)]:
            del self._nodes[name]

    def add_archive(self, archive: tarfile.TarFile) -> None:
        """Add all of a tar archive but its device nodes, with owners and time stamps.

        A hard link becomes a file of its own.
        """
        for member in archive:
            path = member.name.removeprefix("./").rstrip("/")
            if path in {"", "."} or member.isdev():
                continue
            kind, data = stat.S_IFREG, b""
            if member.isdir():
                kind = stat.S_IFDIR
            elif member.issym():
                kind, data = stat.S_IFLNK, member.linkname.encode()
            elif content := archive.extractfile(member):
                data = content.read()
            self._add(
                path,
                Node(
                    kind | stat.S_IMODE(member.mode),
                    data,
                    uid=member.uid,
                    gid=member.gid,
                    modified_s=int(member.mtime),
                ),
            )

    def _add(self, path: str, node: Node) -> None:
        for parent in reversed(PurePosixPath(path).parents):
            if str(parent) != ".":
                self._nodes.setdefault(str(parent), Node(stat.S_IFDIR | 0o755))
        self._nodes[path] = node

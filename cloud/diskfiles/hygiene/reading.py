"""The report: what of its maker is in a disk, as far as its file systems can be read."""

import os
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from cloud.diskfiles import child, lending
from cloud.diskfiles.hygiene.asking import Unreadable
from cloud.diskfiles.hygiene.ext import ROOT_INODE, Ext, Node
from cloud.diskfiles.hygiene.fat import Fat
from cloud.diskfiles.hygiene.findings import PLACES, Finding, Kind, kind_of, kind_on_boot
from cloud.diskfiles.hygiene.parts import WITHOUT_FILES, Part, parts_of

#: File systems that are read.
READ = frozenset({"ext", "FAT"})
#: A guest's tree may be endless: so much of it is looked at.
MOST_FOLDERS = 4000
MOST_FINDINGS = 500
#: A key has a few KiB; what is larger is not opened, and said to be one by its name.
LARGEST_KEY_BYTES = 64 << 10
MOST_KEYS = 200
#: Files of a FAT file system that are opened, one child each.
MOST_ON_BOOT = 200
#: Folders that one child is asked for.
_AT_ONCE = 200
_IS_KEY = re.compile(
    rb"-----BEGIN [A-Z ]*PRIVATE KEY-----|PuTTY-User-Key-File|\A\x30\x82|\A\x05\x02"
)
#: What mtools would take for a pattern.
_PATTERNS = frozenset("*?[]\\")
#: Names that can stand in a command of debugfs as they are.
_PLAIN = re.compile(r"[\w.@+:~/-]+", re.ASCII)

Tick = Callable[[], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Unread:
    """A part whose files nobody has looked at, and why, in words."""

    part: Part
    why: str


@dataclass(slots=True, kw_only=True)
class Report:
    """``is_cut``: there was more than is looked at."""

    parts: list[Part] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    unread: list[Unread] = field(default_factory=list)
    is_cut: bool = False

    @property
    def is_read(self) -> bool:
        """Whether there was a file system, and every one was read to its end."""
        has_files = any(part.kind in READ for part in self.parts)
        return has_files and not self.unread and not self.is_cut


def read(disk: Path, size_bytes: int, *, on_tick: Tick) -> Report:
    """Look into a raw disk. ``on_tick`` is called now and then, and may raise to end it.

    Raises:
        OSError: the file itself cannot be read. ChildProcessError: no child could be started.
    """
    report = Report()
    user = child.new_uid()
    with disk.open("rb") as file, lending.lent(file.fileno(), user):
        report.parts = parts_of(file, size_bytes)
        for part in report.parts:
            on_tick()
            if part.kind in WITHOUT_FILES:
                continue
            if part.kind not in READ:
                report.unread.append(Unread(part=part, why=_why_not(part)))
                continue
            _look_into(file.fileno(), part, report, user, on_tick)
    return report


def _why_not(part: Part) -> str:
    if not part.kind:
        return "It is no file system that the portal knows."
    if part.kind in ("LUKS", "LVM", "Linux RAID", "ZFS"):
        return f"It is {part.kind}: what is inside cannot be read from outside."
    return f"It is {part.kind}; the portal reads ext2, ext3, ext4 and FAT."


def _look_into(fd: int, part: Part, report: Report, user: int | None, on_tick: Tick) -> None:
    try:
        if part.kind == "FAT":
            fat = Fat(fd=fd, start_bytes=part.start_bytes, uid=user, on_tick=on_tick)
            found = list(_findings_on_boot(fat, part, report))
        else:
            ext = Ext(fd=fd, start_bytes=part.start_bytes, uid=user, on_tick=on_tick)
            found = list(_findings_of(ext, part, report))
    except Unreadable:
        report.unread.append(
            Unread(
                part=part, why="Its file system is damaged, or is newer than the portal's tools."
            )
        )
        return
    room = MOST_FINDINGS - len(report.findings)
    report.is_cut |= len(found) > room
    report.findings += found[:room]


def _findings_on_boot(system: Fat, part: Part, report: Report) -> Iterator[Finding]:
    """Private keys, and what a system is told where it starts: no other kind has a place there."""
    named = [(path, kind) for path in system.files() if (kind := kind_on_boot(path))]
    report.is_cut |= len(named) > MOST_ON_BOOT
    for path, kind in named[:MOST_ON_BOOT]:
        text = _text_of(system, path)
        if text is None or (_IS_KEY.search(text) if kind.is_key else text):
            yield Finding(
                kind=kind.name,
                part=part.number,
                path=_shown(path),
                size_bytes=len(text or b""),
                is_removable=False,
            )


def _text_of(system: Fat, path: str) -> bytes | None:
    """None: nobody can look into it, for its size or its name."""
    if not path.isprintable() or set(path) & _PATTERNS:
        return None
    try:
        return system.content(path)
    except Unreadable:
        return None


def _findings_of(system: Ext, part: Part, report: Report) -> Iterator[Finding]:
    found = list(_walk(system, report))
    keys = {node.inode for _, node, kind in found if kind.is_key and _is_small(node)}
    report.is_cut |= len(keys) > MOST_KEYS
    real = _private_keys(system, sorted(keys)[:MOST_KEYS])
    for path, node, kind in found:
        if kind.is_key and _is_small(node) and node.inode not in real:
            continue
        yield Finding(
            kind=kind.name,
            part=part.number,
            path=_shown(path),
            size_bytes=node.size_bytes,
            is_removable=bool(_PLAIN.fullmatch(path)),
        )


def _is_small(node: Node) -> bool:
    return node.size_bytes <= LARGEST_KEY_BYTES


def _shown(path: str) -> str:
    """A guest's name as text that a page and JSON can hold."""
    raw = os.fsencode(path) if path.isascii() else path.encode(errors="surrogateescape")
    text = "/" + raw.decode(errors="replace")
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)


def _walk(system: Ext, report: Report) -> Iterator[tuple[str, Node, Kind]]:
    """Everything of a kind, folder by folder, breadth first. Raises: Unreadable."""
    ahead = [("", ROOT_INODE)]
    seen = {ROOT_INODE}
    while ahead:
        if len(seen) > MOST_FOLDERS:
            report.is_cut = True
            return
        batch, ahead = ahead[:_AT_ONCE], ahead[_AT_ONCE:]
        answers = system.folders([inode for _, inode in batch])
        for (folder, _), nodes in zip(batch, answers, strict=True):
            for path, node in _named(folder, nodes):
                kind = kind_of(path)
                if kind and _is_one(kind, node):
                    yield path, node, kind
                elif node.is_folder and node.inode not in seen and _goes_on(path):
                    seen.add(node.inode)
                    ahead.append((path, node.inode))


def _named(folder: str, nodes: Iterable[Node]) -> Iterator[tuple[str, Node]]:
    for node in nodes:
        yield (f"{folder}/{node.name}" if folder else node.name), node


def _is_one(kind: Kind, node: Node) -> bool:
    """An empty file tells nothing; an empty machine id is how images should have it."""
    if kind.is_tree and node.is_folder:
        return True
    return node.is_file and node.size_bytes > 0


def _goes_on(path: str) -> bool:
    """Whether there may be something of a kind in this folder."""
    for place, depth in PLACES.items():
        if place == path or place.startswith(f"{path}/"):
            return True
        if path.startswith(f"{place}/") and path.removeprefix(place).count("/") < depth:
            return True
    return False


def _private_keys(system: Ext, inodes: list[int]) -> set[int]:
    if not inodes:
        return set()
    return {
        inode
        for inode, text in zip(inodes, system.contents(inodes), strict=True)
        if _IS_KEY.search(text)
    }

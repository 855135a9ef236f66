"""An ext2, ext3 or ext4 file system in a stretch of a file, read and changed by e2fsprogs.

debugfs(8) is told by inode numbers, never by names that a guest chose, but for those that are
harmless. It runs in a child that sees the file and its commands, and nothing else.
"""

import os
import re
import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import IO

from cloud.diskfiles import child
from cloud.diskfiles.hygiene.asking import Unreadable, ask

ROOT_INODE = 2
_LINE = re.compile(rb"/(\d{1,10})/(\d{6})/\d+/\d+/([^\n]*)/(\d*)/")
_PROMPT = b"debugfs: "
_BANNER = re.compile(r"debugfs \d|\s*$")
#: What a child may write that is told to write nothing.
_NOTES_BYTES = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One name in a folder."""

    inode: int
    mode: int
    name: str  # undecodable bytes as surrogates
    size_bytes: int

    @property
    def is_folder(self) -> bool:
        return stat.S_ISDIR(self.mode)

    @property
    def is_file(self) -> bool:
        return stat.S_ISREG(self.mode)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ext:
    """The file system at ``start_bytes`` of the open file ``fd``.

    ``uid``: whom children run as, who may open the file. ``on_tick`` may raise to end it all.
    """

    fd: int
    start_bytes: int
    uid: int | None
    on_tick: Callable[[], None]

    def folders(self, inodes: Sequence[int]) -> list[list[Node]]:
        """What is in each of these folders, in their order.

        Raises:
            Unreadable: this is no sound file system.
        """
        said = self.ask([f"ls -p <{inode}>" for inode in inodes])
        return [list(_nodes(text)) for text in said]

    def contents(self, inodes: Sequence[int]) -> list[bytes]:
        """The bytes of small files. Raises: Unreadable."""
        return self.ask([f"cat <{inode}>" for inode in inodes])

    def ask(self, commands: Sequence[str], *, writes: bool = False) -> list[bytes]:
        """What debugfs answers to each command.

        Raises:
            Unreadable: it could not open the file system, complained, or printed too much.
        """
        argv = ["debugfs", *(["-w"] if writes else [])]
        with script(commands) as told:
            printed, ended = ask(
                [*argv, "-f", child.path_of(told.fileno()), self._device()],
                [self.fd, told.fileno()],
                uid=self.uid,
                on_tick=self.on_tick,
                file_bytes=os.fstat(self.fd).st_size if writes else _NOTES_BYTES,
            )
        answers = _answers(printed, commands)
        complaints = [line for line in ended.words.splitlines() if not _BANNER.match(line)]
        if ended.code or complaints or len(answers) != len(commands):
            raise Unreadable(f"debugfs ended with {ended.code}: {ended.words[-300:]}")
        return answers

    def run(self, *argv: str, cpu_s: int = 600) -> int:
        """A tool of e2fsprogs on the file system, to write; its exit code."""
        _, ended = ask(
            [*argv, self._device()],
            [self.fd],
            uid=self.uid,
            on_tick=self.on_tick,
            file_bytes=os.fstat(self.fd).st_size,
            cpu_s=cpu_s,
        )
        return ended.code

    def _device(self) -> str:
        where = f"?offset={self.start_bytes}" if self.start_bytes else ""
        return f"{child.path_of(self.fd)}{where}"


def script(commands: Sequence[str]) -> IO[str]:
    """Commands in a file without a name, which a child of any user may open."""
    file = os.fdopen(os.memfd_create("commands"), "w+")
    os.fchmod(file.fileno(), 0o444)
    file.write("".join(f"{command}\n" for command in commands))
    file.flush()
    return file


def _answers(printed: bytes, commands: Sequence[str]) -> list[bytes]:
    """What stands between the prompts, which repeat the commands in their order."""
    answers: list[bytes] = []
    at = 0
    prompts = [_PROMPT + command.encode() + b"\n" for command in commands]
    places = []
    for prompt in prompts:
        found = printed.find(prompt, at)
        if found < 0:
            return []
        places.append(found)
        at = found + len(prompt)
    for number, place in enumerate(places):
        end = places[number + 1] if number + 1 < len(places) else len(printed)
        answers.append(printed[place + len(prompts[number]) : end])
    return answers


def _nodes(text: bytes) -> Iterator[Node]:
    for line in text.split(b"\n"):
        found = _LINE.fullmatch(line)
        if not found:
            continue
        inode, mode, name, size = found.groups()
        if name in (b".", b".."):
            continue
        yield Node(
            inode=int(inode),
            mode=int(mode, 8),
            name=name.decode(errors="surrogateescape"),
            size_bytes=int(size or 0),
        )

"""A FAT file system in a stretch of a file, read by mtools(1): where systems boot from."""

from collections.abc import Callable
from dataclasses import dataclass

from cloud.diskfiles import child
from cloud.diskfiles.hygiene.asking import Unreadable, ask


@dataclass(frozen=True, slots=True, kw_only=True)
class Fat:
    """The file system at ``start_bytes`` of the open file ``fd``; the rest as in ``Ext``."""

    fd: int
    start_bytes: int
    uid: int | None
    on_tick: Callable[[], None]

    def files(self) -> list[str]:
        """Every file, by its path without the first slash; undecodable bytes as surrogates.

        Raises:
            Unreadable: this is no sound file system, or its folders have no end.
        """
        told = self._ask("mdir", "-/", "-b", "-a", where="::")
        names = [line.removeprefix(b"::/") for line in told.splitlines() if line[:3] == b"::/"]
        return [name.decode(errors="surrogateescape") for name in names if name[-1:] != b"/"]

    def content(self, path: str) -> bytes:
        """The bytes of a file whose name has no wildcards. Raises: Unreadable: also a large one."""
        return self._ask("mtype", where=f"::/{path}")

    def _ask(self, *words: str, where: str) -> bytes:
        tool, *options = words
        image = f"{child.path_of(self.fd)}@@{self.start_bytes}"
        # Sizes that a table and a boot sector disagree about are no reason to look away.
        argv = ["env", "MTOOLS_SKIP_CHECK=1", tool, "-i", image, *options, where]
        printed, ended = ask(argv, [self.fd], uid=self.uid, on_tick=self.on_tick)
        if ended.code:
            raise Unreadable(f"{tool} ended with {ended.code}: {ended.words[-300:]}")
        return printed

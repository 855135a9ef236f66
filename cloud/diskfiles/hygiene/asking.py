"""A tool that reads a guest's file system, in a child, and what it prints."""

from collections.abc import Callable, Sequence

from cloud.diskfiles import child

#: What one child may print: folders and small files of a guest's making.
MOST_OUTPUT_BYTES = 16 << 20
MEMORY_BYTES = 2 << 30


class Unreadable(Exception):
    """The file system cannot be read: ``str(error)`` is for the log."""


def ask(
    argv: Sequence[str],
    files: Sequence[int],
    *,
    uid: int | None,
    on_tick: Callable[[], None],
    file_bytes: int = 1 << 20,
    cpu_s: int = 60,
) -> tuple[bytes, child.Ended]:
    """Run it to its end: what it printed, and how it ended.

    Raises: Unreadable: it printed too much.
    """
    heard = bytearray()

    def hear(data: bytes) -> None:
        heard.extend(data)
        if len(heard) > MOST_OUTPUT_BYTES:
            raise Unreadable("it prints too much")

    limits = child.Limits(cpu_s=cpu_s, memory_bytes=MEMORY_BYTES, file_bytes=file_bytes)
    ended = child.run(argv, uid=uid, limits=limits, files=files, on_output=hear, on_tick=on_tick)
    return bytes(heard), ended

"""What is not to be in an image: paths with ``*``, ``?`` and ``[…]``, removed in the guest."""

import re
from collections.abc import Iterator

LONGEST = 300
#: Of the kernel's making: nothing of them is on a disk.
_UNREAL = ("/dev", "/proc", "/sys")
#: Without these there is no system left.
_VITAL = frozenset(
    ("/", "/bin", "/boot", "/dev", "/etc", "/lib", "/lib32", "/lib64", "/proc", "/sbin", "/sys",
     "/usr", "/var")
)  # fmt: skip
_WILD = re.compile(r"[*?\[\]]")


def problem(path: str) -> str:
    """Why this cannot be removed, or ""."""
    shown = f"“{path[:60]}”"
    if not path.startswith("/") or not path.isprintable() or len(path) > LONGEST:
        return f"{shown} is no path: it begins with / and has {LONGEST} characters at most."
    parts = [part for part in path.split("/") if part]
    if ".." in parts or "." in parts:
        return f"{shown}: write the path without “.” and “..”."
    whole = f"/{'/'.join(parts)}"
    if _VITAL & {whole, whole.removesuffix("/*")} or _WILD.search(parts[0]):
        return f"{shown} would leave no system that starts. Name what is in it."
    if whole.startswith(tuple(f"{place}/" for place in _UNREAL)):
        return f"{shown} is not on the disk: the kernel makes it at each start."
    return ""


def words(path: str) -> Iterator[str]:
    """The path as words of a shell, everything quoted but the wild cards.

    ``/tmp/*`` means what is hidden there, too.
    """
    yield _word(path)
    if path.endswith("/*"):
        yield _word(path.removesuffix("*") + ".[!.]*")
        yield _word(path.removesuffix("*") + "..?*")


def _word(path: str) -> str:
    return "".join(char if char in "*?[]!" or _is_plain(char) else _quoted(char) for char in path)


def _is_plain(char: str) -> bool:
    return char.isascii() and (char.isalnum() or char in "/._-")


def _quoted(char: str) -> str:
    return '"\'"' if char == "'" else f"'{char}'"

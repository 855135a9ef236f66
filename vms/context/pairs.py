"""KEY=value lines, which OpenNebula's guests find in ``context.sh``."""

import re
from collections.abc import Iterable

from vms.context.parts import tidy

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
#: Said by the engine: nobody else can.
RESERVED = frozenset({"HOSTNAME", "INSTANCE_ID", "USER_DATA", "CONTEXT_DIR"})
_CARDS = re.compile(r"ETH\d+_(MAC|ADDRESS)")
#: A line of shell text that the guest's ``init.sh`` runs.
SCRIPT = "SCRIPT_EXEC"


class BadPair(ValueError):
    """A line that is no pair; ``str()`` is a sentence that names it."""


def read(text: str) -> tuple[tuple[str, str], ...]:
    """The pairs of a text, one a line; blank lines and those that begin with # are none.

    A value is kept as it is; it may hold further ``=``.

    Raises:
        BadPair: names the first line that is none.
    """
    found = []
    for number, line in enumerate(tidy(text).split("\n"), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        name, equals, value = line.partition("=")
        if not equals:
            raise BadPair(f"Line {number} has no “=”: “{line.strip()[:60]}”. Write KEY=value.")
        found.append((name.strip(), value))
    return tuple(found)


def write(pairs: Iterable[tuple[str, str]]) -> str:
    return "".join(f"{name}={value}\n" for name, value in pairs)


def obstacle(pairs: Iterable[tuple[str, str]]) -> str:
    """Why a guest cannot have these pairs, in a sentence, or ""."""
    seen: set[str] = set()
    for name, value in pairs:
        upper = name.upper()
        if not _NAME.fullmatch(name):
            return (
                f"“{name[:40]}” is not the name of a variable: letters, digits and underscores, "
                "not a digit first, 128 at most."
            )
        if upper in seen:
            return f"{upper} is set twice; small and capital letters are the same here."
        if upper in RESERVED or _CARDS.fullmatch(upper):
            return f"{upper} is said by the cloud itself. Choose another name."
        if upper == "CONTEXT_METHOD" or upper.startswith("CLOUD_INIT_"):
            return f"{upper} belongs to a cloud-init.txt: upload that file as one."
        if "\0" in value or (upper == SCRIPT and "\n" in value):
            return f"The value of {upper} is one line, without NUL."
        seen.add(upper)
    return ""

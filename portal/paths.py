"""Where the portal keeps its state. Standard library only: set-up uses it too."""

import hashlib
import os
from pathlib import Path

#: The longest path a Unix socket may have is 107 bytes (unix(7)).
LONGEST_SOCKET_PATH_BYTES = 100


def checkout() -> Path:
    return Path(__file__).resolve().parent.parent


def home() -> Path:
    """``PORTAL_HOME``: database, images, machines, logs, secrets; ``./var`` by default."""
    return Path(os.environ.get("PORTAL_HOME") or checkout() / "var").absolute()


def socket_path(name: str, *, under: Path) -> Path:
    """A path for a Unix socket in ``under/run``, or in a short private folder if too long."""
    wanted = under / "run" / name
    if len(os.fsencode(wanted)) <= LONGEST_SOCKET_PATH_BYTES:
        return wanted
    digest = hashlib.sha256(os.fsencode(under)).hexdigest()[:12]
    # Not XDG_RUNTIME_DIR: a shell has one and a service has none, and both must agree.
    return Path("/tmp") / f"portal-{os.getuid()}-{digest}" / name  # noqa: S108  (0700, owner checked)

"""The secret key: given, or made once and kept where only the portal can read it."""

import os
import secrets
from contextlib import suppress
from pathlib import Path


def secret_key(home: Path) -> str:
    """The key in ``home/secret-key``; two processes that start at once agree on one."""
    path = home / "secret-key"
    home.mkdir(mode=0o711, parents=True, exist_ok=True)
    if path.exists():
        return path.read_text().strip()
    with suppress(FileExistsError):
        draft = home / f".secret-key.{os.getpid()}"
        descriptor = os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_urlsafe(64))
        try:
            os.link(draft, path)  # atomic, and refuses to replace a key that is in use
        finally:
            draft.unlink()
    return path.read_text().strip()

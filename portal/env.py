"""Reading the environment, with a sentence for whoever wrote it wrong."""

import os
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured

TRUE = frozenset({"1", "true", "yes", "on"})
FALSE = frozenset({"", "0", "false", "no", "off"})


def text(name: str, default: str = "") -> str:
    return os.environ.get(name) or default


def number(name: str, default: int, *, most: int | None = None) -> int:
    value = text(name, str(default))
    try:
        found = int(value)
    except ValueError:
        raise ImproperlyConfigured(f"{name} is {value!r}; write a whole number.") from None
    if most is not None and not 0 < found <= most:
        raise ImproperlyConfigured(f"{name} is {found:,}; write a number from 1 to {most:,}.")
    return found


def flag(name: str, *, default: bool = False) -> bool:
    value = text(name, "1" if default else "0").lower()
    if value in TRUE:
        return True
    if value in FALSE:
        return False
    raise ImproperlyConfigured(f"{name} is {value!r}; write 1 or 0.")


def choice(name: str, *known: str) -> str:
    """One of ``known``; the first by default."""
    value = text(name, known[0])
    if value not in known:
        raise ImproperlyConfigured(f"{name} is {value!r}; write {' or '.join(known)}.")
    return value


def path(name: str, default: Path) -> Path:
    return Path(text(name) or default).absolute()


def words(name: str) -> list[str]:
    """A comma list; empty by default."""
    return [word.strip() for word in text(name).split(",") if word.strip()]


def numbers(name: str) -> list[int]:
    """A comma list of whole numbers; empty by default."""
    try:
        return [int(word) for word in words(name)]
    except ValueError:
        raise ImproperlyConfigured(f"{name} is {text(name)!r}; write 8080, 8443.") from None


def secret(name: str, default: str = "") -> str:
    """``NAME_FILE`` (a path, as systemd and Docker hand secrets out) or ``NAME``."""
    path = os.environ.get(f"{name}_FILE")
    if not path:
        return text(name, default)
    try:
        return Path(path).read_text().strip()
    except OSError as exc:
        raise ImproperlyConfigured(f"{name}_FILE: {exc}") from exc


def database(url: str) -> dict[str, Any]:
    """Django's settings for ``sqlite:///absolute/path`` or ``postgresql://user:pass@host/name``.

    A PostgreSQL on a Unix socket is ``postgresql:///name?host=/run/postgresql``.
    """
    parts = urlsplit(url)
    if parts.scheme == "sqlite":
        return sqlite("/" + parts.path.lstrip("/"))
    if parts.scheme in ("postgres", "postgresql"):
        options: dict[str, Any] = dict(parse_qsl(parts.query))
        return {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": parts.path.lstrip("/"),
            "USER": unquote(parts.username or ""),
            "PASSWORD": unquote(parts.password or ""),
            "HOST": options.pop("host", parts.hostname or ""),
            "PORT": str(parts.port or options.pop("port", "")),
            "OPTIONS": options,
        }
    raise ImproperlyConfigured(
        f"DATABASE_URL starts with {parts.scheme!r}; write sqlite:///file or postgresql://…"
    )


def sqlite(path: str) -> dict[str, Any]:
    """Django's settings for an SQLite file."""
    # IMMEDIATE: a transaction that will write takes the write lock at its start, so that
    # two of them queue instead of failing half-way. WAL: readers never wait.
    return {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": path,
        "OPTIONS": {
            "timeout": 20,
            "transaction_mode": "IMMEDIATE",
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
        },
        # Threads of a test need a file: an in-memory database is one shared connection.
        "TEST": {"NAME": f"{path}.test"},
    }

"""A home to start from: an administrator and the demo image, made once per their version."""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Mapping
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent
ADMIN_PASSWORD = "plain-otter-climbs-nine-hills"
CACHE = Path(tempfile.gettempdir()) / f"portal-test-seeds-{os.getuid()}"
#: What a seed is made of; everything else a portal makes for itself when it starts.
PARTS = ("portal.sqlite3", "images", "secret-key")  # which opens what the database has sealed


def plant(home: Path, env: Mapping[str, str]) -> None:
    """Fill a home that has no database yet. ``env`` names no other portal."""
    home.mkdir(parents=True, exist_ok=True)
    home.chmod(0o711)  # machines run as somebody else and must reach their files
    seed = _seed(env)
    for name in PARTS:
        copy = shutil.copytree if (seed / name).is_dir() else shutil.copy2
        copy(seed / name, home / name)


def _seed(env: Mapping[str, str]) -> Path:
    CACHE.mkdir(mode=0o700, exist_ok=True)
    if CACHE.stat().st_uid != os.getuid():
        raise RuntimeError(f"{CACHE} belongs to somebody else.")
    seed = CACHE / f"seed-{_version()}"
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not seed.exists():
            _make(seed, env)
    return seed


def _make(seed: Path, env: Mapping[str, str]) -> None:
    for old in CACHE.glob("seed-*"):
        shutil.rmtree(old, ignore_errors=True)
    with tempfile.TemporaryDirectory(dir=CACHE, prefix="making-") as name:
        home = Path(name) / "home"
        home.mkdir()
        (CACHE / "debs").mkdir(exist_ok=True)
        (home / "cache").symlink_to(CACHE / "debs")  # fetched packages outlive the version
        subprocess.run(
            [sys.executable, "deploy/run.py", "--state-only"],
            cwd=CHECKOUT,
            env={**env, "PORTAL_HOME": str(home), "PORTAL_ADMIN_PASSWORD": ADMIN_PASSWORD},
            stdin=subprocess.DEVNULL,
            check=True,
        )
        ready = Path(name) / "seed"
        ready.mkdir()
        for part in PARTS:
            (home / part).rename(ready / part)
        ready.rename(seed)


def _version() -> str:
    """A hash of what decides a seed's content: the image's builder and the tables."""
    total = hashlib.sha256(ADMIN_PASSWORD.encode())
    builder = [path for path in (CHECKOUT / "cloud" / "images").rglob("*") if path.is_file()]
    tables = [*CHECKOUT.glob("*/migrations/*.py"), *(CHECKOUT / "marketplace").rglob("*.py")]
    for path in sorted({*builder, *tables}):
        if not {"tests", "__pycache__"} & set(path.parts):
            total.update(str(path.relative_to(CHECKOUT)).encode() + path.read_bytes())
    return total.hexdigest()[:16]


def dashed(stored: str) -> str:
    """A UUID as URLs write it, from how SQLite keeps it."""
    return str(uuid.UUID(stored))

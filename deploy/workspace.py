"""The checkout's own tools: .venv, the front end, and stamps that say they are current."""

import contextlib
import fcntl
import hashlib
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from steps import CHECKOUT, PYTHON, Failed, Runner, say, step

VENV = CHECKOUT / ".venv"
OLDEST_PYTHON = (3, 11)
#: Static files are the same for every site: no secret of this one is needed, or made.
NO_SITE = {"PORTAL_SECRET_KEY": "not-for-serving"}


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """Keep two set-ups of this checkout apart; the lock goes with the process."""
    with Path(__file__).open("rb") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("Another set-up of this checkout is at work; waiting for it.")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def digest(paths: Iterable[Path], salt: str = "") -> str:
    """One hash over files and folders: names and contents."""
    total = hashlib.sha256(salt.encode())
    for path in paths:
        files = sorted(path.rglob("*")) if path.is_dir() else [path]
        for file in files:
            if file.is_file():
                total.update(f"\0{file.relative_to(CHECKOUT)}\0".encode())
                total.update(file.read_bytes())
    return total.hexdigest()


class Stamp:
    """Remembers, beside what was made, from what it was made."""

    def __init__(self, path: Path, current: str) -> None:
        self.path = path
        self.current = current

    def is_current(self) -> bool:
        return self.path.is_file() and self.path.read_text() == self.current

    def write(self) -> None:
        draft = self.path.with_suffix(".draft")
        draft.write_text(self.current)
        draft.replace(self.path)


def virtual_environment(runner: Runner) -> None:
    """Make .venv, or make it anew if its Python is gone or the checkout was moved.

    Raises:
        Failed: this Python is too old, or cannot make one.
    """
    if sys.version_info < OLDEST_PYTHON:
        raise Failed(f"Python 3.11 or newer is needed; this is {sys.version.split()[0]}.")
    if _works():
        return
    if VENV.is_symlink():
        VENV.unlink()  # what it leads to is another checkout's, and would be emptied
    with step("Creating .venv"):
        advice = "Install python3-venv (or a complete Python 3.11), then try again."
        runner.run([sys.executable, "-m", "venv", "--clear", VENV], otherwise=advice)


def _works() -> bool:
    """Whether .venv has a Python that runs, and was made here: its programs know their path."""
    try:
        start = (VENV / "bin" / "pip").read_bytes()[:1024]
        runs = subprocess.call([PYTHON, "-c", "import pip"], stderr=subprocess.DEVNULL) == 0
    except OSError:
        return False
    return runs and os.fsencode(VENV) in start


def requirements(name: str, runner: Runner) -> None:
    """Install a requirements file into .venv, unless that has been done."""
    files = [CHECKOUT / "requirements.txt", CHECKOUT / name]
    stamp = Stamp(VENV / f".stamp-{name}", digest(files))
    if stamp.is_current():
        return
    with step(f"Installing the Python packages of {name}"):
        pip = [PYTHON, "-m", "pip", "install", "--disable-pip-version-check", "-q"]
        advice = "Check that this machine reaches the Python package index, then try again."
        runner.run([*pip, "-r", CHECKOUT / name], otherwise=advice)
        stamp.write()


def front_end(runner: Runner) -> None:
    """Fetch the front-end packages and bundle them, unless that has been done."""
    modules = CHECKOUT / "node_modules"
    lock = [CHECKOUT / "package.json", CHECKOUT / "package-lock.json", CHECKOUT / ".npmrc"]
    fetched = Stamp(modules / ".stamp-packages", digest(lock))
    if not fetched.is_current():
        with step("Fetching the front-end packages"):
            advice = "Check that this machine reaches the npm registry, then try again."
            runner.run(["npm", "ci", "--no-audit", "--no-fund"], otherwise=advice)
            fetched.write()
    static = CHECKOUT / "static"
    bundled = Stamp(
        modules / ".stamp-bundles",
        digest([*lock, static / "build.mjs", static / "js", static / "css"]),
    )
    if not (bundled.is_current() and (static / "dist").is_dir()):
        with step("Bundling the front end"):
            runner.run(["npm", "run", "build"], otherwise="Run `npm run build` to see why.")
            bundled.write()


def static_files(runner: Runner) -> None:
    """Collect static files where the web server finds them, unless that has been done."""
    # Which apps bring files is written in the settings.
    settings = CHECKOUT / "portal" / "settings.py"
    sources = [CHECKOUT / "static", CHECKOUT / "requirements.txt", settings]
    stamp = Stamp(VENV / ".stamp-static", digest(sources))
    if stamp.is_current() and (CHECKOUT / "staticfiles").is_dir():
        return
    with step("Collecting static files"):
        advice = "Run `.venv/bin/python manage.py collectstatic` to see why."
        runner.manage("collectstatic", "--noinput", "-v0", otherwise=advice, **NO_SITE)
        stamp.write()

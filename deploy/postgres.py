"""A PostgreSQL for one run of the tests: temporary, on a Unix socket."""

import contextlib
import os
import pwd
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from steps import Failed

START_S = 30


@contextlib.contextmanager
def running() -> Iterator[str]:
    """A PostgreSQL of an unprivileged user; its DATABASE_URL."""
    programs = _postgres_programs()
    folder = Path(tempfile.mkdtemp(prefix="portal-pg-"))
    data = folder / "data"
    user = _unprivileged()
    if user:
        shutil.chown(folder, user.pw_uid, user.pw_gid)
    as_user = ["setpriv", "--pdeathsig", "QUIT"]
    if user:
        as_user += [f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
    init = [str(programs / "initdb"), "-D", str(data), "-U", "portal", "-A", "trust", "-N"]
    try:
        done = subprocess.run(
            [*as_user, *init, "-E", "UTF8", "--locale=C.UTF-8"],
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise Failed(f"initdb ended with {done.returncode}: {done.stderr.strip()}")
        with _server(programs, folder, as_user):
            yield f"postgresql://portal@/postgres?host={folder}"
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _server(programs: Path, folder: Path, as_user: list[str]) -> Iterator[None]:
    options = {"listen_addresses": "", "unix_socket_directories": str(folder), "fsync": "off"}
    argv = [str(programs / "postgres"), "-D", str(folder / "data")]
    argv += [word for name, value in options.items() for word in ("-c", f"{name}={value}")]
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen([*as_user, *argv], cwd=folder, stdout=log, stderr=log)
        try:
            _wait(server, lambda: _succeeds(str(programs / "pg_isready"), "-q", "-h", str(folder)))
            yield
        finally:
            server.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                server.wait(5)
            server.kill()


def _postgres_programs() -> Path:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=_version)
    if found:
        return found[-1].parent
    raise Failed("PostgreSQL is not there. Install the Debian package postgresql.")


def _version(program: Path) -> int:
    return int(program.parent.parent.name)


def _unprivileged() -> pwd.struct_passwd | None:
    """PostgreSQL refuses to run as root; anybody else runs it as they are."""
    if os.geteuid():
        return None
    names = {user.pw_name: user for user in pwd.getpwall()}
    return names.get("postgres") or names["nobody"]


def _succeeds(*argv: str) -> bool:
    return subprocess.call(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) == 0


def _wait(server: "subprocess.Popen[bytes]", ready: Callable[[], bool]) -> None:
    give_up = time.monotonic() + START_S
    while not ready():
        if server.poll() is not None or time.monotonic() > give_up:
            raise Failed(f"{server.args} did not start.")  # type: ignore[str-bytes-safe]
        with contextlib.suppress(subprocess.TimeoutExpired):
            server.wait(0.05)

"""``make run``: set up what is missing, then serve the portal until Ctrl-C.

Where others serve, for example systemd, ``run.py --code-only`` makes what belongs to the
checkout and ``run.py --state-only``, as the portal's user, what belongs to PORTAL_HOME.
"""

import os
import sys
import tempfile
import time
from pathlib import Path

from debian import install, missing, wanted
from serve import Portal
from steps import CHECKOUT, Failed, Runner, fail, say, step
from workspace import alone, front_end, requirements, static_files, virtual_environment

sys.path.insert(0, str(CHECKOUT))
from portal import paths

PACKAGES = Path(__file__).with_name("debian-packages.txt")


def environment(home: Path) -> dict[str, str]:
    """What the portal's processes and the Procfile read; defaults are made plain here."""
    env = {
        "PORTAL_HOME": str(home),
        "PORTAL_HOST": os.environ.get("PORTAL_HOST") or "127.0.0.1",
        "PORTAL_PORT": os.environ.get("PORTAL_PORT") or "8000",
        "PORTAL_TRUSTED_PROXIES": os.environ.get("PORTAL_TRUSTED_PROXIES", ""),
        "PORTAL_REDIS_SOCKET": str(paths.socket_path("redis.sock", under=home)),
        "LANG": os.environ.get("LANG") or "C.UTF-8",
    }
    if not env["PORTAL_PORT"].isdecimal() or not 0 < int(env["PORTAL_PORT"]) < 65536:
        raise Failed(f"PORTAL_PORT is {env['PORTAL_PORT']!r}; write a number from 1 to 65535.")
    return env


def prepare_home(home: Path, socket: Path) -> None:
    """Make the folders for state. The home itself can be crossed: machines run as others."""
    try:
        home.mkdir(mode=0o711, parents=True, exist_ok=True)
        for folder in (home / "run", home / "logs", socket.parent):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        # SQLite would make it readable by everybody who can cross the home.
        os.close(os.open(home / "portal.sqlite3", os.O_CREAT | os.O_RDWR, 0o600))
    except OSError as exc:
        raise Failed(f"PORTAL_HOME {home} cannot be used: {exc}. Set PORTAL_HOME.") from exc
    if socket.parent.stat().st_uid != os.getuid():
        raise Failed(f"{socket.parent} belongs to somebody else. Set a shorter PORTAL_HOME.")


def set_up_code(runner: Runner) -> None:
    """Everything that belongs to the checkout, whatever the site."""
    with alone():
        if packages := missing(wanted(PACKAGES)):
            install(packages, runner)
        virtual_environment(runner)
        requirements("requirements.txt", runner)
        front_end(runner)
        static_files(runner)


def set_up_state(runner: Runner) -> None:
    """Everything that belongs to PORTAL_HOME and the database."""
    with step("Checking database, demo image and administrator"):
        if runner.succeeds("is_set_up"):
            return
    with step("Bringing the database up to date"):
        advice = "Check DATABASE_URL and that the database accepts connections."
        runner.manage("migrate", "--noinput", "-v0", otherwise=advice)
    with step("Building the demo image, if it is missing"):
        advice = "Run `.venv/bin/python manage.py build_demo_image` to see why."
        runner.manage("build_demo_image", "--if-missing", otherwise=advice)
        advice = "Run `.venv/bin/python manage.py endorse_site_images` to see why."
        runner.manage("endorse_site_images", otherwise=advice)
    with step("Creating the first administrator, if there is none"):
        advice = "The administrator was not created; the line above says why."
        runner.manage_openly("create_admin", otherwise=advice)


def code_only() -> int:
    set_up_code(Runner(Path(tempfile.mkdtemp(prefix="portal-set-up-")) / "set-up.log"))
    return 0


def run(*, serve: bool) -> int:
    started = time.monotonic()
    home = paths.home()
    env = environment(home)
    prepare_home(home, Path(env["PORTAL_REDIS_SOCKET"]))
    portal = Portal(home, env)
    with portal.only_one():
        runner = Runner(home / "logs" / "set-up.log", env)
        if serve:
            portal.check_port()
            set_up_code(runner)
        set_up_state(runner)
        return portal.serve(since=started) if serve else 0


def main(words: list[str]) -> int:
    try:
        return code_only() if "--code-only" in words else run(serve="--state-only" not in words)
    except Failed as failure:
        return fail(failure)
    except KeyboardInterrupt:
        say("\nStopped during set-up; `make run` goes on from here.")
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

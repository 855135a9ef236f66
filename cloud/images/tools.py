"""Running the programs that build images, in an environment that is always the same."""

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from cloud.images.built import ImageBuildError

#: Called with one line for people, when a step begins or has ended.
Report = Callable[[str], None]

#: Every time stamp inside an image: 2025-01-01T00:00:00Z. A clock would make two
#: builds of the same packages differ.
EPOCH_S = 1735689600

#: Program -> the Debian package that has it.
PROGRAMS = {
    "apt-get": "apt",
    "apt-cache": "apt",
    "dpkg-deb": "dpkg",
    "mke2fs": "e2fsprogs",
    "debugfs": "e2fsprogs",
    "sfdisk": "fdisk",
    "mformat": "mtools",
    "mcopy": "mtools",
    "syslinux": "syslinux",
    "qemu-img": "qemu-utils",
}

SEARCH_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

#: What a site may need to reach its Debian mirror.
PASSED_ON = ("http_proxy", "https_proxy", "no_proxy", "APT_CONFIG", "HOME", "TMPDIR")


def silent(_line: str) -> None:
    """A report that nobody reads."""


def environment() -> dict[str, str]:
    """Return the environment of every program: fixed, but for the site's proxies."""
    passed_on = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    return passed_on | {
        "PATH": SEARCH_PATH,
        "LC_ALL": "C",
        "TZ": "UTC",
        "DEBIAN_FRONTEND": "noninteractive",
        "SOURCE_DATE_EPOCH": str(EPOCH_S),
        "E2FSPROGS_FAKE_TIME": str(EPOCH_S),
        "MTOOLS_SKIP_CHECK": "1",
    }


def require(programs: Mapping[str, str]) -> None:
    """Refuse to begin while a program is missing.

    Raises:
        ImageBuildError: names every missing program and the packages to install.
    """
    missing = sorted(name for name in programs if not shutil.which(name, path=SEARCH_PATH))
    if missing:
        packages = " ".join(sorted({programs[name] for name in missing}))
        raise ImageBuildError(
            f"Programs are missing: {', '.join(missing)}."
            f" Install them with: apt-get install {packages}"
        )


def run(
    argv: Sequence[str | Path], *, step: str, fix: str, stdin: str = "", cwd: Path | None = None
) -> str:
    """Run a program and return what it printed.

    Raises:
        ImageBuildError: it could not be started or failed; the sentence has ``step``,
            the program's last line and ``fix``.
    """
    return run_bytes(argv, step=step, fix=fix, stdin=stdin, cwd=cwd).decode(errors="replace")


def run_bytes(
    argv: Sequence[str | Path], *, step: str, fix: str, stdin: str = "", cwd: Path | None = None
) -> bytes:
    """As ``run``, for programs that print binary."""
    try:
        done = subprocess.run(
            [str(word) for word in argv],
            input=stdin.encode(),
            capture_output=True,
            cwd=cwd,
            env=environment(),
            check=False,
        )
    except OSError as error:
        raise ImageBuildError(f"{step} failed: {error}. {fix}") from error
    if done.returncode:
        printed = done.stderr.decode(errors="replace").strip()
        last = printed.splitlines()[-1] if printed else f"exit code {done.returncode}"
        raise ImageBuildError(
            f"{step} failed: {last.rstrip('.')}. {fix}", detail=f"{argv[0]}: {printed}"
        )
    return done.stdout


@contextmanager
def timed(what: str, report: Report) -> Iterator[None]:
    """Report a step with its duration in seconds."""
    began = time.monotonic()
    yield
    report(f"{what}: {time.monotonic() - began:.1f} s")

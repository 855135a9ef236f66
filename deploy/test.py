"""``make test``: set up what is missing, run the suites one after another, and count.

``test.py [SUITE...]`` runs some of them; ``test.py --set-up-only`` none.
"""

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import postgres
from debian import install, missing, wanted
from steps import CHECKOUT, PYTHON, Failed, Runner, fail, say
from workspace import alone, front_end, requirements, static_files, virtual_environment

BIN = PYTHON.parent
RESULTS = CHECKOUT / "test-results"
LISTS = [Path(__file__).with_name(f"debian-packages{kind}.txt") for kind in ("", "-test")]
#: Tests that need neither a machine, nor a browser, nor a portal, nor patience.
FAST = "not qemu and not journeys and not faults and not slow"
SLOW = "slow and not qemu and not journeys and not faults"
#: What only a database with real locks, and other ideas of a text, can tell.
LOCKS = f"({FAST}) or at_once or both"
QEMU = "qemu and not journeys and not faults"
#: Characters of a reason.
WIDEST = 300
#: Real machines and a real browser on a busy host miss a deadline now and then. A test that
#: fails is tried once more, and listed as a RERUN: one that is often there is a fault.
ONCE_MORE = ("--reruns=1", "-rR")


@dataclass
class Count:
    passed: int = 0
    failed: int = 0
    skipped: int = 0
    seconds: float = 0.0
    #: What failed and the first line of why: an hour later nobody scrolls back to it.
    reasons: list[str] = field(default_factory=list)


Suite = Callable[[str], Count]


def checks(*commands: Sequence[str | Path]) -> Suite:
    """A suite of programs; each is one test."""

    def suite(name: str) -> Count:
        codes = [call(*command) for command in commands]
        return Count(passed=codes.count(0), failed=len(codes) - codes.count(0))

    return suite


def pytests(marker: str, *options: str, timeout_s: int, on_postgres: bool = False) -> Suite:
    """A suite of pytest tests, chosen by their markers."""

    def suite(name: str) -> Count:
        report = RESULTS / f"{name}.xml"
        report.unlink(missing_ok=True)
        argv = [PYTHON, "-m", "pytest", "-q", "--tb=short", "-m", marker, f"--junitxml={report}"]
        argv += ["--durations=5", f"--timeout={timeout_s}", *options]
        with postgres.running() if on_postgres else contextlib.nullcontext("") as url:
            code = call(*argv, **({"DATABASE_URL": url} if url else {}))
        return read(report, code)

    return suite


def read(report: Path, code: int) -> Count:
    """Counts from JUnit XML; a run without a report or without a test has failed."""
    if not report.is_file():
        return Count(failed=1)
    (suite,) = ET.parse(report).getroot().iter("testsuite")  # noqa: S314  (our own file)
    total, failures, errors, skipped = (
        int(suite.get(name, 0)) for name in ("tests", "failures", "errors", "skipped")
    )
    failed = failures + errors
    passed = max(0, total - failed - skipped)
    if not failed and (code or not total):
        failed = 1
    return Count(passed, failed, skipped, reasons=list(reasons(suite)))


def reasons(suite: ET.Element) -> Iterator[str]:
    for case in suite.iter("testcase"):
        for kind in ("failure", "error"):
            for said in case.iter(kind):
                first = (said.get("message") or "").strip().partition("\n")[0]
                yield f"{case.get('classname')}::{case.get('name')}: {first[:WIDEST]}"


def call(*argv: str | Path, **env: str) -> int:
    say(f"$ {' '.join(str(word) for word in argv)}")
    return subprocess.call(argv, cwd=CHECKOUT, env={**os.environ, **env})


SUITES: dict[str, Suite] = {
    "lint": checks(
        [BIN / "ruff", "check", "."],
        [BIN / "ruff", "format", "--check", "."],
        [BIN / "djhtml", "--check", "templates"],
    ),
    "types": checks([BIN / "mypy", "."]),
    "contracts": checks([BIN / "lint-imports"]),
    "migrations": checks([PYTHON, "manage.py", "makemigrations", "--check", "--dry-run"]),
    "scripts": checks(["npm", "test", "--silent"]),
    "fast": pytests(FAST, "-n", "2", timeout_s=60),
    "slow": pytests(SLOW, "-n", "2", timeout_s=180),
    "postgres": pytests(LOCKS, "-n", "2", timeout_s=60, on_postgres=True),
    "qemu": pytests(QEMU, "-n", "2", *ONCE_MORE, timeout_s=300),
    "faults": pytests("faults", *ONCE_MORE, timeout_s=900),
    "journeys": pytests("journeys", *ONCE_MORE, timeout_s=600),
}


#: Suites that read the code and run nothing of it.
READERS = frozenset({"lint", "types", "contracts", "migrations"})


def set_up(names: list[str]) -> None:
    with alone():
        runner = Runner(RESULTS / "set-up.log")
        if packages := missing(wanted(*LISTS)):
            install(packages, runner)
        virtual_environment(runner)
        requirements("requirements-dev.txt", runner)
        requirements("requirements-ldap.txt", runner)
        if set(names) - READERS:
            front_end(runner)
            static_files(runner)


@contextlib.contextmanager
def surroundings() -> Iterator[None]:
    """A PORTAL_HOME for this run; the user's own stay untouched."""
    for name in [name for name in os.environ if name.startswith("PORTAL_")]:
        del os.environ[name]
    for name in ("DATABASE_URL", "REDIS_URL", "DJANGO_SETTINGS_MODULE"):
        os.environ.pop(name, None)
    home = Path(tempfile.mkdtemp(prefix="portal-test-"))
    home.chmod(0o711)  # machines run as somebody else and must reach their files
    os.environ |= {"PORTAL_HOME": str(home), "LANG": os.environ.get("LANG") or "C.UTF-8"}
    try:
        yield
    finally:
        shutil.rmtree(home, ignore_errors=True)


def run(names: list[str]) -> dict[str, Count]:
    counts: dict[str, Count] = {}
    for name in names:
        say(f"\n=== {name}")
        began = time.monotonic()
        try:
            counts[name] = SUITES[name](name)
        except Failed as failure:
            fail(failure)
            counts[name] = Count(failed=1)
        counts[name].seconds = time.monotonic() - began
    return counts


def summarise(counts: dict[str, Count]) -> int:
    say(f"\n{'suite':<12}{'passed':>8}{'failed':>8}{'skipped':>9}{'seconds':>9}")
    for name, count in counts.items():
        figures = f"{count.passed:>8}{count.failed:>8}{count.skipped:>9}{count.seconds:>9.1f}"
        say(f"{name:<12}{figures}")
    passed = sum(count.passed for count in counts.values())
    failed = sum(count.failed for count in counts.values())
    skipped = sum(count.skipped for count in counts.values())
    say(
        f"{'all':<12}{passed:>8}{failed:>8}{skipped:>9}"
        f"{sum(count.seconds for count in counts.values()):>9.1f}\n"
    )
    for name, count in counts.items():
        for reason in count.reasons:
            say(f"FAILED in {name}: {reason}")
    say(f"TOTAL: {passed} passed, {failed} failed, {skipped} skipped")
    return 1 if failed or not passed else 0


def main(words: list[str]) -> int:
    names = [word for word in words if not word.startswith("-")] or list(SUITES)
    if unknown := [name for name in names if name not in SUITES]:
        return fail(Failed(f"There is no suite {unknown[0]!r}; there are {', '.join(SUITES)}."))
    try:
        RESULTS.mkdir(exist_ok=True)
        with surroundings():
            set_up(names)
            if "--set-up-only" in words:
                return 0
            return summarise(run(names))
    except Failed as failure:
        return fail(failure)
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

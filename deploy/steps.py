"""Steps of set-up: each says what it does, how long it took, and what to do if it failed."""

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent
PYTHON = CHECKOUT / ".venv" / "bin" / "python"
TAIL_LINES = 25


class Failed(Exception):
    """A step did not work; the text says what to do about it."""


def say(text: str) -> None:
    print(text, flush=True)


@contextlib.contextmanager
def step(what: str) -> Iterator[None]:
    """Announce a step; afterwards say how long it took."""
    say(f"==> {what}")
    started = time.monotonic()
    yield
    say(f"    done in {time.monotonic() - started:.1f} s")


class Runner:
    """Runs programs with their output in one log; shows its tail when one fails."""

    def __init__(self, log: Path, env: Mapping[str, str] | None = None) -> None:
        self.log = log
        self.env = {**os.environ, **(env or {})}
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_bytes(b"")

    def run(self, argv: Sequence[str | Path], *, otherwise: str, **env: str) -> None:
        """Run a program to its end.

        Raises:
            Failed: it could not be started or ended with an error; ``otherwise`` says
                what the user can do.
        """
        with self.log.open("ab", buffering=0) as log:
            log.write(f"\n$ {' '.join(map(str, argv))}\n".encode())
            start = log.tell()
            try:
                code = subprocess.call(
                    argv, cwd=CHECKOUT, env={**self.env, **env}, stdout=log, stderr=log
                )
            except OSError as exc:
                raise Failed(f"{argv[0]} could not be started: {exc}. {otherwise}") from exc
        if code:
            self._show_tail(start)
            raise Failed(f"{argv[0]} ended with {code}. {otherwise}\n    The whole log: {self.log}")

    def manage(self, *words: str, otherwise: str, **env: str) -> None:
        """Run one of Django's commands."""
        self.run([PYTHON, "manage.py", *words], otherwise=otherwise, **env)

    def manage_openly(self, *words: str, otherwise: str) -> None:
        """Run one of Django's commands whose output is for the user's eyes, not for a log."""
        if subprocess.call([PYTHON, "manage.py", *words], cwd=CHECKOUT, env=self.env):
            raise Failed(otherwise)

    def succeeds(self, *words: str) -> bool:
        """Whether one of Django's commands ends well; its output goes to the log."""
        with self.log.open("ab") as log:
            argv = [PYTHON, "manage.py", *words]
            return not subprocess.call(argv, cwd=CHECKOUT, env=self.env, stdout=log, stderr=log)

    def _show_tail(self, start: int) -> None:
        with self.log.open("rb") as log:
            log.seek(start)
            lines = log.read().decode(errors="replace").splitlines()
        for line in lines[-TAIL_LINES:]:
            say(f"    | {line}")


def fail(failure: Failed) -> int:
    """Tell the user; the exit code for the shell."""
    print(f"\n!!! {failure}", file=sys.stderr, flush=True)
    return 1

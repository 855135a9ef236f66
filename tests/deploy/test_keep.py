"""deploy/keep: what `make run` puts around every process of the portal."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

PATIENCE_S = 10


class Keeper:
    """A keeper of a program that notes each of its starts in a file and then waits."""

    def __init__(self, checkout: Path, home: Path) -> None:
        (home / "run").mkdir()
        self.starts = home / "starts"
        self.starts.touch()
        self.pid_file = home / "run" / "web.pid"
        script = f"echo $$ >>{self.starts}; exec sleep 60"
        self.process = subprocess.Popen(
            [checkout / "deploy" / "keep", "web", "sh", "-c", script],
            env={**os.environ, "PORTAL_HOME": str(home)},
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def child(self, number: int) -> int:
        """The process id of the program's start of that number, once it has come."""
        until(lambda: len(self.starts.read_text().split()) >= number)
        return int(self.starts.read_text().split()[number - 1])


def until(condition) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.02)  # noqa: TID251  (waits on a condition, with a deadline)


def is_gone(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return True
    return state == "Z"


@pytest.fixture
def keeper(checkout, tmp_path) -> Iterator[Keeper]:
    keeper = Keeper(checkout, tmp_path)
    yield keeper
    if keeper.process.poll() is None:
        os.killpg(keeper.process.pid, signal.SIGKILL)
    keeper.process.wait()
    keeper.process.stdout.close()


def test_a_killed_process_is_started_again(keeper):
    os.kill(keeper.child(1), signal.SIGKILL)
    assert keeper.child(2) != keeper.child(1)
    line = keeper.process.stdout.readline()
    assert line == "web ended with 137; starting it again in 0.2 s\n"


def test_a_signal_ends_the_process_and_its_keeper(keeper):
    child = keeper.child(1)
    keeper.process.send_signal(signal.SIGTERM)
    assert keeper.process.wait(PATIENCE_S) == 0
    assert is_gone(child)
    assert not keeper.pid_file.exists()


def test_a_process_does_not_outlive_a_killed_keeper(keeper):
    child = keeper.child(1)
    keeper.process.kill()
    until(lambda: is_gone(child))


def test_a_signal_while_it_waits_to_start_again_ends_it(keeper):
    os.kill(keeper.child(1), signal.SIGKILL)
    keeper.process.stdout.readline()
    keeper.process.send_signal(signal.SIGTERM)
    assert keeper.process.wait(PATIENCE_S) == 0

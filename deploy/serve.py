"""Serve the portal: one per PORTAL_HOME, by honcho, until Ctrl-C."""

import contextlib
import fcntl
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import FrameType

from steps import CHECKOUT, Failed, say

HONCHO = CHECKOUT / ".venv" / "bin" / "honcho"
READY_S = 60
LEFTOVERS_S = 15


class Portal:
    """The processes of the Procfile, as one thing that starts and stops."""

    def __init__(self, home: Path, env: Mapping[str, str]) -> None:
        self.run = home / "run"
        self.env = {**os.environ, **env}
        self.env.pop("PORTAL_ADMIN_PASSWORD", None)  # set-up's; no process needs to hold it
        self.host = env["PORTAL_HOST"]
        self.port = int(env["PORTAL_PORT"])
        shown = "127.0.0.1" if self.host in ("0.0.0.0", "::") else self.host  # noqa: S104
        self.url = f"http://{f'[{shown}]' if ':' in shown else shown}:{self.port}"
        self.address = (shown, self.port)
        self.home = home

    @contextlib.contextmanager
    def only_one(self) -> Iterator[None]:
        """Hold PORTAL_HOME, and clear away what a killed portal left running there.

        Raises:
            Failed: another portal runs on this PORTAL_HOME.
        """
        with (self.run / "lock").open("a+") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                lock.seek(0)
                raise Failed(
                    f"A portal already runs on {self.home}: {lock.read().strip()}.\n"
                    "    Stop it there with Ctrl-C, or give this one a PORTAL_HOME and a"
                    " PORTAL_PORT of its own."
                ) from None
            lock.truncate(0)
            lock.write(f"process {os.getpid()}, {self.url}")
            lock.flush()
            self.stop_leftovers()
            yield

    def check_port(self) -> None:
        """Raises Failed if the web port is taken."""
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((self.host, self.port))
            except OSError as exc:
                raise Failed(
                    f"The portal cannot listen on {self.host} port {self.port}: {exc.strerror}.\n"
                    "    Stop what uses it, or choose another port:"
                    f" PORTAL_PORT={self.port + 1} make run"
                ) from exc

    def stop_leftovers(self) -> None:
        """End keepers (and with them their processes) whose portal was killed."""
        keepers = [pid for file in self.run.glob("*.pid") if (pid := _keeper(file))]
        for pid in keepers:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGTERM)
        give_up = time.monotonic() + LEFTOVERS_S
        for pid in keepers:
            _wait_gone(pid, give_up)
        for file in self.run.glob("*.pid"):
            file.unlink()

    def serve(self, *, since: float) -> int:
        """Run until a signal or until honcho ends; 0 if we were asked to stop."""
        names = ["web", "worker", "beat"]
        if not self.env.get("REDIS_URL") and not self.env.get("REDIS_URL_FILE"):
            names.insert(0, "redis")
        say(f"==> Starting {', '.join(names)}")
        # Should this process be killed outright, honcho is told to stop too.
        argv = ["setpriv", "--pdeathsig", "TERM", str(HONCHO), "-e", os.devnull, "start", *names]
        with _terminal() as terminal:
            honcho = subprocess.Popen(argv, cwd=CHECKOUT, env=self.env, process_group=0)
            terminal.hand_to(honcho.pid)
            stop = _Stop(honcho)
            self._announce(honcho, since, stop)
            code = honcho.wait()
        self.stop_leftovers()
        if stop.asked or code == 128 + signal.SIGINT:
            say("The portal has stopped. Virtual machines go on; the next start finds them.")
            return 0
        say(f"!!! The portal ended by itself (honcho: {code}). Its last lines above say why.")
        return 1

    def _announce(self, honcho: "subprocess.Popen[bytes]", since: float, stop: "_Stop") -> None:
        give_up = time.monotonic() + READY_S
        while not self._answers():
            if stop.asked or honcho.poll() is not None:
                return
            if time.monotonic() > give_up:
                say(f"!!! No answer at {self.url} after {READY_S} s. The lines above say why.")
                return
            with contextlib.suppress(subprocess.TimeoutExpired):
                honcho.wait(0.1)
        say(f"\n    The portal is ready after {time.monotonic() - since:.1f} s: {self.url}")
        if (login := self.home / "first-login.txt").is_file():
            say(f"    First sign-in: {login}")
        say("    Ctrl-C stops the portal, not the virtual machines.\n")

    def _answers(self) -> bool:
        """Whether / is served; by hand, because http.client costs megabytes for good."""
        question = f"GET / HTTP/1.0\r\nHost: localhost:{self.port}\r\n\r\n"
        try:
            with socket.create_connection(self.address, timeout=5) as connection:
                connection.sendall(question.encode())
                status = connection.makefile("rb").readline().split()
        except OSError:
            return False
        return len(status) > 1 and status[1] < b"500"


class _Stop:
    """Turns a signal into one for honcho, which ends everything it started."""

    def __init__(self, honcho: "subprocess.Popen[bytes]") -> None:
        self.asked = False
        self._honcho = honcho
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._forward)

    def _forward(self, number: int, frame: FrameType | None) -> None:
        self.asked = True
        self._honcho.terminate()


class _Terminal:
    """The terminal's foreground, lent to honcho.

    Ctrl-C goes to the whole foreground group, and make, once it gets it, ends with an
    error whatever its command says. So honcho alone is put in the foreground.
    """

    def __init__(self) -> None:
        self.mine = sys.stdin.isatty() and os.tcgetpgrp(0) == os.getpgrp()
        signal.signal(signal.SIGTTOU, signal.SIG_IGN)  # we write from the background meanwhile
        if self.mine:
            signal.signal(signal.SIGTSTP, signal.SIG_IGN)  # no shell could continue honcho

    def hand_to(self, group: int) -> None:
        if self.mine:
            os.tcsetpgrp(0, group)


@contextlib.contextmanager
def _terminal() -> Iterator[_Terminal]:
    terminal = _Terminal()
    try:
        yield terminal
    finally:
        terminal.hand_to(os.getpgrp())


def _keeper(file: Path) -> int:
    """The process id in a keeper's file, if that keeper still runs; else 0."""
    try:
        pid = int(file.read_text())
        command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except (OSError, ValueError):
        return 0
    return pid if b"deploy/keep" in command and file.stem.encode() in command else 0


def _wait_gone(pid: int, give_up: float) -> None:
    """Wait for a process that is not our child; kill its group when time is up."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    with os.fdopen(descriptor) as handle:
        ended, _, _ = select.select([handle], [], [], max(0.0, give_up - time.monotonic()))
    if not ended:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)

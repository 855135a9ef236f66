"""A machine from the inside, by the ssh line that its page offers to copy."""

import re
import subprocess
from pathlib import Path

from conftest import wait_for
from tests.journeys.windows import Window

REACH_S = 90
OPTIONS = (
    "StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "BatchMode=yes",
    "IdentitiesOnly=yes", "ConnectTimeout=10", "LogLevel=ERROR",
)  # fmt: skip
#: What ssh itself says when it could not connect or was cut off.
SSH_FAILED = 255


class Guest:
    def __init__(self, window: Window, private: Path) -> None:
        line = window.page.locator(".copy-wide .copy-value").first.inner_text()
        port, address = re.fullmatch(r"ssh -p (\d+) (\S+)", line).groups()
        options = [f"-o{option}" for option in OPTIONS]
        self._argv = ["ssh", "-i", str(private), "-p", port, *options, address]

    def try_(self, command: str) -> "subprocess.CompletedProcess[str]":
        argv = [*self._argv, command]
        return subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)

    def answers(self) -> bool:
        return self.try_("true").returncode == 0

    def run(self, command: str, *, loses_connection: bool = False) -> str:
        """Run a command once ssh gets in; what it printed."""
        done: list[subprocess.CompletedProcess[str]] = []

        def reached() -> bool:
            done.append(self.try_(command))
            return done[-1].returncode != SSH_FAILED or loses_connection

        wait_for(reached, within_s=REACH_S, every_s=0.5)
        return done[-1].stdout

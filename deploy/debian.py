"""Debian packages: which are missing, and installing exactly those."""

import os
import shutil
import subprocess
from pathlib import Path

from steps import Failed, Runner, step

APT = ["apt-get", "-o", "DPkg::Lock::Timeout=300", "-o", "Acquire::Retries=3"]


def wanted(*lists: Path) -> list[str]:
    """Names from files with one package a line, followed by what it is for."""
    lines = [line for path in lists for line in path.read_text().splitlines()]
    return [line.split()[0] for line in lines if line.strip() and not line.startswith("#")]


def missing(names: list[str]) -> list[str]:
    """Those that dpkg does not have and no program of that name stands in for."""
    query = ["dpkg-query", "-W", "-f", "${Package} ${db:Status-Status}\n", *names]
    answer = subprocess.run(query, capture_output=True, text=True, check=False).stdout
    installed = {line.split()[0] for line in answer.splitlines() if line.endswith(" installed")}
    return [name for name in names if name not in installed and not shutil.which(name)]


def install(names: list[str], runner: Runner) -> None:
    """Install packages; as root, or with sudo.

    Raises:
        Failed: neither root nor sudo, or apt-get could not do it.
    """
    command = " ".join(["apt-get install -y --no-install-recommends", *names])
    with step(f"Installing Debian packages: {' '.join(names)}"):
        prefix = _as_root(names, command)
        advice = f"Check the network and /etc/apt/sources.list, then run as root: {command}"
        runner.run([*prefix, *APT, "-q", "update"], otherwise=advice)
        packages = ["install", "-y", "-q", "--no-install-recommends", *names]
        runner.run([*prefix, *APT, *packages], otherwise=advice)


def _as_root(names: list[str], command: str) -> list[str]:
    quiet = ["env", "DEBIAN_FRONTEND=noninteractive"]
    if not shutil.which("apt-get"):
        raise Failed(f"This is not Debian. Install what these packages hold: {', '.join(names)}.")
    if os.geteuid() == 0:
        return quiet
    if shutil.which("sudo") and subprocess.call(["sudo", "-v"]) == 0:
        return ["sudo", *quiet]
    raise Failed(
        f"Debian packages are missing, and you are neither root nor may you use sudo.\n"
        f"    Have an administrator run: {command}"
    )

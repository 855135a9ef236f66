"""A site of its own for each test that wants one, and the demo image, built once."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from cloud.images import mini
from cloud.tests.real import CACHE, PREFIX, end_all


@pytest.fixture(scope="session")
def demo_image() -> Path:
    """The demo image, built once for as many runs as the cache lives."""
    path = CACHE / f"demo-{mini.VERSION}.qcow2"
    if not path.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        mini.build(path, cache_dir=CACHE / "debs")
    return path


@pytest.fixture(scope="session", autouse=True)
def no_machines_of_killed_runs() -> None:
    """End what a test run left that was itself killed: its pid is in the directory's name."""
    for path in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        if not Path("/proc", path.name.removeprefix(PREFIX).partition("-")[0]).exists():
            end_all(path / "cloud")
            shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def home() -> Iterator[Path]:
    """A site of its own, after which no process and no port is left."""
    path = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-"))
    yield path / "cloud"
    end_all(path / "cloud")
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def key(tmp_path: Path) -> Path:
    path = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True)
    return path

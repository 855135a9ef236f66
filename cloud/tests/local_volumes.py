"""Volumes of the embedded engine for tests: a home of its own, without machines."""

import os
from pathlib import Path

import pytest

from cloud.local.driver import LocalDriver
from cloud.tests.contract import new_token, quiet
from cloud.tests.volume_conformance import MIB, a_disk
from cloud.types import DiskFormat, VolumeInfo, VolumeSource

F = DiskFormat


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "cloud"


@pytest.fixture
def driver(home: Path) -> LocalDriver:
    return LocalDriver(home=home, disk_floor_bytes=1 << 20)


@pytest.fixture
def disk(tmp_path: Path) -> VolumeSource:
    return a_disk(tmp_path / "disk.raw")


@pytest.fixture
def volume(driver: LocalDriver, disk: VolumeSource) -> VolumeInfo:
    return driver.import_volume(disk, token=new_token(), on_progress=quiet)


def left_in(home: Path) -> list[str]:
    """What is in the store that is no volume."""
    return [name for name in os.listdir(home / "volumes") if name.startswith(".")]


def bytes_over_bytes(path: Path, *, mib: int) -> VolumeSource:
    """A raw file without a hole."""
    with path.open("wb") as file:
        piece = os.urandom(MIB)
        for _ in range(mib):
            file.write(piece)
    return VolumeSource(path=path, format=F.RAW, size_bytes=mib * MIB)

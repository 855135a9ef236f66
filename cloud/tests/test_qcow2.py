"""The head of a disk of ours, after its emulator was taken over: damaged, and nothing worse."""

import struct
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from cloud.errors import CloudError, CloudUnavailable
from cloud.local import qcow2
from cloud.local.driver import LocalDriver
from cloud.tests.contract import new_token, quiet
from cloud.types import DiskFormat

MIB = 1 << 20
HEADER_BYTES = 1024


@pytest.fixture
def driver(tmp_path: Path) -> LocalDriver:
    return LocalDriver(home=tmp_path / "cloud", disk_floor_bytes=MIB)


def disk_of(driver: LocalDriver, tmp_path: Path) -> tuple[str, Path]:
    """A disk with a snapshot, and its file."""
    token = new_token()
    driver.create_volume(MIB, token=token)
    driver.create_snapshot(token, token=new_token())
    return token, tmp_path / "cloud" / "volumes" / token / "disk.qcow2"


def patch(path: Path, at: int, value: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        file.write(value)


HOSTILE = {
    "a table beyond all": (60, struct.pack(">IQ", 1, 1 << 63)),
    "a table at the last byte there is": (60, struct.pack(">IQ", 1, (1 << 64) - 1)),
    "a table behind the end": (60, struct.pack(">IQ", 1, 1 << 40)),
    "a size that no column holds": (24, struct.pack(">Q", (1 << 63) + 512)),
    "a size above the largest": (24, struct.pack(">Q", qcow2.LARGEST_BYTES + 512)),
    "no size": (24, bytes(8)),
    "more snapshots than there are": (60, struct.pack(">I", 4000)),
}


@pytest.mark.parametrize(("at", "value"), HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_head_is_one_damaged_disk_of_a_list(
    driver: LocalDriver, tmp_path: Path, at: int, value: bytes
) -> None:
    sound = new_token()
    driver.create_volume(MIB, token=sound)
    token, path = disk_of(driver, tmp_path)
    patch(path, at, value)
    with pytest.raises(CloudUnavailable, match="damaged"):
        driver.find_volume(token)
    listed = {info.token: info for info in driver.list_volumes()}
    assert "damaged" in listed[token].message
    assert (listed[sound].message, listed[sound].size_bytes) == ("", MIB)
    calls: list[Callable[[], object]] = [
        lambda: driver.grow_volume(token, 2 * MIB),
        lambda: driver.create_snapshot(token, token=new_token()),
        lambda: driver.copy_volume(token, token=new_token(), on_progress=quiet),
        lambda: driver.export_volume(
            token, tmp_path / "out" / "disk.raw", DiskFormat.RAW, on_progress=quiet
        ),
    ]
    for call in calls:
        with pytest.raises(CloudError):
            call()


def test_a_snapshot_that_says_to_be_larger_than_any_disk_is_damage(
    driver: LocalDriver, tmp_path: Path
) -> None:
    token, path = disk_of(driver, tmp_path)
    with path.open("rb") as file:
        at = struct.unpack_from(">Q", file.read(HEADER_BYTES), 64)[0]
    patch(path, at + 40 + 8, struct.pack(">Q", 1 << 62))
    with pytest.raises(CloudUnavailable):
        driver.find_volume(token)


@pytest.mark.slow
def test_no_head_brings_anything_but_damage(driver: LocalDriver, tmp_path: Path) -> None:
    _, path = disk_of(driver, tmp_path)
    sound = path.read_bytes()
    table = struct.unpack_from(">Q", sound, 64)[0]
    places = some.integers(0, qcow2.HEAD) | some.integers(table, table + 100)
    changes = some.lists(some.tuples(places, some.binary(min_size=1, max_size=12)), max_size=4)

    @settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
    @given(changes, some.integers(0, len(sound)) | some.none())
    def judge(changed: list[tuple[int, bytes]], length: int | None) -> None:
        head = bytearray(sound)
        for at, value in changed:
            head[at : at + len(value)] = value
        path.write_bytes(head[:length])
        try:
            read = qcow2.read(path)
        except qcow2.Damaged:
            return
        assert 0 < read.size_bytes <= qcow2.LARGEST_BYTES
        assert all(0 < size <= qcow2.LARGEST_BYTES for size in read.snapshots.values())
        assert len(read.snapshots) <= qcow2.MOST_SNAPSHOTS

    judge()

"""Room on the engine's disk: known before anything is written."""

import os
import subprocess
from pathlib import Path

import pytest

from cloud.errors import CloudFull
from cloud.local.driver import LocalDriver
from cloud.local.site import Site
from cloud.tests.contract import new_token, quiet
from cloud.types import DiskFormat, VolumeSource

MIB = 1 << 20
DISK_MIB = 128
ROOM_MIB = 40


@pytest.fixture
def narrow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """A site with little room, and the most that was ever written there."""
    written = {"most": 0}

    def free(site: Site) -> int:
        used = sum(
            (Path(place) / name).stat().st_blocks * 512
            for place, _, names in os.walk(site.home)
            for name in names
        )
        written["most"] = max(written["most"], used)
        return max(0, ROOM_MIB * MIB - used)

    monkeypatch.setattr(Site, "free_disk_bytes", free)
    return written


def packed(folder: Path, format: str, *options: str) -> Path:
    """A small file with a large disk in it."""
    raw, made = folder / "raw", folder / "packed"
    with raw.open("wb") as file:
        for number in range(DISK_MIB):
            file.write(b"%08d" % number * (MIB // 8))
    subprocess.run(
        ["qemu-img", "convert", "-q", *options, "-f", "raw", "-O", format, str(raw), str(made)],
        check=True,
    )
    assert made.stat().st_size < 4 * MIB
    return made


@pytest.mark.parametrize(
    ("format", "options"),
    [(DiskFormat.QCOW2, ["-c"]), (DiskFormat.VMDK, ["-o", "subformat=streamOptimized"])],
)
def test_a_small_file_with_a_large_disk_is_not_begun_without_room(
    tmp_path: Path, narrow: dict[str, int], format: DiskFormat, options: list[str]
) -> None:
    path = packed(tmp_path, format.value, *options)
    driver = LocalDriver(home=tmp_path / "cloud", disk_floor_bytes=MIB)
    source = VolumeSource(path=path, format=format, size_bytes=DISK_MIB * MIB)
    token = new_token()
    with pytest.raises(
        CloudFull, match=rf"takes 12\d MiB and the site has {ROOM_MIB - 1}|{ROOM_MIB}"
    ):
        driver.import_volume(source, token=token, on_progress=quiet)
    assert narrow["most"] < MIB
    assert driver.find_volume(token) is None


def test_a_site_that_was_cleared_up_takes_it(tmp_path: Path) -> None:
    path = packed(tmp_path, "qcow2", "-c")
    driver = LocalDriver(home=tmp_path / "cloud", disk_floor_bytes=MIB)
    source = VolumeSource(path=path, format=DiskFormat.QCOW2, size_bytes=DISK_MIB * MIB)
    info = driver.import_volume(source, token=new_token(), on_progress=quiet)
    assert info.size_bytes == DISK_MIB * MIB

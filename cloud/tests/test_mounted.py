"""The mark that a mounted file system leaves on its disk, read from real disks and rubbish."""

import os
import random
import subprocess
from pathlib import Path

import pytest

from cloud.local import mounted

MIB = 1 << 20
ONE_MIB_IN = 2048  # sectors
LAYOUTS = {
    "bare": "",
    "mbr": f"label: dos\n{ONE_MIB_IN},,83\n",
    "gpt": f"label: gpt\n{ONE_MIB_IN},16384\n",
}


def a_disk(folder: Path, *, layout: str, kind: str, is_mounted: bool, options: str = "") -> Path:
    """A qcow2 disk with a file system, in the first partition if there are any."""
    raw = folder / "raw"
    with raw.open("wb") as file:
        file.truncate(32 * MIB)
    offset = ONE_MIB_IN * 512 if LAYOUTS[layout] else 0
    if offset:
        table = LAYOUTS[layout].encode()
        subprocess.run(["sfdisk", "-q", raw], input=table, check=True, capture_output=True)
    make = ["mke2fs", "-q", "-t", kind, "-E", f"offset={offset}", raw, "16000k"]
    subprocess.run(make, check=True, capture_output=True)
    if is_mounted:
        with raw.open("r+b") as file:
            _mark(file.fileno(), offset + 1024, has_journal=kind != "ext2")
    disk = folder / "disk.qcow2"
    convert = ["qemu-img", "convert", "-f", "raw", "-O", "qcow2", *options.split(), raw, disk]
    subprocess.run(convert, check=True)
    return disk


def _mark(fd: int, at: int, *, has_journal: bool) -> None:
    """What Linux does when it mounts: ext4_clear_journal_err, ext2_setup_super."""
    where, mask = (at + 96, 4) if has_journal else (at + 58, 0)
    (old,) = os.pread(fd, 1, where)
    os.pwrite(fd, bytes([old | mask if has_journal else old & ~1]), where)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("kind", ["ext2", "ext4"])
def test_a_mounted_file_system_is_seen_wherever_it_begins(
    tmp_path: Path, layout: str, kind: str
) -> None:
    disk = a_disk(tmp_path, layout=layout, kind=kind, is_mounted=True)
    assert mounted.looks_mounted(disk)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("kind", ["ext2", "ext4"])
def test_one_that_is_not_mounted_is_left_in_peace(tmp_path: Path, layout: str, kind: str) -> None:
    disk = a_disk(tmp_path, layout=layout, kind=kind, is_mounted=False)
    assert not mounted.looks_mounted(disk)


@pytest.mark.parametrize("options", ["-o cluster_size=512", "-o cluster_size=2M", "-o compat=0.10"])
def test_any_layout_of_the_file_will_do(tmp_path: Path, options: str) -> None:
    disk = a_disk(tmp_path, layout="mbr", kind="ext4", is_mounted=True, options=options)
    assert mounted.looks_mounted(disk)


def test_an_empty_disk_and_no_disk_are_not_mounted(tmp_path: Path) -> None:
    disk = tmp_path / "disk.qcow2"
    assert not mounted.looks_mounted(disk)
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", disk, "1T"], check=True)
    assert not mounted.looks_mounted(disk)
    disk.write_bytes(b"")
    assert not mounted.looks_mounted(disk)


def test_rubbish_is_not_mounted_and_harms_nobody(tmp_path: Path) -> None:
    whole = a_disk(tmp_path, layout="gpt", kind="ext4", is_mounted=True).read_bytes()
    chance = random.Random(4)
    disk = tmp_path / "rubbish"
    for _ in range(50):
        data = bytearray(whole[: chance.choice([len(whole), 0x50000, 0x10100, 100])])
        for _ in range(20):
            at = chance.randrange(min(len(data), 0x60000))
            data[at] = chance.randrange(256)
        disk.write_bytes(data)
        assert mounted.looks_mounted(disk) in (True, False)

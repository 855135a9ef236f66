"""The embedded engine's volumes: who is at them, what does not fit or is not sound, and copies."""

import os
import subprocess
import threading
from collections.abc import Iterator
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

import pytest

from cloud.diskfiles import child
from cloud.errors import CloudBusy, CloudError, CloudRefused, CloudUnavailable
from cloud.local import plugs, qcow2, reading, transfers, volumes
from cloud.local.driver import LocalDriver
from cloud.tests.contract import new_token, quiet
from cloud.tests.local_volumes import bytes_over_bytes, disk, driver, home, left_in, volume
from cloud.tests.volume_conformance import MIB, PRETENDS_TO_BE_QCOW2, a_disk
from cloud.types import DiskFormat, VolumeInfo, VolumeSource

__all__ = ["disk", "driver", "home", "volume"]

F = DiskFormat


# Who is at it -------------------------------------------------------------------------


def test_two_exports_at_once_do_not_write_to_each_others_file(
    driver: LocalDriver, disk: VolumeSource, volume: VolumeInfo, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    refused: list[str] = []

    def rival(done: int, in_all: int) -> None:
        with pytest.raises(CloudBusy) as busy:
            driver.export_volume(volume.ref, out, F.RAW, on_progress=quiet)
        refused.append(str(busy.value))

    driver.export_volume(volume.ref, out, F.RAW, on_progress=rival)
    assert "being prepared already" in refused[0]
    assert out.read_bytes() == disk.path.read_bytes()
    driver.export_volume(volume.ref, out, F.RAW, on_progress=quiet)


def test_one_token_is_imported_once_at_a_time(
    driver: LocalDriver, home: Path, disk: VolumeSource
) -> None:
    token = new_token()
    refusals: list[CloudError] = []

    def meanwhile(done: int, in_all: int) -> None:
        with suppress(CloudBusy):
            LocalDriver(home=home).import_volume(disk, token=token, on_progress=quiet)
            return
        refusals.append(CloudBusy("as it should be"))

    driver.import_volume(disk, token=token, on_progress=meanwhile)
    assert refusals


def test_a_volume_that_is_read_is_not_changed_and_can_be_read_by_others(
    driver: LocalDriver, home: Path, volume: VolumeInfo, tmp_path: Path
) -> None:
    token = new_token()
    driver.create_snapshot(volume.ref, token=token)
    other = LocalDriver(home=home, timeout_s=0.2)
    asked = [
        lambda: other.grow_volume(volume.ref, 8 * MIB),
        lambda: other.create_snapshot(volume.ref, token=new_token()),
        lambda: other.restore_snapshot(volume.ref, token=token),
        lambda: other.delete_snapshot(volume.ref, token=token),
        lambda: other.delete_volume(volume.ref),
    ]
    busy = []

    def meanwhile(done: int, in_all: int) -> None:
        for ask in asked:
            with pytest.raises(CloudBusy, match="copied or downloaded"):
                ask()
        busy.append(other.copy_volume(volume.ref, token=new_token(), on_progress=quiet))

    driver.export_volume(volume.ref, tmp_path / "out", F.RAW, on_progress=meanwhile)
    assert busy
    assert other.grow_volume(volume.ref, 8 * MIB).size_bytes == 8 * MIB


def test_a_snapshot_that_is_read_is_not_removed_and_the_disk_may_change(
    driver: LocalDriver, home: Path, volume: VolumeInfo, tmp_path: Path
) -> None:
    token = new_token()
    driver.create_snapshot(volume.ref, token=token)
    other = LocalDriver(home=home, timeout_s=0.2)

    def meanwhile(done: int, in_all: int) -> None:
        with pytest.raises(CloudBusy, match="copied or downloaded"):
            other.delete_snapshot(volume.ref, token=token)
        reading.refuse_if_read(other._site, volume.ref, reading.NOW)

    driver.export_volume(volume.ref, tmp_path / "out", F.RAW, snapshot=token, on_progress=meanwhile)
    other.delete_snapshot(volume.ref, token=token)


def test_progress_is_told_to_the_end_and_never_goes_back(
    driver: LocalDriver, tmp_path: Path
) -> None:
    source = bytes_over_bytes(tmp_path / "source.raw", mib=48)
    told: list[tuple[int, int]] = []
    driver.import_volume(
        source, token=new_token(), on_progress=lambda done, all_: told.append((done, all_))
    )
    assert told[-1] == (source.size_bytes, source.size_bytes)
    assert told == sorted(told)


def test_a_child_that_says_nothing_is_looked_at_more_than_once_a_second() -> None:
    looks: list[int] = []
    child.run(
        ["sleep", "0.6"], uid=child.new_uid(), limits=child.Limits(),
        on_output=lambda _: None, on_tick=lambda: looks.append(1),
    )  # fmt: skip
    assert child.LOOK_EVERY_S <= 0.5
    assert looks


# What does not fit or is not sound ------------------------------------------------------


def test_a_full_site_puts_volumes_off_and_keeps_nothing(
    driver: LocalDriver, home: Path, disk: VolumeSource, volume: VolumeInfo, tmp_path: Path
) -> None:
    full = LocalDriver(home=home, disk_floor_bytes=1 << 60)
    token, out = new_token(), tmp_path / "out"
    for ask in (
        lambda: full.create_volume(MIB, token=token),
        lambda: full.import_volume(disk, token=token, on_progress=quiet),
        lambda: full.copy_volume(volume.ref, token=token, on_progress=quiet),
        lambda: full.create_snapshot(volume.ref, token=token),
        lambda: full.export_volume(volume.ref, out, F.RAW, on_progress=quiet),
    ):
        with pytest.raises(CloudBusy, match="MiB"):
            ask()
    assert [info.token for info in driver.list_volumes()] == [volume.token]
    assert not out.exists()
    assert left_in(home) == []


SMALL_DISK = 8 * MIB


@pytest.fixture
def small_disk(home: Path) -> Iterator[Path]:
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small disk")
    home.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SMALL_DISK},mode=0700", "tmpfs", str(home)]
    subprocess.run(mount, check=True)
    yield home
    subprocess.run(["umount", str(home)], check=True)


def test_a_disk_that_fills_up_in_the_middle_puts_the_import_off_and_keeps_nothing(
    small_disk: Path, tmp_path: Path
) -> None:
    driver = LocalDriver(home=small_disk, disk_floor_bytes=0)
    # The data fits as it is; with the tables of a volume it does not.
    data = os.urandom(SMALL_DISK - (128 << 10))
    path = tmp_path / "almost.raw"
    path.write_bytes(data)
    # Said by qemu-img, or by us who look now and then: whoever sees it first.
    with pytest.raises(CloudBusy, match=r"disk is full|has less than that left"):
        driver.import_volume(
            VolumeSource(path=path, format=F.RAW, size_bytes=len(data)),
            token=new_token(), on_progress=quiet,
        )  # fmt: skip
    assert list(driver.list_volumes()) == []
    assert left_in(small_disk) == []


def test_a_damaged_volume_is_one_line_of_the_list_and_harms_no_other(
    driver: LocalDriver, volume: VolumeInfo
) -> None:
    broken = driver.create_volume(MIB, token=new_token())
    plugs.disk_path(driver._site, broken.ref).write_bytes(b"rubbish" * 100)
    messages = {info.ref: info.message for info in driver.list_volumes()}
    assert "damaged" in messages[broken.ref]
    assert messages[volume.ref] == ""
    with pytest.raises(CloudUnavailable, match="damaged"):
        driver.get_volume(broken.ref)
    driver.delete_volume(broken.ref)
    assert [info.ref for info in driver.list_volumes()] == [volume.ref]


@pytest.mark.parametrize("named", ["backing", "data"])
def test_a_volume_whose_head_was_made_to_name_another_file_is_damaged(
    driver: LocalDriver, volume: VolumeInfo, tmp_path: Path, named: str
) -> None:
    path = plugs.disk_path(driver._site, volume.ref)
    secret = tmp_path / "secret"
    secret.write_bytes(b"secret" * 1000)
    if named == "backing":
        subprocess.run(
            ["qemu-img", "rebase", "-u", "-f", "qcow2", "-F", "raw", "-b", str(secret), str(path)],
            check=True,
        )
    else:
        with path.open("r+b") as file:
            file.seek(72)
            file.write((1 << 2).to_bytes(8, "big"))
    for ask in (
        lambda: driver.export_volume(volume.ref, tmp_path / "out", F.RAW, on_progress=quiet),
        lambda: driver.copy_volume(volume.ref, token=new_token(), on_progress=quiet),
        lambda: driver.create_snapshot(volume.ref, token=new_token()),
        lambda: driver.grow_volume(volume.ref, 8 * MIB),
    ):
        with pytest.raises(CloudUnavailable, match="damaged"):
            ask()


def test_the_file_of_a_volume_is_ours_alone(driver: LocalDriver, volume: VolumeInfo) -> None:
    path = plugs.disk_path(driver._site, volume.ref)
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert path.stat().st_uid == os.geteuid()
    driver.create_snapshot(volume.ref, token=new_token())
    driver.grow_volume(volume.ref, 8 * MIB)
    assert path.stat().st_uid == os.geteuid()


def test_a_snapshot_is_named_by_a_uuid(driver: LocalDriver, volume: VolumeInfo) -> None:
    for name in ("", "1", "-l", "x" * 300, "a,b"):
        with pytest.raises(CloudRefused):
            driver.create_snapshot(volume.ref, token=name)
    assert driver.get_volume(volume.ref).snapshots == ()


def test_a_disk_that_pretends_is_raw_inside_a_qcow2_of_ours(
    driver: LocalDriver, tmp_path: Path
) -> None:
    source = a_disk(tmp_path / "liar", head=PRETENDS_TO_BE_QCOW2)
    made = driver.import_volume(source, token=new_token(), on_progress=quiet)
    path = plugs.disk_path(driver._site, made.ref)
    assert qcow2.read(path).size_bytes == source.size_bytes
    assert b"/etc/passwd" not in path.read_bytes()[:4096]


# Copies that share blocks ---------------------------------------------------------------


@pytest.fixture
def sharing_home(tmp_path: Path) -> Iterator[Path]:
    """A site on a file system that can share blocks."""
    backing, home = tmp_path / "backing", tmp_path / "shares"
    home.mkdir()
    with backing.open("wb") as file:
        file.truncate(512 << 20)
    for mkfs in (["mkfs.xfs", "-q", "-m", "reflink=1"], ["mkfs.btrfs", "-q"]):
        with suppress(FileNotFoundError):
            subprocess.run([*mkfs, str(backing)], check=True)
            break
    else:
        pytest.skip("neither mkfs.xfs nor mkfs.btrfs is installed")
    done = subprocess.run(
        ["mount", "-o", "loop", str(backing), str(home)], check=False, capture_output=True
    )
    if done.returncode:
        pytest.skip("this host cannot mount it")
    yield home
    subprocess.run(["umount", str(home)], check=True)


@pytest.mark.slow
def test_copies_share_blocks_where_the_file_system_can(
    sharing_home: Path, disk: VolumeSource, tmp_path: Path
) -> None:
    driver = LocalDriver(home=sharing_home, disk_floor_bytes=0)
    assert "copy_on_write" not in driver.capabilities().lacks
    one = driver.import_volume(disk, token=new_token(), on_progress=quiet)
    then = new_token()
    driver.create_snapshot(one.ref, token=then)
    driver.grow_volume(one.ref, 8 * MIB)
    for snapshot, size_bytes in (("", 8 * MIB), (then, disk.size_bytes)):
        copy = driver.copy_volume(one.ref, token=new_token(), snapshot=snapshot, on_progress=quiet)
        assert (copy.size_bytes, copy.snapshots) == (size_bytes, ())
        out = tmp_path / copy.token
        driver.export_volume(copy.ref, out, F.RAW, on_progress=quiet)
        assert (
            sha256(out.read_bytes()[: disk.size_bytes]).digest()
            == sha256(disk.path.read_bytes()).digest()
        )


def test_where_blocks_cannot_be_shared_it_says_so(driver: LocalDriver) -> None:
    sentence = driver.capabilities().lacks.get("copy_on_write")
    assert (sentence is None) == transfers.shares_blocks(driver._site)
    if sentence:
        assert "share blocks" in sentence


def test_many_at_once_find_one_truth(driver: LocalDriver, home: Path, volume: VolumeInfo) -> None:
    """Snapshots taken and dropped by several processes' drivers: none is lost or doubled."""
    tokens = [new_token() for _ in range(6)]

    def take(token: str) -> None:
        other = LocalDriver(home=home)
        other.create_snapshot(volume.ref, token=token)
        other.create_snapshot(volume.ref, token=token)

    threads = [threading.Thread(target=take, args=(token,)) for token in tokens]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(driver.get_volume(volume.ref).snapshots) == sorted(tokens)
    assert volumes.Volume(driver._site, volume.ref).load().size_bytes == volume.size_bytes

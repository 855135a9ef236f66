"""Volumes that a running machine writes to: they grow, are kept as they are, and go back."""

import os
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from cloud.errors import CloudBusy
from cloud.local import plugs
from cloud.local.driver import LocalDriver
from cloud.tests.conformance import IMAGE, a_source
from cloud.tests.contract import new_token, quiet, until
from cloud.tests.real import (
    BOOT_S,
    P,
    a_driver,
    detach,
    new_volume,
    path_of,
    qemu_of,
    run,
    ssh,
    wait,
    wait_for_disk,
)
from cloud.types import DiskFormat, VmInfo

pytestmark = pytest.mark.qemu

MIB = 1 << 20
WRITE = "dd if=/dev/zero bs=1M count=2 2>/dev/null | tr '\\0' '{letter}' | dd of={path} bs=1M"


@pytest.fixture
def driver(home: Path, demo_image: Path) -> LocalDriver:
    one = a_driver(home)
    one.import_image(a_source(demo_image), token=IMAGE, on_progress=quiet)
    return one


@pytest.fixture
def own(key: Path) -> dict[str, Any]:
    return {"ssh_keys": (key.with_suffix(".pub").read_text(),)}


def write(key: Path, vm: VmInfo, path: str, letter: str) -> None:
    """Two MiB of one letter at the disk's beginning, on the disk when this returns."""
    ssh(key, vm, f"{WRITE.format(letter=letter, path=path)} conv=fsync 2>/dev/null; sync")


def head_of(driver: LocalDriver, ref: str, folder: Path, *, snapshot: str = "") -> bytes:
    out = folder / new_token()
    driver.export_volume(ref, out, DiskFormat.RAW, snapshot=snapshot, on_progress=quiet)
    with out.open("rb") as file:
        return file.read(2 * MIB)


def is_sound(driver: LocalDriver, ref: str) -> bool:
    path = plugs.disk_path(driver._site, ref)
    done = subprocess.run(["qemu-img", "check", "-q", "-f", "qcow2", str(path)], check=False)
    return done.returncode == 0


def test_a_volume_that_a_machine_writes_to_grows_and_is_kept_and_goes_back(
    driver: LocalDriver, key: Path, own: dict[str, Any], tmp_path: Path
) -> None:
    vm = run(driver, **own)
    volume = new_volume(driver, size_bytes=64 * MIB)
    driver.attach_volume(vm.ref, volume, read_only=False)
    path = path_of(driver, vm, volume)
    name = wait_for_disk(key, vm, path)

    write(key, vm, path, "a")
    first, second = new_token(), new_token()
    driver.create_snapshot(volume, token=first)
    driver.create_snapshot(volume, token=first)
    write(key, vm, path, "b")
    assert driver.grow_volume(volume, 96 * MIB).size_bytes == 96 * MIB
    sectors = f"cat /sys/block/{Path(name).name}/size"
    until(
        lambda: int(ssh(key, vm, sectors)) * 512 == 96 * MIB, within_s=BOOT_S, what="it has grown"
    )
    driver.create_snapshot(volume, token=second)
    assert driver.get_volume(volume).snapshots == (first, second)

    with pytest.raises(CloudBusy):
        head_of(driver, volume, tmp_path)
    assert head_of(driver, volume, tmp_path, snapshot=first) == b"a" * 2 * MIB
    assert head_of(driver, volume, tmp_path, snapshot=second) == b"b" * 2 * MIB
    copy = driver.copy_volume(volume, token=new_token(), snapshot=first, on_progress=quiet)
    assert copy.size_bytes == 64 * MIB
    assert head_of(driver, copy.ref, tmp_path) == b"a" * 2 * MIB

    write(key, vm, path, "c")
    driver.delete_snapshot(volume, token=second)
    driver.delete_snapshot(volume, token=second)
    with pytest.raises(CloudBusy):
        driver.restore_snapshot(volume, token=first)
    detach(driver, vm, volume)
    assert is_sound(driver, volume)
    assert head_of(driver, volume, tmp_path) == b"c" * 2 * MIB
    driver.restore_snapshot(volume, token=first)
    assert driver.get_volume(volume).size_bytes == 64 * MIB
    assert head_of(driver, volume, tmp_path) == b"a" * 2 * MIB
    assert is_sound(driver, volume)


def test_a_volume_of_a_machine_that_is_off_is_changed_without_it(driver: LocalDriver) -> None:
    vm = run(driver)
    volume = new_volume(driver)
    driver.attach_volume(vm.ref, volume, read_only=False)
    os.kill(qemu_of(vm).pid, 9)
    wait(driver, vm.ref, P.UNKNOWN)
    token = new_token()
    driver.create_snapshot(volume, token=token)
    assert driver.grow_volume(volume, 2 << 30).size_bytes == 2 << 30
    driver.start_vm(vm.ref)
    wait(driver, vm.ref, P.RUNNING)
    driver.delete_snapshot(volume, token=token)
    assert driver.get_volume(volume).snapshots == ()


def test_a_volume_that_machines_read_is_copied_and_not_changed(
    driver: LocalDriver, tmp_path: Path
) -> None:
    vm = run(driver)
    volume = new_volume(driver, size_bytes=64 * MIB)
    driver.attach_volume(vm.ref, volume, read_only=True)
    assert head_of(driver, volume, tmp_path) == bytes(2 * MIB)
    assert driver.copy_volume(volume, token=new_token(), on_progress=quiet)
    for ask in (
        lambda: driver.grow_volume(volume, 96 * MIB),
        lambda: driver.create_snapshot(volume, token=new_token()),
        lambda: driver.delete_volume(volume),
    ):
        with pytest.raises(CloudBusy):
            ask()
    assert driver.get_volume(volume).size_bytes == 64 * MIB


def test_a_volume_that_is_copied_is_not_given_to_a_machine_to_write_to(
    driver: LocalDriver, tmp_path: Path
) -> None:
    vm = run(driver)
    volume = new_volume(driver, size_bytes=64 * MIB)
    tried = []

    def meanwhile(done: int, in_all: int) -> None:
        with pytest.raises(CloudBusy, match="copied or downloaded"):
            driver.attach_volume(vm.ref, volume, read_only=False)
        tried.append(done)

    out = tmp_path / "out"
    driver.export_volume(volume, out, DiskFormat.RAW, on_progress=meanwhile)
    assert tried
    driver.attach_volume(vm.ref, volume, read_only=False)
    with suppress(CloudBusy):
        driver.detach_volume(vm.ref, volume, force=True)

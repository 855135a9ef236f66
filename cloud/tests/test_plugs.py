"""Disks in real machines of the embedded engine: what a guest sees, and what survives a kill."""

import os
import signal
import time
from pathlib import Path
from typing import Any

import pycdlib
import pytest

from cloud.errors import CloudBusy
from cloud.images import debian
from cloud.local import disks
from cloud.local.driver import LocalDriver
from cloud.tests.conformance import IMAGE, a_source
from cloud.tests.contract import new_token, quiet, until
from cloud.tests.real import (
    BOOT_S,
    CACHE,
    GIB,
    P,
    a_driver,
    detach,
    new_volume,
    open_files,
    path_of,
    qemu_of,
    run,
    ssh,
    wait,
    wait_for_disk,
)
from cloud.types import DiskBus, DiskFormat, Plug, VolumeSource

pytestmark = pytest.mark.qemu

MIB = 1 << 20


@pytest.fixture
def driver(home: Path, demo_image: Path) -> LocalDriver:
    one = a_driver(home)
    one.import_image(a_source(demo_image), token=IMAGE, on_progress=quiet)
    return one


@pytest.fixture
def own(key: Path) -> dict[str, Any]:
    """What a machine needs so that the test can sign in."""
    return {"ssh_keys": (key.with_suffix(".pub").read_text(),)}


# What guests see ------------------------------------------------------------------------


def test_what_one_machine_wrote_another_reads(
    driver: LocalDriver, key: Path, own: dict[str, Any]
) -> None:
    one, other = run(driver, **own), run(driver, **own)
    volume = new_volume(driver)
    driver.attach_volume(one.ref, volume, read_only=False)
    path = path_of(driver, one, volume)
    wait_for_disk(key, one, path)
    ssh(key, one, f"mkfs.ext4 -q -L results {path} && mount {path} /mnt")
    said = ssh(
        key, one, "dd if=/dev/urandom of=/mnt/data bs=1M count=5 2>/dev/null; sha256sum /mnt/data"
    )
    ssh(key, one, "umount /mnt")
    detach(driver, one, volume)
    driver.attach_volume(other.ref, volume, read_only=False)
    wait_for_disk(key, other, path)
    assert 'LABEL="results"' in ssh(key, other, f"blkid {path}")
    assert ssh(key, other, f"mount {path} /mnt && sha256sum /mnt/data") == said
    used = driver.usage([other.ref])[other.ref].volumes[volume]
    assert used.read_bytes > 5 * MIB
    assert used.write_bytes > 0


def test_the_guest_calls_it_what_we_say_and_looks_again_when_it_is_gone(
    driver: LocalDriver, key: Path, own: dict[str, Any]
) -> None:
    vm = run(driver, **own, volatile_bytes=(GIB,))
    ssh(key, vm, "while ! [ -b /dev/sda ]; do usleep 20000; done")
    volumes = [new_volume(driver) for _ in range(3)]
    for volume in volumes:
        driver.attach_volume(vm.ref, volume, read_only=False)
    for disk in driver.get_vm(vm.ref).disks:
        assert wait_for_disk(key, vm, disk.stable_path) == disk.device
    gone, *_ = driver.get_vm(vm.ref).disks
    detach(driver, vm, gone.volume)
    ssh(key, vm, f"while [ -e {gone.stable_path} ] || [ -e {gone.device} ]; do usleep 20000; done")
    assert driver.get_vm(vm.ref).disks[0].device != gone.device
    driver.attach_volume(vm.ref, volumes[0], read_only=False)
    assert driver.get_vm(vm.ref).disks[-1].device == gone.device
    assert wait_for_disk(key, vm, gone.stable_path) == gone.device


def test_more_disks_than_letters(driver: LocalDriver, key: Path, own: dict[str, Any]) -> None:
    vm = run(driver, **own)
    ssh(key, vm, "true")
    volumes = [new_volume(driver) for _ in range(30)]
    for volume in volumes:
        driver.attach_volume(vm.ref, volume, read_only=False)
    found = driver.get_vm(vm.ref).disks
    assert found[25].device == "/dev/sdz"
    assert found[29].device == "/dev/sdad"
    count = "ls /dev/disk/by-id | grep -c scsi-0QEMU_QEMU_HARDDISK_"
    until(lambda: int(ssh(key, vm, count)) == 30, within_s=BOOT_S)
    for disk in (found[0], found[25], found[29]):
        assert wait_for_disk(key, vm, disk.stable_path) == disk.device
    driver.stop_vm(vm.ref)
    wait(driver, vm.ref, P.STOPPED)
    driver.start_vm(vm.ref)
    vm = wait(driver, vm.ref, P.RUNNING)
    assert [disk.device for disk in vm.disks] == [disk.device for disk in found]
    until(lambda: int(ssh(key, vm, count)) == 30, within_s=BOOT_S)


@pytest.mark.parametrize("bus", [DiskBus.VIRTIO, DiskBus.SCSI])
def test_a_disk_that_comes_while_the_guest_boots_is_there(
    driver: LocalDriver, key: Path, own: dict[str, Any], bus: DiskBus
) -> None:
    vm = run(driver, **own, disk_bus=bus)
    for _ in range(3):
        volume = new_volume(driver)
        driver.attach_volume(vm.ref, volume, read_only=False)
        wait_for_disk(key, vm, path_of(driver, vm, volume))


def test_a_data_disk_is_found_by_its_label_and_read_by_many(
    driver: LocalDriver, key: Path, own: dict[str, Any], tmp_path: Path
) -> None:
    iso = pycdlib.PyCdlib()
    iso.new(joliet=3, rock_ridge="1.09", vol_ident="REFERENCE")
    (tmp_path / "genes").write_text("acgt")
    iso.add_file(str(tmp_path / "genes"), "/GENES.;1", rr_name="genes", joliet_path="/genes")
    iso.write(str(tmp_path / "data.iso"))
    iso.close()
    source = VolumeSource(
        path=tmp_path / "data.iso",
        format=DiskFormat.RAW,
        size_bytes=(tmp_path / "data.iso").stat().st_size,
    )
    volume = driver.import_volume(source, token=new_token(), on_progress=quiet).ref
    plug = Plug(volume=volume, read_only=True)
    vms = [run(driver, **own, volumes=(plug,)) for _ in range(2)]
    for vm in vms:
        path = vm.disks[0].stable_path
        wait_for_disk(key, vm, path)
        assert 'LABEL="REFERENCE"' in ssh(key, vm, "blkid")
        ssh(key, vm, "mount -o ro $(blkid -L REFERENCE) /mnt")
        assert ssh(key, vm, "grep /mnt /proc/mounts; cat /mnt/genes").endswith("acgt")
        refused = ssh(key, vm, f"umount /mnt; (echo x >{path}) 2>&1 || echo refused")
        assert "refused" in refused
        detach(driver, vm, volume)


def test_a_machine_lives_on_a_volume_which_outlives_it(
    driver: LocalDriver, key: Path, own: dict[str, Any], demo_image: Path
) -> None:
    size = driver.find_image(IMAGE).virtual_size_bytes
    source = VolumeSource(path=demo_image, format=DiskFormat.QCOW2, size_bytes=size)
    volume = driver.import_volume(source, token=new_token(), on_progress=quiet).ref
    driver.delete_image(IMAGE)
    for bus, path in (
        (DiskBus.VIRTIO, disks.virtio_path(volume)),
        (DiskBus.SCSI, disks.scsi_path(volume)),
    ):
        vm = run(driver, **own, image="", root_volume=volume, disk_bus=bus)
        assert [(disk.volume, disk.stable_path) for disk in vm.disks] == [(volume, path)]
        assert wait_for_disk(key, vm, path)
        ssh(key, vm, f"echo {bus} >>/root/seen; sync")
        assert driver.usage([vm.ref])[vm.ref].volumes[volume].read_bytes
        assert driver.usage([vm.ref])[vm.ref].disk_read_bytes
        last = ssh(key, vm, "cat /root/seen")
        driver.delete_vm(vm.ref)
    assert last == "virtio\nscsi\n"
    driver.delete_volume(volume)


def test_volatile_disks_live_as_long_as_their_machine(
    driver: LocalDriver, key: Path, own: dict[str, Any], home: Path
) -> None:
    vm = run(driver, **own, volatile_bytes=(GIB, 2 * GIB))
    path = disks.scsi_path("volatile-2")
    wait_for_disk(key, vm, path)
    assert ssh(key, vm, f"blockdev --getsize64 {path}").strip() == str(2 * GIB)
    ssh(key, vm, f"echo still here | dd of={path} conv=fsync")
    assert path in vm.attributes["volatile disk 2"]
    os.kill(qemu_of(vm).pid, signal.SIGKILL)
    wait(driver, vm.ref, P.UNKNOWN)
    driver.start_vm(vm.ref)
    vm = wait(driver, vm.ref, P.RUNNING)
    wait_for_disk(key, vm, path)
    assert ssh(key, vm, f"head -c 10 {path}") == "still here"
    files = list((home / "machines" / vm.ref / "run").glob("volatile-*"))
    assert len(files) == 2
    assert all(file.stat().st_blocks * 512 < 2 * MIB for file in files)
    driver.delete_vm(vm.ref)
    assert not list(home.rglob("volatile-*"))


@pytest.mark.slow
def test_debian_gives_a_disk_the_name_that_we_say(
    home: Path, key: Path, own: dict[str, Any]
) -> None:
    image = CACHE / f"debian-{debian.VERSION}.qcow2"
    if not image.exists():
        debian.build(image, cache_dir=CACHE / "debs")
    driver = a_driver(home)
    driver.import_image(a_source(image), token=IMAGE, on_progress=quiet)
    at_boot, later = new_volume(driver), new_volume(driver)
    vm = run(driver, **own, memory_mib=512, volumes=(Plug(volume=at_boot),), volatile_bytes=(GIB,))
    until(lambda: b"login: " in driver.console_log(vm.ref, max_bytes=1 << 20), within_s=300)
    driver.attach_volume(vm.ref, later, read_only=True)
    plugged = [disk.stable_path for disk in driver.get_vm(vm.ref).disks]
    for path in (*plugged, disks.virtio_path("root"), disks.scsi_path("volatile-1")):
        assert wait_for_disk(key, vm, path).startswith("/dev/")


# Letting go -----------------------------------------------------------------------------


def test_a_disk_that_is_mounted_stays_until_it_is_unmounted(
    driver: LocalDriver, key: Path, own: dict[str, Any]
) -> None:
    vm = run(driver, **own)
    volume = new_volume(driver)
    driver.attach_volume(vm.ref, volume, read_only=False)
    path = path_of(driver, vm, volume)
    wait_for_disk(key, vm, path)
    ssh(key, vm, f"mkfs.ext4 -q {path} && mount {path} /mnt && echo unsaved >/mnt/work")
    with pytest.raises(CloudBusy, match="mounted"):
        driver.detach_volume(vm.ref, volume)
    ssh(key, vm, "sync; sleep 2")
    with pytest.raises(CloudBusy, match="mounted"):
        driver.detach_volume(vm.ref, volume)
    ssh(key, vm, "umount /mnt")
    detach(driver, vm, volume)


def test_a_disk_that_is_written_to_stays_until_it_is_forced(
    driver: LocalDriver, key: Path, own: dict[str, Any]
) -> None:
    vm = run(driver, **own)
    volume = new_volume(driver)
    driver.attach_volume(vm.ref, volume, read_only=False)
    path = path_of(driver, vm, volume)
    wait_for_disk(key, vm, path)
    ssh(key, vm, f"(while dd if=/dev/zero of={path} bs=1M count=1 conv=fsync; do :; done)"
        " >/dev/null 2>&1 &")  # fmt: skip
    until(lambda: driver.usage([vm.ref])[vm.ref].volumes[volume].write_bytes > MIB)
    began = time.monotonic()
    with pytest.raises(CloudBusy, match="writing"):
        driver.detach_volume(vm.ref, volume)
    assert time.monotonic() - began < 3
    driver.detach_volume(vm.ref, volume, force=True)
    assert driver.get_vm(vm.ref).disks == ()
    assert volume not in open_files(vm)
    assert ssh(key, vm, "echo alive") == "alive\n"
    driver.delete_volume(volume)

"""Root disks of real machines become volumes: to the byte, once, whoever is killed meanwhile."""

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from cloud.errors import CloudBusy, CloudError, CloudFull, CloudRefused
from cloud.local import plugs, process, qcow2, saving, volumes
from cloud.local.driver import LocalDriver
from cloud.local.machine import Machine
from cloud.tests.conformance import IMAGE, a_source
from cloud.tests.contract import new_token, quiet, until
from cloud.tests.real import (
    BOOT_S,
    P,
    a_driver,
    qemu_of,
    run,
    ssh,
    wait,
    wait_for_login,
)
from cloud.types import DiskBus, SavedDisk, VmInfo

pytestmark = pytest.mark.qemu

MIB = 1 << 20
SIZE = 2048 * MIB  # of the demo image


@pytest.fixture
def driver(home: Path, demo_image: Path) -> LocalDriver:
    one = a_driver(home)
    one.import_image(a_source(demo_image), token=IMAGE, on_progress=quiet)
    return one


@pytest.fixture
def own(key: Path) -> dict[str, Any]:
    return {"ssh_keys": (key.with_suffix(".pub").read_text(),)}


@pytest.fixture
def off(driver: LocalDriver) -> VmInfo:
    """A machine that is off, with noise on its disk."""
    vm = run(driver)
    wait_for_login(driver, vm.ref)
    driver.power_off_vm(vm.ref)
    return wait_until_off(driver, vm)


def wait_until_off(driver: LocalDriver, vm: VmInfo) -> VmInfo:
    return wait(driver, vm.ref, P.STOPPED)


def disk_of(driver: LocalDriver, vm: VmInfo) -> Path:
    return Machine(driver._site, vm.ref).run / "root.qcow2"


def scribble(path: Path, mib: int, *, at_mib: int) -> None:
    """Write noise into a disk that nobody has open, as a guest might."""
    noise = path.parent.parent / "noise"
    with noise.open("wb") as file:
        for _ in range(mib):
            file.write(os.urandom(MIB))
    subprocess.run(
        ["qemu-io", "-f", "qcow2", "-c", f"write -s {noise} {at_mib}M {mib}M", path],
        check=True, capture_output=True,
    )  # fmt: skip
    noise.unlink()


def sums_of(path: Path, folder: Path) -> tuple[int, dict[str, str]]:
    """Size and checksums of the disk in a file, by other means than ours."""
    raw = folder / new_token()
    subprocess.run(["qemu-img", "convert", "-f", "qcow2", "-O", "raw", path, raw], check=True)

    def sum_of(name: str) -> str:
        with raw.open("rb") as file:
            return hashlib.file_digest(file, name).hexdigest()

    names = ("sha1", "sha256", "sha512")
    with ThreadPoolExecutor() as pool:
        sums = dict(zip(names, pool.map(sum_of, names), strict=True))
    size_bytes = raw.stat().st_size
    raw.unlink()
    return size_bytes, sums


def told(saved: SavedDisk) -> tuple[int, dict[str, str]]:
    sums = {name: getattr(saved, name) for name in ("sha1", "sha256", "sha512")}
    return saved.volume.size_bytes, sums


def save(driver: LocalDriver, vm: VmInfo) -> SavedDisk:
    return driver.save_root_disk(vm.ref, token=new_token(), on_progress=quiet)


def volume_file(driver: LocalDriver, saved: SavedDisk) -> Path:
    return plugs.disk_path(driver._site, saved.volume.token)


def readers(driver: LocalDriver) -> list[str]:
    """The programs, but for machines' own, that have a file of the site open."""
    found = []
    home = str(driver._site.home)
    for one in Path("/proc").iterdir():
        with suppress(OSError):
            name = (one / "comm").read_text().strip()
            links = [os.readlink(fd) for fd in (one / "fd").iterdir()]
            if name.startswith(("qemu-nbd", "qemu-img")) and any(home in link for link in links):
                found.append(name)
    return found


def snapshots(path: Path) -> list[str]:
    return list(qcow2.read(path, is_overlay=True).snapshots)


def left_over(driver: LocalDriver) -> list[Path]:
    """What is half done: volumes that are none, and marks."""
    site = driver._site
    half = [path for path in site.volumes.iterdir() if path.name.startswith(".")]
    return half + list(site.home.glob(f"*/*/{saving.roots.MARK}"))


# To the byte ------------------------------------------------------------------------------


def test_a_saved_disk_is_the_guests_to_the_byte(
    driver: LocalDriver, off: VmInfo, tmp_path: Path
) -> None:
    scribble(disk_of(driver, off), 24, at_mib=500)
    expected = sums_of(disk_of(driver, off), tmp_path)
    began = time.monotonic()
    steps: list[tuple[float, int]] = []
    saved = driver.save_root_disk(
        off.ref,
        token=new_token(),
        on_progress=lambda done, _: steps.append((time.monotonic(), done)),
    )
    assert told(saved) == expected
    assert sums_of(volume_file(driver, saved), tmp_path) == expected
    check = ["qemu-img", "check", "-q", "-f", "qcow2", volume_file(driver, saved)]
    subprocess.run(check, check=True)
    assert (
        "backing"
        not in subprocess.run(
            ["qemu-img", "info", volume_file(driver, saved)],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
    )
    times = [began, *(at for at, _ in steps)]
    assert max(later - before for before, later in pairwise(times)) < 1.0
    assert [done for _, done in steps] == sorted(done for _, done in steps)
    assert steps[-1][1] == SIZE
    assert 0 < (saved.volume.used_bytes or 0) < 200 * MIB
    assert left_over(driver) == []
    assert readers(driver) == []


def test_saving_takes_no_memory_to_speak_of(
    driver: LocalDriver, off: VmInfo, tmp_path: Path
) -> None:
    scribble(disk_of(driver, off), 256, at_mib=400)
    code = (
        "import resource, sys\n"
        "from cloud.local.driver import LocalDriver\n"
        "driver = LocalDriver(home=sys.argv[1], disk_floor_bytes=1 << 20)\n"
        "driver.find_vm(sys.argv[2])\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "driver.save_root_disk(sys.argv[2], token=sys.argv[3], on_progress=lambda *_: None)\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)\n"
    )
    words = [sys.executable, "-c", code, str(driver._site.home), off.ref, new_token()]
    said = subprocess.run(words, capture_output=True, text=True, check=True, cwd=ROOT).stdout
    assert int(said) < 40 << 10


def test_what_a_person_wrote_is_in_the_machine_that_boots_from_it(
    driver: LocalDriver, key: Path, own: dict[str, Any]
) -> None:
    vm = run(driver, **own)
    ssh(key, vm, "echo mine > /root/note; sync")
    saved = save(driver, vm)
    assert ssh(key, vm, "echo theirs > /root/note; sync; cat /root/note").strip() == "theirs"
    driver.delete_vm(vm.ref)
    driver.delete_image(IMAGE)
    again = run(driver, image="", root_volume=saved.volume.ref, **own)
    assert ssh(key, again, "cat /root/note").strip() == "mine"


@pytest.mark.parametrize("bus", [DiskBus.VIRTIO, DiskBus.SCSI])
def test_a_machine_that_writes_all_the_time_is_saved_as_of_one_moment(
    driver: LocalDriver, key: Path, own: dict[str, Any], tmp_path: Path, bus: DiskBus
) -> None:
    vm = run(driver, disk_bus=bus, **own)
    write = (
        "(n=0; while :; do n=$((n+1)); dd if=/dev/urandom of=/root/file bs=64k count=64 conv=fsync"
        " 2>/dev/null; echo $n > /root/number; sync; done) >/dev/null 2>&1 & echo on"
    )
    assert ssh(key, vm, write).strip() == "on"
    saved = save(driver, vm)
    assert sums_of(volume_file(driver, saved), tmp_path) == told(saved)
    assert driver.get_vm(vm.ref).phase is P.RUNNING
    assert snapshots(disk_of(driver, vm)) == []
    assert left_over(driver) == []
    driver.power_off_vm(vm.ref)
    wait_until_off(driver, vm)
    done = subprocess.run(["qemu-img", "check", "-q", disk_of(driver, vm)], check=False)
    assert done.returncode in (0, 3)  # sound; QEMU may have kept room that it does not need


def test_a_pulled_plug_keeps_what_was_on_disk(
    driver: LocalDriver, key: Path, own: dict[str, Any]
) -> None:
    vm = run(driver, **own)
    ssh(key, vm, "echo mine > /root/note; sync")
    driver.power_off_vm(vm.ref)
    assert driver.get_vm(vm.ref).phase is P.STOPPED
    assert process._find(vm.ref) == []
    driver.start_vm(vm.ref)
    wait(driver, vm.ref, P.RUNNING)
    assert ssh(key, vm, "cat /root/note").strip() == "mine"


def test_a_machine_that_is_stuck_loses_its_plug_all_the_same(driver: LocalDriver) -> None:
    vm = run(driver)
    os.kill(qemu_of(vm).pid, signal.SIGSTOP)
    driver.power_off_vm(vm.ref)
    assert driver.get_vm(vm.ref).phase is P.STOPPED
    assert process._find(vm.ref) == []


# Meanwhile --------------------------------------------------------------------------------


@pytest.fixture
def halfway(driver: LocalDriver, off: VmInfo) -> Iterator["Halfway"]:
    with Halfway(driver, off) as one:
        yield one


class Halfway:
    """Somebody who saves a machine, and waits in the middle until told to go on."""

    def __init__(self, driver: LocalDriver, vm: VmInfo) -> None:
        self.token = new_token()
        self._driver, self._vm = driver, vm
        self._there, self._go_on = threading.Event(), threading.Event()
        self.saved: list[SavedDisk] = []
        self._thread = threading.Thread(target=self._save)

    def __enter__(self) -> "Halfway":
        self._thread.start()
        assert self._there.wait(30)
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def end(self) -> None:
        self._go_on.set()
        self._thread.join()

    def _save(self) -> None:
        def tell(done: int, in_all: int) -> None:
            if done:
                self._there.set()
                self._go_on.wait(60)

        with suppress(CloudError):
            self.saved.append(
                self._driver.save_root_disk(self._vm.ref, token=self.token, on_progress=tell)
            )


def test_a_machine_that_is_off_does_not_start_while_it_is_saved(
    driver: LocalDriver, off: VmInfo, halfway: Halfway
) -> None:
    with pytest.raises(CloudBusy, match="saved"):
        driver.start_vm(off.ref)
    for token in (halfway.token, new_token()):
        with pytest.raises(CloudBusy):
            driver.save_root_disk(off.ref, token=token, on_progress=quiet)
    assert list(driver.list_volumes()) == []
    assert [info.phase for info in driver.list_vms()] == [P.STOPPED]
    halfway.end()
    driver.start_vm(off.ref)
    wait(driver, off.ref, P.RUNNING)
    assert [one.volume.token for one in halfway.saved] == [halfway.token]


def test_a_machine_may_be_deleted_while_it_is_saved(
    driver: LocalDriver, off: VmInfo, halfway: Halfway, tmp_path: Path
) -> None:
    driver.delete_vm(off.ref)
    halfway.end()
    (saved,) = halfway.saved
    assert sums_of(volume_file(driver, saved), tmp_path) == told(saved)
    assert left_over(driver) == []


def test_a_machine_may_end_and_start_again_while_it_is_saved(
    driver: LocalDriver, tmp_path: Path
) -> None:
    vm = run(driver)
    wait_for_login(driver, vm.ref)
    with Halfway(driver, vm) as halfway:
        driver.power_off_vm(vm.ref)
        driver.start_vm(vm.ref)
        wait(driver, vm.ref, P.RUNNING)
        halfway.end()
        (saved,) = halfway.saved
    assert sums_of(volume_file(driver, saved), tmp_path) == told(saved)
    assert snapshots(disk_of(driver, vm)) == []
    assert left_over(driver) == []


# Killed -----------------------------------------------------------------------------------

ROOT = Path(__file__).parents[2]
SAVE_AND_DIE = """
import os, signal, sys
from cloud.local.driver import LocalDriver
home, vm, token, share = sys.argv[1:]
def tell(done, in_all):
    if done >= float(share) * in_all:
        os.kill(os.getpid(), signal.SIGKILL)
driver = LocalDriver(home=home, disk_floor_bytes=1 << 20)
driver.save_root_disk(vm, token=token, on_progress=tell)
"""


def save_and_die(driver: LocalDriver, vm: VmInfo, token: str, share: float) -> None:
    """Save it in a process that is killed when ``share`` of the disk is done."""
    words = [sys.executable, "-c", SAVE_AND_DIE, str(driver._site.home), vm.ref, token, str(share)]
    done = subprocess.run(words, check=False, cwd=ROOT, capture_output=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    until(lambda: not readers(driver), within_s=5, what="nobody reads any more")


@pytest.mark.faults
@pytest.mark.parametrize("share", [0.0, 0.1, 0.6, 1.0])
def test_a_killed_saver_leaves_nothing_and_the_next_one_saves(
    driver: LocalDriver, off: VmInfo, tmp_path: Path, share: float
) -> None:
    scribble(disk_of(driver, off), 24, at_mib=500)
    token = new_token()
    save_and_die(driver, off, token, share)
    assert driver.find_volume(token) is None
    assert list(driver.list_volumes()) == []
    saved = driver.save_root_disk(off.ref, token=token, on_progress=quiet)
    assert sums_of(volume_file(driver, saved), tmp_path) == told(saved)
    assert left_over(driver) == []
    driver.start_vm(off.ref)
    wait(driver, off.ref, P.RUNNING)


@pytest.mark.faults
@pytest.mark.parametrize("is_on", [True, False], ids=["goes-on", "ends"])
def test_the_snapshot_of_a_killed_saver_goes_with_the_next_look(
    driver: LocalDriver, is_on: bool
) -> None:
    vm = run(driver)
    wait_for_login(driver, vm.ref)
    save_and_die(driver, vm, new_token(), 0.3)
    assert snapshots(disk_of(driver, vm)) == [volumes.BEING_SAVED]
    if not is_on:
        driver.power_off_vm(vm.ref)
    until(lambda: list(driver.list_vms()) and not left_over(driver), within_s=BOOT_S)
    assert snapshots(disk_of(driver, vm)) == []
    assert driver.get_vm(vm.ref).phase is (P.RUNNING if is_on else P.STOPPED)
    if not is_on:
        driver.start_vm(vm.ref)
        wait(driver, vm.ref, P.RUNNING)
    assert save(driver, vm).sha1


@pytest.mark.faults
def test_a_killed_saver_of_a_root_volume_leaves_no_snapshot_that_is_shown(
    driver: LocalDriver, off: VmInfo
) -> None:
    root = save(driver, off).volume.ref
    vm = run(driver, image="", root_volume=root)
    wait_for_login(driver, vm.ref)
    save_and_die(driver, vm, new_token(), 0.3)
    assert driver.get_volume(root).snapshots == ()
    disk = plugs.disk_path(driver._site, root)
    assert snapshots(disk) == [volumes.BEING_SAVED]
    driver.delete_vm(vm.ref)
    driver.list_vms()
    assert snapshots(disk) == []
    assert left_over(driver) == []


# Room and damage --------------------------------------------------------------------------


def test_without_room_nothing_is_written(driver: LocalDriver, off: VmInfo) -> None:
    about = os.statvfs(driver._site.home)
    narrow = a_driver(driver._site.home, disk_floor_bytes=about.f_bavail * about.f_frsize - 8 * MIB)
    token = new_token()
    with pytest.raises(CloudFull, match="MiB"):
        narrow.save_root_disk(off.ref, token=token, on_progress=quiet)
    assert driver.find_volume(token) is None
    assert left_over(driver) == []
    assert save(driver, off).sha1


def test_a_site_that_fills_up_meanwhile_keeps_nothing(driver: LocalDriver, off: VmInfo) -> None:
    scribble(disk_of(driver, off), 64, at_mib=500)
    about = os.statvfs(driver._site.home)
    room = a_driver(driver._site.home, disk_floor_bytes=about.f_bavail * about.f_frsize - 300 * MIB)
    ballast = driver._site.home / "ballast"

    def tell(done: int, in_all: int) -> None:
        if done and not ballast.exists():
            with ballast.open("wb") as file:
                os.posix_fallocate(file.fileno(), 0, 300 * MIB)

    with pytest.raises(CloudFull):
        room.save_root_disk(off.ref, token=new_token(), on_progress=tell)
    ballast.unlink()
    assert list(driver.list_volumes()) == []
    assert left_over(driver) == []
    assert readers(driver) == []


def test_what_a_machines_user_puts_in_the_disks_place_is_not_read(
    driver: LocalDriver, off: VmInfo, tmp_path: Path
) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(disk_of(driver, off).read_bytes())
    disk = disk_of(driver, off)
    disk.rename(disk.with_name("kept"))
    tricks = [disk.symlink_to, disk.hardlink_to]
    for trick in tricks:
        trick(secret)
        with pytest.raises(CloudRefused):
            save(driver, off)
        disk.unlink()
    os.mkfifo(disk)
    with pytest.raises(CloudRefused):
        save(driver, off)
    disk.unlink()
    disk.with_name("kept").rename(disk)
    base = disk.with_name("base.qcow2")
    base.unlink()
    shutil.copy(secret, base)
    with pytest.raises(CloudRefused):
        save(driver, off)
    assert list(driver.list_volumes()) == []
    assert left_over(driver) == []

"""The embedded engine survives real faults, with real machines."""

import hashlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from cloud.errors import CloudBusy, CloudUnavailable
from cloud.local import accel, process
from cloud.local.driver import LocalDriver
from cloud.local.machine import Machine, Stage
from cloud.tests.conformance import IMAGE, a_source
from cloud.tests.contract import new_token, quiet, until
from cloud.tests.real import (
    a_driver,
    a_spec,
    driver,
    end_all,
    listening,
    qemu_of,
    run,
    ssh,
    wait,
    wait_for_login,
)
from cloud.types import ImageFormat, VmPhase

__all__ = ["driver"]
pytestmark = pytest.mark.qemu

P = VmPhase


def test_a_killed_qemu_is_noticed_within_a_second_and_starts_again(driver: LocalDriver) -> None:
    info = run(driver)
    with listening(driver) as lateness:
        died_at = time.monotonic()
        os.kill(qemu_of(info).pid, signal.SIGKILL)
        assert lateness(info.ref, died_at) < 1
        assert driver.get_vm(info.ref).phase is P.UNKNOWN
    assert driver.usage([info.ref]) == {}
    driver.start_vm(info.ref)
    wait(driver, info.ref, P.RUNNING)


def test_a_guest_that_powers_off_is_noticed_by_every_watcher(driver: LocalDriver) -> None:
    info = run(driver)
    wait_for_login(driver, info.ref)
    with listening(driver) as one, listening(driver) as other:
        driver.stop_vm(info.ref)
        pressed_at = time.monotonic() + 0.5
        gone_at = until(
            lambda: driver.get_vm(info.ref).phase is P.STOPPED and time.monotonic(), within_s=30
        )
        for lateness in (one, other):
            assert pressed_at + lateness(info.ref, pressed_at) < gone_at + 1


def test_a_port_taken_by_a_stranger_is_replaced(driver: LocalDriver) -> None:
    info = run(driver)
    os.kill(qemu_of(info).pid, signal.SIGKILL)
    wait(driver, info.ref, P.UNKNOWN)
    with socket.socket() as stranger:
        stranger.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        stranger.bind(("127.0.0.1", info.endpoints[0].port))
        stranger.listen()
        driver.start_vm(info.ref)
        again = wait(driver, info.ref, P.RUNNING)
    assert again.endpoints[0].port != info.endpoints[0].port


def test_a_damaged_image_is_thrown_out_and_asked_for_again(
    driver: LocalDriver, home: Path, demo_image: Path
) -> None:
    cached = home / "images" / f"{IMAGE}.qcow2"
    data = bytearray(cached.read_bytes())
    data[len(data) // 2] ^= 0xFF
    cached.chmod(0o600)
    cached.write_bytes(data)
    assert driver.find_image(IMAGE) is None
    info = driver.create_vm(a_spec(), token=new_token())
    assert info.phase is P.STAGING
    driver.import_image(a_source(demo_image), token=IMAGE, on_progress=quiet)
    wait_for_login(driver, wait(driver, info.ref, P.RUNNING).ref)


def test_a_verified_file_is_kept_itself_and_its_damage_noticed(
    driver: LocalDriver, home: Path, demo_image: Path, tmp_path: Path
) -> None:
    mine = home / "landed"
    shutil.copy(demo_image, mine)
    digest = hashlib.sha256(mine.read_bytes()).hexdigest()
    source = replace(a_source(mine), sha256=digest, is_verified=True)
    driver.delete_image(IMAGE)
    driver.import_image(source, token=IMAGE, on_progress=quiet)
    kept = home / "images" / f"{IMAGE}.qcow2"
    assert kept.stat().st_ino == mine.stat().st_ino
    with mine.open("r+b") as late:  # a worker that was taken for dead
        late.seek(1 << 20)
        late.write(b"!")
    assert driver.find_image(IMAGE) is None
    assert not kept.exists()


def test_zeros_of_an_image_take_no_room(driver: LocalDriver, tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    raw.write_bytes(bytes(64 << 20) + b"the end".ljust(512))
    driver.delete_image(IMAGE)
    info = driver.import_image(a_source(raw, ImageFormat.RAW), token=IMAGE, on_progress=quiet)
    assert info.size_bytes == (64 << 20) + 512
    assert info.used_bytes is not None
    assert info.used_bytes < 1 << 20


def test_a_damaged_disk_fails_its_machine_and_no_other(driver: LocalDriver, home: Path) -> None:
    info = run(driver)
    os.kill(qemu_of(info).pid, signal.SIGKILL)
    wait(driver, info.ref, P.UNKNOWN)
    (home / "machines" / info.ref / "run" / "root.qcow2").write_bytes(b"rubbish" * 1000)
    driver.start_vm(info.ref)
    assert "damaged" in wait(driver, info.ref, P.FAILED).message
    run(driver)


def test_a_damaged_image_under_a_disk_fails_its_machine(driver: LocalDriver, home: Path) -> None:
    info = run(driver)
    os.kill(qemu_of(info).pid, signal.SIGKILL)
    wait(driver, info.ref, P.UNKNOWN)
    base = home / "machines" / info.ref / "run" / "base.qcow2"
    base.chmod(0o600)
    with base.open("r+b") as file:
        file.seek(1 << 20)
        file.write(b"rubbish")
    driver.start_vm(info.ref)
    assert "damaged" in wait(driver, info.ref, P.FAILED).message
    assert driver.find_image(IMAGE) is None


@pytest.fixture
def small_disk(home: Path) -> Iterator[Path]:
    """A site on a disk of 64 MiB of its own."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small disk")
    home.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64m,mode=0755", "tmpfs", str(home)]
    subprocess.run(mount, check=True)
    yield home
    end_all(home)
    subprocess.run(["umount", str(home)], check=True)


def fill(folder: Path, *, leave_bytes: int) -> Path:
    about = os.statvfs(folder)
    filler = folder / "filler"
    filler.write_bytes(b"\0" * (about.f_bavail * about.f_frsize - leave_bytes))
    return filler


def test_a_disk_that_is_really_full_harms_nobody(small_disk: Path, demo_image: Path) -> None:
    driver = a_driver(small_disk, disk_floor_bytes=0)
    driver.import_image(a_source(demo_image), token=IMAGE, on_progress=quiet)
    filler = fill(small_disk, leave_bytes=0)
    with pytest.raises(CloudBusy, match="full"):
        driver.create_vm(a_spec(), token=new_token())
    filler.unlink()
    filler = fill(small_disk, leave_bytes=40 << 10)
    info = driver.create_vm(a_spec(), token=new_token())
    assert info.phase is P.QUEUED
    assert "full" in driver.get_vm(info.ref).message
    filler.unlink()
    wait(driver, info.ref, P.RUNNING)


def test_a_guest_that_fills_the_disk_is_paused_and_goes_on(
    small_disk: Path, demo_image: Path, key: Path
) -> None:
    driver = a_driver(small_disk, disk_floor_bytes=0)
    driver.import_image(a_source(demo_image), token=IMAGE, on_progress=quiet)
    info = run(driver, ssh_keys=(key.with_suffix(".pub").read_text(),))
    ssh(key, info, "true")
    filler = fill(small_disk, leave_bytes=4 << 20)
    ssh(key, info, "(dd if=/dev/urandom of=/root/big bs=1M count=16; sync) >/dev/null 2>&1 &")
    assert "full" in wait(driver, info.ref, P.UNKNOWN).message
    filler.unlink()
    wait(driver, info.ref, P.RUNNING)
    assert ssh(key, info, "echo alive") == "alive\n"


def test_a_damaged_record_is_one_failed_machine(driver: LocalDriver, home: Path) -> None:
    broken, sound = run(driver), run(driver)
    (home / "machines" / broken.ref / "machine.json").write_text("{")
    phases = {info.ref: info.phase for info in driver.list_vms()}
    assert phases == {broken.ref: P.FAILED, sound.ref: P.RUNNING}
    driver.delete_vm(broken.ref)
    assert not process._find(broken.ref)


def test_after_a_restart_of_the_host_a_machine_can_be_started_or_killed(
    driver: LocalDriver, home: Path
) -> None:
    one, other = run(driver), run(driver)
    for info in (one, other):
        os.kill(qemu_of(info).pid, signal.SIGKILL)
        machine = Machine(driver._site, info.ref)
        record = machine.load()
        impostor = process.Process(os.getpid(), record.process.start_ticks, "an earlier boot")
        machine.save(record, process=impostor)
    assert "restarted" in driver.get_vm(one.ref).message
    assert driver.get_vm(one.ref).phase is P.UNKNOWN
    driver.start_vm(one.ref)
    wait(driver, one.ref, P.RUNNING)
    driver.delete_vm(other.ref)


def test_a_frozen_qemu_is_unknown_and_comes_back(home: Path, demo_image: Path) -> None:
    driver = a_driver(home, timeout_s=1.0)
    driver.import_image(a_source(demo_image), token=IMAGE, on_progress=quiet)
    info, other = run(driver), run(driver)
    os.kill(qemu_of(info).pid, signal.SIGSTOP)
    began = time.monotonic()
    driver.list_vms()
    assert time.monotonic() - began < 3
    expected = {info.ref: P.UNKNOWN, other.ref: P.RUNNING}
    until(lambda: {vm.ref: vm.phase for vm in driver.list_vms()} == expected, within_s=20)
    with pytest.raises(CloudUnavailable):
        driver.stop_vm(info.ref)
    os.kill(qemu_of(info).pid, signal.SIGCONT)
    wait(driver, info.ref, P.RUNNING)
    os.kill(qemu_of(info).pid, signal.SIGSTOP)
    driver.delete_vm(info.ref)
    assert not process._find(info.ref)


KILLED = """
import os, sys, signal
from pathlib import Path
from {package} import {module}
from cloud.local.driver import LocalDriver
from cloud.types import VmSpec
def die(*args, **kwargs):
    if {after}: real(*args, **kwargs)
    os.kill(os.getpid(), signal.SIGKILL)
real = {module}.{name}
{module}.{name} = die
driver = LocalDriver(home=Path({home!r}), disk_floor_bytes=1 << 20, memory_reserve_mib=256)
driver.create_vm(VmSpec(name="m", vcpus=1, memory_mib=128, image={image!r}), token={token!r})
"""

STEPS = [
    "cloud.local.files.write",
    "cloud.local.ports.choose",
    "cloud.local.lanes.enqueue",
    "cloud.local.images.link",
    "cloud.media.iso",
    "cloud.local.inspect.jailed",
    "cloud.local.process.start",
    "cloud.local.boot._wait_until_up",
    "cloud.local.boot.boot",
]


def killed_while_making(token: str, home: Path, step: str, *, after: bool) -> None:
    """A process dies at ``step`` of making this machine."""
    package, module, name = step.rsplit(".", 2)
    code = KILLED.format(
        package=package, module=module, name=name, after=after,
        home=str(home), image=IMAGE, token=token,
    )  # fmt: skip
    done = subprocess.run([sys.executable, "-c", code], cwd=Path.cwd(), check=False)
    assert done.returncode == -signal.SIGKILL


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_kill_in_the_middle_of_making_a_machine_is_made_good_by_asking_again(
    driver: LocalDriver, home: Path, step: str, after: bool
) -> None:
    token = new_token()
    killed_while_making(token, home, step, after=after)
    info = driver.create_vm(a_spec(), token=token)
    wait(driver, info.ref, P.RUNNING)
    assert len(process._find(token)) == 1
    assert [found.ref for found in driver.list_vms()] == [token]
    driver.delete_vm(token)
    assert not process._find(token)
    assert list((home / "machines").iterdir()) == []


@pytest.mark.parametrize("step", STEPS)
def test_a_kill_in_the_middle_of_making_a_machine_is_cleaned_by_deleting(
    driver: LocalDriver, home: Path, step: str
) -> None:
    token = new_token()
    killed_while_making(token, home, step, after=True)
    driver.delete_vm(token)
    assert not process._find(token)
    assert list(driver.list_vms()) == []
    assert list((home / "machines").iterdir()) == []


def test_a_machine_outlives_the_process_that_made_it(driver: LocalDriver, home: Path) -> None:
    token = new_token()
    killed_while_making(token, home, "cloud.local.boot.boot", after=True)
    assert driver.get_vm(token).phase is P.RUNNING
    wait_for_login(driver, token)


def test_a_kill_in_the_middle_of_an_import_leaves_nothing(home: Path, demo_image: Path) -> None:
    code = (
        "import os, signal\nfrom pathlib import Path\n"
        "from cloud.local.driver import LocalDriver\n"
        "from cloud.tests.conformance import a_source\n"
        f"LocalDriver(home=Path({str(home)!r})).import_image(a_source(Path({str(demo_image)!r})),"
        f" token={IMAGE!r}, on_progress=lambda *_: os.kill(os.getpid(), signal.SIGKILL))\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=Path.cwd(), check=False)
    driver = a_driver(home)
    assert driver.find_image(IMAGE) is None
    driver.list_vms()
    assert list((home / "images").iterdir()) == []


def test_a_log_that_a_guest_floods_is_cut_and_keeps_its_end(
    driver: LocalDriver, home: Path, key: Path
) -> None:
    info = run(driver, ssh_keys=(key.with_suffix(".pub").read_text(),))
    log = home / "machines" / info.ref / "run" / "console.log"
    with listening(driver):
        with log.open("ab") as file:
            file.write(b"x" * (5 << 20) + b"the end of the flood")
        until(lambda: log.stat().st_size < 1 << 20, within_s=10)
        ssh(key, info, "echo and more > /dev/ttyS0")
        until(lambda: b"and more" in driver.console_log(info.ref, max_bytes=1 << 20), within_s=10)
    assert b"the end of the flood" in driver.console_log(info.ref, max_bytes=1 << 20)


def test_kvm_that_is_slower_than_a_second_is_not_kvm(tmp_path: Path) -> None:
    if accel.kvm_works(deadline_s=1.0):
        return
    assert accel.choose(tmp_path).name == "tcg"


def test_traffic_is_counted_in_both_directions(driver: LocalDriver, key: Path) -> None:
    info, other = run(driver, ssh_keys=(key.with_suffix(".pub").read_text(),)), run(driver)
    with listening(driver):
        ssh(key, info, "dd if=/dev/zero bs=1M count=2; sleep 4")

        def is_counted() -> bool:
            now = driver.usage([info.ref])[info.ref]
            assert now.net_rx_bytes is not None
            assert now.net_tx_bytes is not None
            return now.net_tx_bytes > 2 << 20 and now.net_rx_bytes > 1000

        until(is_counted, within_s=30)
    watched = driver.usage([info.ref])[info.ref]
    driver.usage([other.ref])
    alone = driver.usage([info.ref])[info.ref]
    assert alone.net_tx_bytes == watched.net_tx_bytes


def test_a_stopped_machine_is_written_down_before_its_process_goes(driver: LocalDriver) -> None:
    info = run(driver)
    wait_for_login(driver, info.ref)
    driver.stop_vm(info.ref)
    wait(driver, info.ref, P.STOPPED)
    assert Machine(driver._site, info.ref).load().stage is Stage.STOPPED

"""The embedded engine keeps the contract with real machines, and survives real faults."""

import contextlib
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

from cloud import peer
from cloud.errors import CloudBusy, CloudRefused, CloudUnavailable
from cloud.local import accel, lanes, power, process, qmp
from cloud.local.driver import LocalDriver
from cloud.local.machine import Machine, Stage
from cloud.tests.conformance import IMAGE, DriverContract, a_source
from cloud.tests.contract import new_token, quiet, until
from cloud.tests.real import (
    BOOT_S,
    a_driver,
    a_spec,
    end_all,
    listening,
    qemu_of,
    run,
    ssh,
    wait,
    wait_for_login,
)
from cloud.types import ConsoleKind, DiskBus, ImageFormat, ImageSource, VmPhase

pytestmark = pytest.mark.qemu

P = VmPhase


class TestLocalDriver(DriverContract):
    PATIENCE_S = BOOT_S

    @pytest.fixture
    def driver(self, home: Path) -> LocalDriver:
        return a_driver(home)

    @pytest.fixture
    def twin(self, home: Path) -> LocalDriver:
        return a_driver(home)

    @pytest.fixture
    def source(self, demo_image: Path) -> ImageSource:
        return a_source(demo_image)

    def hold_fast(self, driver: LocalDriver, vm: str, volume: str, *, on: bool = True) -> None:
        """A guest that is paused lets go of nothing."""
        qmp.ask(Machine(driver._site, vm).run, "stop" if on else "cont", timeout_s=5)

    def hold_card(self, driver: LocalDriver, vm: str, mac: str, *, on: bool = True) -> None:
        self.hold_fast(driver, vm, mac, on=on)


# The rest is what only this engine promises ------------------------------------------


@pytest.fixture
def driver(home: Path, demo_image: Path) -> LocalDriver:
    one = a_driver(home)
    one.import_image(a_source(demo_image), token=IMAGE, on_progress=quiet)
    return one


# A life -------------------------------------------------------------------------------


def test_a_person_signs_in_with_their_key(driver: LocalDriver, key: Path) -> None:
    info = run(driver, ssh_keys=(key.with_suffix(".pub").read_text(),), hostname="alices-vm")
    assert "alices-vm" in ssh(key, info, "uname -a")


def test_user_data_arrives_to_the_byte(driver: LocalDriver, key: Path) -> None:
    data = "#!/bin/sh\necho 'größer \"than\" $HOME' > /root/note\n"
    info = run(driver, ssh_keys=(key.with_suffix(".pub").read_text(),), user_data=data)
    read = "for i in 1 2 3 4 5 6 7 8 9; do cat /root/note && break; sleep 1; done"
    assert 'größer "than" $HOME' in ssh(key, info, read)


@pytest.mark.parametrize("bus", [DiskBus.VIRTIO, DiskBus.SCSI])
def test_it_boots_from_the_disk_bus_that_was_asked_for(driver: LocalDriver, bus: DiskBus) -> None:
    wait_for_login(driver, run(driver, disk_bus=bus, swap_mib=64).ref)


def test_ide_is_refused_with_a_sentence(driver: LocalDriver) -> None:
    with pytest.raises(CloudRefused, match="ide"):
        driver.create_vm(a_spec(disk_bus=DiskBus.IDE), token=new_token())


def test_the_guest_reaches_nothing_of_this_host(driver: LocalDriver, key: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        info = run(driver, ssh_keys=(key.with_suffix(".pub").read_text(),))
        port = server.getsockname()[1]
        answer = ssh(key, info, f"nc -w 2 10.0.2.2 {port} </dev/null && echo reached || echo no")
    assert answer.strip() == "no"


def test_a_polite_reboot_is_a_restart_of_the_guest(driver: LocalDriver) -> None:
    info = run(driver)
    wait_for_login(driver, info.ref)
    driver.reboot_vm(info.ref)
    wait_for_login(driver, info.ref, times=2)
    assert b"reboot: Restarting system" in driver.console_log(info.ref, max_bytes=1 << 20)
    assert driver.get_vm(info.ref).phase is P.RUNNING


def test_asked_twice_to_reboot_it_is_reset(driver: LocalDriver) -> None:
    info = run(driver)
    driver.reboot_vm(info.ref)
    with listening(driver) as lateness:
        began = time.monotonic()
        driver.reboot_vm(info.ref)
        assert lateness(info.ref, began) < 1
    wait_for_login(driver, info.ref)


def test_a_guest_that_does_not_hear_the_request_is_reset(home: Path, tmp_path: Path) -> None:
    driver = a_driver(home)
    deaf = tmp_path / "deaf.raw"
    deaf.write_bytes(b"\xfa\xf4\xeb\xfd".ljust(510, b"\0") + b"\x55\xaa" + b"\0" * (1 << 20))
    source = a_source(deaf, ImageFormat.RAW)
    driver.import_image(source, token=IMAGE, on_progress=quiet)
    one = Machine(driver._site, run(driver).ref)
    driver.reboot_vm(one.token)
    power.reset_if_ignored(one, after_s=60)
    assert one.load().reboot_asked_at
    with listening(driver) as lateness:
        began = time.monotonic()
        power.reset_if_ignored(one, after_s=0)
        assert lateness(one.token, began) < 1
    assert not one.load().reboot_asked_at


def test_a_guest_that_halts_is_seen_stopped_and_the_reason_stays(
    driver: LocalDriver, key: Path, home: Path
) -> None:
    info = run(driver, ssh_keys=(key.with_suffix(".pub").read_text(),))
    ssh(key, info, "(sleep 1; poweroff) >/dev/null 2>&1 &")
    stopped = wait(driver, info.ref, P.STOPPED)
    assert "itself" in stopped.message
    assert not process._find(info.ref)
    assert a_driver(home).get_vm(info.ref).message == stopped.message


def test_shutting_down_says_so_and_keeps_the_disk(driver: LocalDriver, key: Path) -> None:
    info = run(driver, ssh_keys=(key.with_suffix(".pub").read_text(),))
    ssh(key, info, "echo kept > /root/kept; sync")
    driver.stop_vm(info.ref)
    assert driver.get_vm(info.ref).phase is P.STOPPING
    assert "asked" in wait(driver, info.ref, P.STOPPED).message
    driver.start_vm(info.ref)
    assert ssh(key, wait(driver, info.ref, P.RUNNING), "cat /root/kept") == "kept\n"


def test_the_serial_console_talks_and_nothing_else_listens(driver: LocalDriver) -> None:
    info = run(driver)
    wait_for_login(driver, info.ref)
    console = driver.console(info.ref, ConsoleKind.SERIAL)
    assert b"login: " in console.backlog
    with socket.socket(socket.AF_UNIX) as line:
        line.settimeout(10)
        line.connect(str(console.unix_path))
        line.sendall(b"\r\n")
        assert line.recv(100)
    with socket.socket(socket.AF_UNIX) as screen:
        screen.settimeout(10)
        screen.connect(str(driver.console(info.ref, ConsoleKind.SCREEN).unix_path))
        assert screen.recv(12).startswith(b"RFB ")
    assert listeners_of(qemu_of(info).pid) == {info.endpoints[0].port}


def listeners_of(pid: int) -> set[int]:
    inodes = set()
    for fd in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            inodes.add(os.readlink(fd).removeprefix("socket:[").removesuffix("]"))
    rows = [
        line.split()
        for name in ("tcp", "tcp6", "udp", "udp6")
        for line in Path(f"/proc/{pid}/net/{name}").read_text().splitlines()[1:]
    ]
    return {int(row[1].rpartition(":")[2], 16) for row in rows if row[9] in inodes}


def test_qemu_runs_without_rights(driver: LocalDriver) -> None:
    status = Path(f"/proc/{qemu_of(run(driver)).pid}/status").read_text()
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert fields["Seccomp"] == "2"
    assert fields["NoNewPrivs"] == "1"
    assert int(fields["CapEff"], 16) == 0
    if os.geteuid() == 0:
        assert set(fields["Uid"].split()) & {"0"} == set()


def test_two_machines_have_different_users(driver: LocalDriver) -> None:
    if os.geteuid() == 0:
        uids = {Path(f"/proc/{qemu_of(run(driver)).pid}").stat().st_uid for _ in range(2)}
        assert len(uids) == 2


def test_a_link_to_another_machines_sockets_leads_nowhere(driver: LocalDriver) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root gives machines users of their own")
    thief, victim = run(driver), run(driver)
    machines = driver._site.machines
    console = driver.console(thief.ref, ConsoleKind.SERIAL)
    assert console.peer_uid == machines.joinpath(thief.ref, "run").stat().st_uid
    for name in ("qmp", "console"):
        mine = machines / thief.ref / "run" / name
        mine.unlink()
        mine.symlink_to(machines / victim.ref / "run" / name)
    with socket.socket(socket.AF_UNIX) as line:
        line.connect(str(console.unix_path))
        with pytest.raises(PermissionError, match=f"not user {console.peer_uid}"):
            peer.must_be(console.peer_uid, line)
    with pytest.raises(CloudUnavailable, match="does not answer"):
        driver.stop_vm(thief.ref)
    assert driver.get_vm(victim.ref).phase is P.RUNNING


def test_a_smaller_share_yields_more(driver: LocalDriver) -> None:
    shares = [
        os.getpriority(os.PRIO_PROCESS, qemu_of(run(driver, cpu_share=s)).pid) for s in (1.0, 0.2)
    ]
    assert shares[0] < shares[1]


def test_a_deleted_machine_leaves_nothing(driver: LocalDriver, home: Path) -> None:
    driver.delete_vm(run(driver).ref)
    before = set(home.rglob("*"))
    info = run(driver)
    driver.delete_vm(info.ref)
    assert not process._find(info.ref)
    assert set(home.rglob("*")) == before
    with socket.socket() as again:
        again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        again.bind(("127.0.0.1", info.endpoints[0].port))


def test_a_home_too_deep_for_socket_addresses_works(demo_image: Path, home: Path) -> None:
    deep = home / ("d" * 100) / ("e" * 100)
    driver = a_driver(deep)
    driver.import_image(a_source(demo_image), token=IMAGE, on_progress=quiet)
    info = run(driver)
    try:
        with socket.socket(socket.AF_UNIX) as screen:
            screen.connect(str(driver.console(info.ref, ConsoleKind.SCREEN).unix_path))
            assert screen.recv(12).startswith(b"RFB ")
    finally:
        shutil.rmtree(driver.console(info.ref, ConsoleKind.SCREEN).unix_path.parents[3])
        end_all(deep)


# The queue ----------------------------------------------------------------------------


def test_boots_go_through_the_lanes(home: Path, demo_image: Path) -> None:
    driver = a_driver(home, boot_lanes=1)
    driver.import_image(a_source(demo_image), token=IMAGE, on_progress=quiet)
    first, second, third = (driver.create_vm(a_spec(), token=new_token()) for _ in range(3))
    assert first.phase is P.RUNNING
    assert second.phase is P.QUEUED
    assert "1 machines may boot" in second.message
    assert "1 before it" in third.message
    driver.delete_vm(first.ref)
    assert driver.get_vm(second.ref).phase is P.RUNNING
    assert driver.get_vm(third.ref).phase is P.QUEUED
    wait_for_login(driver, second.ref)
    wait(driver, third.ref, P.RUNNING)


def test_one_look_does_not_boot_others_without_end(
    home: Path, demo_image: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lanes, "PROMOTE_S", 0.0)
    driver = a_driver(home, boot_lanes=3)
    refs = [driver.create_vm(a_spec(), token=new_token()).ref for _ in range(3)]
    driver.import_image(a_source(demo_image), token=IMAGE, on_progress=quiet)
    assert driver.capacity().machines == 1
    for running in (2, 3):
        driver.get_vm(refs[0])
        assert driver.capacity().machines == running


def test_a_full_site_says_what_it_lacks_and_goes_on_when_there_is_room(
    home: Path, demo_image: Path
) -> None:
    half = a_driver(home).capacity().largest_memory_mib // 2 + 200
    driver = a_driver(home)
    driver.import_image(a_source(demo_image), token=IMAGE, on_progress=quiet)
    first = run(driver, memory_mib=half)
    second = driver.create_vm(a_spec(memory_mib=half), token=new_token())
    assert second.phase is P.QUEUED
    assert str(half) in driver.get_vm(second.ref).message or "memory" in second.message
    driver.delete_vm(first.ref)
    wait(driver, second.ref, P.RUNNING)


def test_a_full_disk_keeps_machines_waiting(home: Path, demo_image: Path) -> None:
    a_driver(home).import_image(a_source(demo_image), token=IMAGE, on_progress=quiet)
    full = a_driver(home, disk_floor_bytes=1 << 60)
    info = full.create_vm(a_spec(), token=new_token())
    assert info.phase is P.QUEUED
    assert "disk" in info.message
    wait(a_driver(home), info.ref, P.RUNNING)


def test_an_image_that_does_not_fit_on_the_disk_is_put_off(home: Path, demo_image: Path) -> None:
    driver = a_driver(home, disk_floor_bytes=1 << 60)
    with pytest.raises(CloudBusy, match="MiB"):
        driver.import_image(a_source(demo_image), token=IMAGE, on_progress=quiet)
    assert driver.find_image(IMAGE) is None


# Faults -------------------------------------------------------------------------------


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
from cloud.local import {module}
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
    ("files", "write"),
    ("ports", "choose"),
    ("lanes", "enqueue"),
    ("images", "link"),
    ("seed", "iso"),
    ("inspect", "jailed"),
    ("process", "start"),
    ("boot", "_wait_until_up"),
    ("boot", "boot"),
]


@pytest.mark.parametrize(("module", "name"), STEPS, ids=lambda part: part)
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_kill_in_the_middle_of_making_a_machine_is_made_good_by_asking_again(
    driver: LocalDriver, home: Path, module: str, name: str, after: bool
) -> None:
    token = new_token()
    code = KILLED.format(
        module=module, name=name, after=after, home=str(home), image=IMAGE, token=token
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=Path.cwd(), check=False)
    assert done.returncode == -signal.SIGKILL
    info = driver.create_vm(a_spec(), token=token)
    wait(driver, info.ref, P.RUNNING)
    assert len(process._find(token)) == 1
    assert [found.ref for found in driver.list_vms()] == [token]
    driver.delete_vm(token)
    assert not process._find(token)
    assert list((home / "machines").iterdir()) == []


@pytest.mark.parametrize(("module", "name"), STEPS, ids=lambda part: part)
def test_a_kill_in_the_middle_of_making_a_machine_is_cleaned_by_deleting(
    driver: LocalDriver, home: Path, module: str, name: str
) -> None:
    token = new_token()
    code = KILLED.format(
        module=module, name=name, after=True, home=str(home), image=IMAGE, token=token
    )
    subprocess.run([sys.executable, "-c", code], cwd=Path.cwd(), check=False)
    driver.delete_vm(token)
    assert not process._find(token)
    assert list(driver.list_vms()) == []
    assert list((home / "machines").iterdir()) == []


def test_a_machine_outlives_the_process_that_made_it(driver: LocalDriver, home: Path) -> None:
    token = new_token()
    code = KILLED.format(
        module="boot", name="boot", after=True, home=str(home), image=IMAGE, token=token
    )
    subprocess.run([sys.executable, "-c", code], cwd=Path.cwd(), check=False)
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

"""The embedded engine keeps the contract with real machines."""

import contextlib
import os
import shutil
import socket
import time
from pathlib import Path

import pytest

from cloud import peer
from cloud.errors import CloudBusy, CloudRefused, CloudUnavailable
from cloud.local import lanes, power, process, qmp
from cloud.local.driver import LocalDriver
from cloud.local.machine import Machine
from cloud.tests.conformance import IMAGE, DriverContract, a_source
from cloud.tests.contract import new_token, quiet
from cloud.tests.real import (
    BOOT_S,
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
from cloud.types import ConsoleKind, DiskBus, ImageFormat, ImageSource, VmPhase

__all__ = ["driver"]
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

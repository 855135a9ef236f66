"""Disks of real machines: who may open them, and what survives races, kills and damage."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from cloud.errors import CloudBusy, CloudError
from cloud.local import disks, hotplug, plugs, qmp
from cloud.local.driver import LocalDriver
from cloud.local.machine import Hold, Machine
from cloud.tests.conformance import IMAGE, a_source
from cloud.tests.contract import new_token, quiet, until
from cloud.tests.real import (
    BOOT_S,
    P,
    a_driver,
    detach,
    listening,
    new_volume,
    open_files,
    qemu_of,
    run,
    ssh,
    wait,
    wait_for_disk,
    wait_for_login,
)
from cloud.types import VmInfo

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


# Who may open what ------------------------------------------------------------------------


def test_a_qemu_opens_no_volume_but_its_machines_own(driver: LocalDriver, home: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root gives machines users of their own")
    thief, victim = run(driver), run(driver)
    volume, shared = new_volume(driver), new_volume(driver)
    driver.attach_volume(victim.ref, volume, read_only=False)
    driver.attach_volume(thief.ref, shared, read_only=True)
    at = Machine(driver._site, thief.ref).run
    number = next(
        fd.name
        for fd in Path(f"/proc/{qemu_of(victim).pid}/fd").iterdir()
        if volume in os.readlink(fd)
    )
    own = next(
        fd.name
        for fd in Path(f"/proc/{qemu_of(thief).pid}/fd").iterdir()
        if shared in os.readlink(fd)
    )
    for way, read_only in (
        (str(home / "volumes" / volume / "disk.qcow2"), True),
        (f"/proc/{qemu_of(victim).pid}/fd/{number}", True),
        (str(home / "volumes" / shared / "disk.qcow2"), True),
        (f"/proc/self/fd/{own}", False),  # may read it, and must not write to it
    ):
        file = {"driver": "file", "filename": way, "read-only": read_only}
        with pytest.raises(qmp.NoAnswer, match="Permission denied"):
            qmp.ask(at, "blockdev-add", timeout_s=5, **file, **{"node-name": "stolen"})
    assert volume in open_files(victim)
    assert volume not in open_files(thief)
    driver.detach_volume(victim.ref, volume, force=True)
    assert volume not in open_files(victim)


def test_a_file_that_somebody_else_has_open_is_not_plugged_in(driver: LocalDriver) -> None:
    vm, volume = run(driver), new_volume(driver)
    path = plugs.disk_path(driver._site, volume)
    with subprocess.Popen(
        ["qemu-io", "-f", "qcow2", str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdin
        assert other.stdout
        other.stdin.write(b"length\n")
        other.stdin.flush()
        other.stdout.readline()
        with pytest.raises(CloudBusy, match="open"):
            driver.attach_volume(vm.ref, volume, read_only=False)
        assert Machine(driver._site, vm.ref).load().plugs == ()
        assert volume not in open_files(vm)
        other.stdin.write(b"quit\n")
        other.stdin.flush()
    driver.attach_volume(vm.ref, volume, read_only=False)
    assert driver.get_vm(vm.ref).disks


def test_a_damaged_disk_is_refused_and_its_machine_goes_on(driver: LocalDriver) -> None:
    vm, volume = run(driver), new_volume(driver)
    with plugs.disk_path(driver._site, volume).open("r+b") as file:
        file.seek(40)
        file.write(b"\xff" * 8)  # the place of the table of all tables
    with pytest.raises(CloudError):
        driver.attach_volume(vm.ref, volume, read_only=False)
    assert driver.get_vm(vm.ref).disks == ()
    assert driver.get_vm(vm.ref).phase is P.RUNNING
    assert volume not in open_files(vm)


RACE = """
import sys
from pathlib import Path
from cloud.errors import CloudBusy
from cloud.local.driver import LocalDriver
driver = LocalDriver(home=Path({home!r}), disk_floor_bytes=1 << 20, memory_reserve_mib=256)
driver.get_vm({vm!r})
print("ready", flush=True)
sys.stdin.readline()
try:
    driver.attach_volume({vm!r}, {volume!r}, read_only=False)
except CloudBusy as error:
    print("busy", error)
else:
    print("won")
"""


def test_of_processes_that_race_one_wins(driver: LocalDriver, home: Path) -> None:
    vms, volume = [run(driver) for _ in range(3)], new_volume(driver)
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", RACE.format(home=str(home), vm=vm.ref, volume=volume)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for vm in vms
    ]
    for racer in racers:
        assert racer.stdout
        assert racer.stdout.readline() == "ready\n"
    for racer in racers:
        assert racer.stdin
        racer.stdin.write("\n")
        racer.stdin.flush()
    said = [racer.communicate(timeout=60)[0] for racer in racers]
    assert sorted(line.split()[0] for line in said) == ["busy", "busy", "won"]
    holding = [bool(driver.get_vm(vm.ref).disks) for vm in vms]
    assert holding == [line.startswith("won") for line in said]


# Faults ---------------------------------------------------------------------------------

KILLED = """
import os, signal
from pathlib import Path
from cloud.local import attach, hotplug, machine, plugs
from cloud.local.driver import LocalDriver
from cloud.types import Plug, VmSpec
driver = LocalDriver(home=Path({home!r}), disk_floor_bytes=1 << 20, memory_reserve_mib=256)
def die():
    os.kill(os.getpid(), signal.SIGKILL)
def deadly(real):
    def call(*args, **kwargs):
        if {after}:
            real(*args, **kwargs)
        die()
    return call
async def command(client, name, arguments=None):
    if name != {name!r}:
        return await real_ask(client, name, arguments)
    if {after}:
        await real_ask(client, name, arguments)
    die()
real_ask = hotplug._ask
if {name!r} in ("claim", "release"):
    setattr(plugs, {name!r}, deadly(getattr(plugs, {name!r})))
elif {name!r} in ("save", "make"):
    setattr(machine.Machine, {name!r}, deadly(getattr(machine.Machine, {name!r})))
else:
    hotplug._ask = command
driver.{call}
"""
COMING = ["claim", "save", "query-block", "add-fd", "blockdev-add", "device_add"]
GOING = ["save", "device_del", "blockdev-del", "remove-fd", "release"]


def killed(home: Path, call: str, name: str, *, after: bool) -> None:
    code = KILLED.format(home=str(home), call=call, name=name, after=after)
    done = subprocess.run([sys.executable, "-c", code], cwd=Path.cwd(), check=False)
    assert done.returncode == -signal.SIGKILL


@pytest.mark.parametrize("name", COMING)
def test_a_kill_in_the_middle_of_attaching_is_made_good(
    driver: LocalDriver, home: Path, name: str
) -> None:
    vm, other, volume = run(driver), run(driver), new_volume(driver)
    call = f"attach_volume({vm.ref!r}, {volume!r}, read_only=False)"
    for after in (False, True):
        killed(home, call, name, after=after)
        driver.attach_volume(vm.ref, volume, read_only=False)
        assert [disk.volume for disk in driver.get_vm(vm.ref).disks] == [volume]
        assert_one_of_each(driver, vm, volume)
        driver.detach_volume(vm.ref, volume, force=True)
        assert volume not in open_files(vm)
        killed(home, call, name, after=after)
        driver.detach_volume(vm.ref, volume)
        driver.attach_volume(other.ref, volume, read_only=False)
        driver.detach_volume(other.ref, volume, force=True)
        assert volume not in open_files(vm)


@pytest.mark.parametrize("name", GOING)
def test_a_kill_in_the_middle_of_detaching_is_made_good(
    driver: LocalDriver, home: Path, name: str
) -> None:
    vm, other, volume = run(driver), run(driver), new_volume(driver)
    call = f"detach_volume({vm.ref!r}, {volume!r}, force=True)"
    for after in (False, True):
        driver.attach_volume(vm.ref, volume, read_only=False)
        killed(home, call, name, after=after)
        driver.attach_volume(vm.ref, volume, read_only=False)
        assert_one_of_each(driver, vm, volume)
        killed(home, call, name, after=after)
        driver.detach_volume(vm.ref, volume)
        assert volume not in open_files(vm)
        driver.attach_volume(other.ref, volume, read_only=False)
        driver.detach_volume(other.ref, volume, force=True)


def assert_one_of_each(driver: LocalDriver, vm: VmInfo, volume: str) -> None:
    at = Machine(driver._site, vm.ref).run
    blocks = qmp.ask(at, "query-block", timeout_s=5)
    assert sum(block.get("qdev") == disks.device_id(volume) for block in blocks) == 1
    sets = qmp.ask(at, "query-fdsets", timeout_s=5)
    name = plugs.node_name(volume)
    assert sum(fd.get("opaque") == name for one in sets for fd in one["fds"]) == 1


def test_a_plug_that_a_killed_process_left_half_done_is_settled_by_the_sweep(
    driver: LocalDriver, home: Path
) -> None:
    vm, volume = run(driver), new_volume(driver)
    call = f"attach_volume({vm.ref!r}, {volume!r}, read_only=False)"
    killed(home, call, "device_add", after=True)
    assert Machine(driver._site, vm.ref).load().plugs[0].hold is Hold.COMING
    driver.list_vms()
    assert Machine(driver._site, vm.ref).load().plugs == ()
    assert volume not in open_files(vm)
    driver.delete_volume(volume)


def test_a_machine_that_is_killed_in_the_making_holds_nothing(
    driver: LocalDriver, home: Path
) -> None:
    vm, volume, token = run(driver), new_volume(driver), new_token()
    spec = f"VmSpec(name='m', vcpus=1, memory_mib=128, image={IMAGE!r}, volumes=({volume!r},))"
    spec = spec.replace(f"({volume!r},)", f"(Plug(volume={volume!r}),)")
    killed(home, f"create_vm({spec}, token={token!r})", "make", after=False)
    driver.attach_volume(vm.ref, volume, read_only=False)
    assert driver.get_vm(vm.ref).disks


@pytest.mark.parametrize("read_only", [False, True])
def test_a_killed_qemu_comes_back_with_its_disks(
    driver: LocalDriver, key: Path, own: dict[str, Any], read_only: bool
) -> None:
    vm, volume = run(driver, **own), new_volume(driver)
    driver.attach_volume(vm.ref, volume, read_only=read_only)
    before = driver.get_vm(vm.ref).disks
    wait_for_disk(key, vm, before[0].stable_path)
    if not read_only:
        ssh(key, vm, f"echo survives | dd of={before[0].stable_path} conv=fsync")
    with listening(driver) as lateness:
        os.kill(qemu_of(vm).pid, signal.SIGKILL)
        assert lateness(vm.ref, 0) < time.monotonic()
    assert wait(driver, vm.ref, P.UNKNOWN).disks == before
    driver.start_vm(vm.ref)
    vm = wait(driver, vm.ref, P.RUNNING)
    assert vm.disks == before
    wait_for_disk(key, vm, before[0].stable_path)
    if not read_only:
        assert ssh(key, vm, f"head -c 8 {before[0].stable_path}") == "survives"
    driver.stop_vm(vm.ref)
    wait(driver, vm.ref, P.STOPPED)
    driver.detach_volume(vm.ref, volume)
    driver.start_vm(vm.ref)
    assert wait(driver, vm.ref, P.RUNNING).disks == ()


def test_a_frozen_qemu_keeps_its_disk_and_says_so(home: Path, demo_image: Path) -> None:
    driver = a_driver(home, timeout_s=1.0)
    driver.import_image(a_source(demo_image), token=IMAGE, on_progress=quiet)
    vm, volume, other = run(driver), new_volume(driver), new_volume(driver)
    driver.attach_volume(vm.ref, volume, read_only=False)
    os.kill(qemu_of(vm).pid, signal.SIGSTOP)
    for force in (False, True):
        with pytest.raises(CloudError):
            driver.detach_volume(vm.ref, volume, force=force)
    with pytest.raises(CloudError):
        driver.attach_volume(vm.ref, other, read_only=False)
    assert [disk.volume for disk in driver.get_vm(vm.ref).disks] == [volume]
    os.kill(qemu_of(vm).pid, signal.SIGCONT)
    driver.attach_volume(vm.ref, other, read_only=False)
    driver.detach_volume(vm.ref, volume, force=True)
    assert [disk.volume for disk in driver.get_vm(vm.ref).disks] == [other]


def test_a_volume_that_vanished_fails_its_machine_with_a_reason(driver: LocalDriver) -> None:
    vm, volume = run(driver), new_volume(driver)
    driver.attach_volume(vm.ref, volume, read_only=False)
    os.kill(qemu_of(vm).pid, signal.SIGKILL)
    wait(driver, vm.ref, P.UNKNOWN)
    plugs.disk_path(driver._site, volume).unlink()
    driver.start_vm(vm.ref)
    assert "missing" in wait(driver, vm.ref, P.FAILED).message


def test_after_a_restart_of_the_guest_the_letters_begin_anew(driver: LocalDriver) -> None:
    vm = run(driver)
    wait_for_login(driver, vm.ref)
    first, second = new_volume(driver), new_volume(driver)
    with listening(driver):
        for volume in (first, second):
            driver.attach_volume(vm.ref, volume, read_only=False)
        detach(driver, vm, first)
        assert [disk.device for disk in driver.get_vm(vm.ref).disks] == ["/dev/sdb"]
        driver.reboot_vm(vm.ref)
        driver.reboot_vm(vm.ref)
        until(lambda: driver.get_vm(vm.ref).disks[0].device == "/dev/sda", within_s=BOOT_S)


# How long it takes ------------------------------------------------------------------------


def test_attaching_takes_little_longer_than_qemu_does(driver: LocalDriver) -> None:
    vm, volume = run(driver), new_volume(driver)
    wait_for_login(driver, vm.ref)
    machine = Machine(driver._site, vm.ref)
    plug = disks.room_for(machine.load(), volume, read_only=False)
    assert plug
    path = plugs.disk_path(driver._site, volume)

    def timed(call: Any) -> float:
        began = time.monotonic()
        call()
        return time.monotonic() - began

    def straight(work: Any) -> float:
        return timed(lambda: qmp.talk(machine.run, work, timeout_s=10))

    bare = [
        straight(lambda client: hotplug.plug_in(client, plug, path, afresh=False)),
        straight(lambda client: hotplug.pull_out(client, plug)),
    ]
    until(lambda: volume not in open_files(vm))
    ours = [
        timed(lambda: driver.attach_volume(vm.ref, volume, read_only=False)),
        timed(lambda: driver.detach_volume(vm.ref, volume)),
    ]
    assert ours[0] < 1.5 * bare[0] + 1
    assert ours[1] < 1.5 * bare[1] + 1

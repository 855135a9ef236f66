"""Real machines for tests of the embedded engine, and what every such test does with them."""

import contextlib
import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cloud.errors import CloudBusy
from cloud.local import process
from cloud.local.driver import LocalDriver
from cloud.tests.conformance import IMAGE, a_source
from cloud.tests.contract import new_token, quiet, until
from cloud.types import VmInfo, VmPhase, VmSpec

P = VmPhase
CACHE = Path(os.environ.get("PORTAL_TEST_CACHE", "/tmp/portal-test-cache"))  # noqa: S108
GIB = 1 << 30
PREFIX = "engine-"
BOOT_S = 60.0


def end_all(home: Path) -> None:
    driver = LocalDriver(home=home)
    for name in os.listdir(home / "machines") if (home / "machines").exists() else ():
        driver.delete_vm(name.removeprefix(".new-"))
        assert not process._find(name)


def a_driver(home: Path, **options: object) -> LocalDriver:
    defaults: dict[str, object] = {"disk_floor_bytes": 1 << 20, "memory_reserve_mib": 256}
    return LocalDriver(home=home, **defaults | options)


@pytest.fixture
def driver(home: Path, demo_image: Path) -> LocalDriver:
    one = a_driver(home)
    one.import_image(a_source(demo_image), token=IMAGE, on_progress=quiet)
    return one


def a_spec(**changes: object) -> VmSpec:
    plain: dict[str, object] = {"name": "m", "vcpus": 1, "memory_mib": 128, "image": IMAGE}
    return VmSpec(**plain | changes)


def run(driver: LocalDriver, **changes: object) -> VmInfo:
    ref = driver.create_vm(a_spec(**changes), token=new_token()).ref
    return wait(driver, ref, P.RUNNING)


def wait(driver: LocalDriver, ref: str, phase: VmPhase, *, within_s: float = BOOT_S) -> VmInfo:
    until(lambda: driver.get_vm(ref).phase is phase, within_s=within_s, what=phase)
    return driver.get_vm(ref)


def wait_for_login(driver: LocalDriver, ref: str, *, times: int = 1) -> None:
    until(
        lambda: driver.console_log(ref, max_bytes=1 << 20).count(b"login: ") >= times,
        within_s=BOOT_S,
        what="a login prompt",
    )


def ssh(key: Path, info: VmInfo, command: str) -> str:
    options = ["StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "ConnectTimeout=5"]
    flags = [part for option in options for part in ("-o", option)]
    port = str(info.endpoints[0].port)
    argv = ["ssh", "-q", "-i", str(key), "-p", port, *flags, "root@127.0.0.1", command]

    def attempt() -> list[str]:
        done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=30)
        return [done.stdout] if done.returncode == 0 else []

    (answer,) = until(attempt, within_s=BOOT_S, what=f"ssh {command}")
    return answer


def qemu_of(info: VmInfo) -> process.Process:
    (found,) = process._find(info.ref)
    return found


@contextlib.contextmanager
def listening(driver: LocalDriver) -> Iterator[Callable[[str, float], float]]:
    """A watcher; call what it gives with a ref and an instant to know how late it heard."""
    heard: list[tuple[float, str]] = []
    ended = threading.Event()

    def listen() -> None:
        for ref in driver.watch(ended.is_set):
            heard.append((time.monotonic(), ref))  # noqa: PERF401 - read meanwhile

    def lateness(ref: str, since: float) -> float:
        first = until(
            lambda: [at for at, name in heard if name == ref and at >= since], within_s=15
        )
        return first[0] - since

    thread = threading.Thread(target=listen)
    thread.start()
    try:
        until(lambda: heard)
        yield lateness
    finally:
        ended.set()
        thread.join()


# Disks ----------------------------------------------------------------------------------


def new_volume(driver: LocalDriver, *, size_bytes: int = GIB) -> str:
    return driver.create_volume(size_bytes, token=new_token()).ref


def path_of(driver: LocalDriver, vm: VmInfo, volume: str) -> str:
    (found,) = (d.stable_path for d in driver.get_vm(vm.ref).disks if d.volume == volume)
    return found


def wait_for_disk(key: Path, vm: VmInfo, path: str) -> str:
    """The name in /dev of the disk, once the guest has it."""
    look = (
        f"while ! [ -b {path} ]; do usleep 20000 2>/dev/null || sleep 1; done; readlink -f {path}"
    )
    return ssh(key, vm, look).strip()


def detach(driver: LocalDriver, vm: VmInfo, volume: str) -> None:
    def is_asked() -> bool:
        try:
            driver.detach_volume(vm.ref, volume)
        except CloudBusy:
            return False
        return True

    until(is_asked, within_s=BOOT_S, what="the guest lets go")


def open_files(vm: VmInfo) -> str:
    folder = Path(f"/proc/{qemu_of(vm).pid}/fd")
    return "\n".join(os.readlink(fd) for fd in folder.iterdir())

"""A volume of the embedded engine is whole or not there, whoever is killed when."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from cloud.local import plugs
from cloud.local.driver import LocalDriver
from cloud.tests.contract import new_token, quiet, until
from cloud.tests.local_volumes import bytes_over_bytes, disk, driver, home, left_in, volume
from cloud.tests.volume_conformance import MIB
from cloud.types import DiskFormat, VolumeInfo, VolumeSource

__all__ = ["disk", "driver", "home", "volume"]

F = DiskFormat


KILLED = """
import os, signal
from pathlib import Path
from cloud.local import {module}
from cloud.local.driver import LocalDriver
from cloud.types import DiskFormat, VolumeSource
def die(*args, **kwargs):
    if {after}: real(*args, **kwargs)
    os.kill(os.getpid(), signal.SIGKILL)
def quiet(done, in_all):
    pass
real = {module}.{name}
{module}.{name} = die
driver = LocalDriver(home=Path({home!r}), disk_floor_bytes=1 << 20)
{call}
"""
IMPORT = (
    "driver.import_volume(VolumeSource(path=Path({path!r}), format=DiskFormat.RAW,"
    " size_bytes={size}), token={token!r}, on_progress=quiet)"
)
MAKERS = {
    "create": "driver.create_volume({size}, token={token!r})",
    "import": IMPORT,
    "copy": "driver.copy_volume({ref!r}, token={token!r}, on_progress=quiet)",
}
STEPS = [
    ("plugs", "locked"),
    ("files", "remove"),
    ("volumes", "_change"),
    ("transfers", "_convert"),
    ("volumes", "_sync"),
]


def killed(home: Path, call: str, module: str, name: str, *, after: bool) -> bool:
    """Whether the call came as far as that, and died there."""
    code = KILLED.format(module=module, name=name, after=after, home=str(home), call=call)
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=Path.cwd(), check=False, capture_output=True
    )
    assert done.returncode in (0, -signal.SIGKILL), done.stderr.decode()
    return done.returncode != 0


def ask_again(home: Path, call: str) -> None:
    assert not killed(home, call, "files", "tail", after=False)


@pytest.mark.slow
@pytest.mark.faults
@pytest.mark.parametrize("maker", MAKERS)
@pytest.mark.parametrize(("module", "name"), STEPS, ids=lambda part: part)
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_kill_in_the_middle_of_making_a_volume_is_made_good_by_asking_again(
    driver: LocalDriver, home: Path, disk: VolumeSource, volume: VolumeInfo, tmp_path: Path,
    maker: str, module: str, name: str, after: bool,
) -> None:  # fmt: skip
    token = new_token()
    words = {"token": token, "ref": volume.ref, "path": str(disk.path), "size": disk.size_bytes}
    call = MAKERS[maker].format(**words)
    was_killed = killed(home, call, module, name, after=after)
    if found := driver.find_volume(token):
        assert found.size_bytes == disk.size_bytes
    driver.list_volumes()
    assert left_in(home) == []
    if was_killed and not found:
        assert [info.token for info in driver.list_volumes()] == [volume.token]
    ask_again(home, call)
    out = tmp_path / "out"
    driver.export_volume(token, out, F.RAW, on_progress=quiet)
    expected = bytes(disk.size_bytes) if maker == "create" else disk.path.read_bytes()
    assert out.read_bytes() == expected


@pytest.mark.slow
@pytest.mark.faults
@pytest.mark.parametrize(
    "call",
    [
        "driver.create_snapshot({ref!r}, token={token!r})",
        "driver.grow_volume({ref!r}, 8 << 20)",
        "driver.restore_snapshot({ref!r}, token={kept!r})",
        "driver.delete_snapshot({ref!r}, token={kept!r})",
        "driver.delete_volume({ref!r})",
    ],
)
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_kill_in_the_middle_of_a_change_leaves_a_sound_volume_that_can_be_asked_again(
    driver: LocalDriver, home: Path, disk: VolumeSource, volume: VolumeInfo, tmp_path: Path,
    call: str, after: bool,
) -> None:  # fmt: skip
    kept = new_token()
    driver.create_snapshot(volume.ref, token=kept)
    call = call.format(ref=volume.ref, token=new_token(), kept=kept)
    module, name = ("files", "remove") if "delete_volume" in call else ("volumes", "_change")
    assert killed(home, call, module, name, after=after)
    if driver.find_volume(volume.ref):
        out = tmp_path / "out"
        driver.export_volume(volume.ref, out, F.RAW, on_progress=quiet)
        assert out.read_bytes()[: disk.size_bytes] == disk.path.read_bytes()
        path = plugs.disk_path(driver._site, volume.ref)
        subprocess.run(["qemu-img", "check", "-q", "-f", "qcow2", str(path)], check=True)
    ask_again(home, call)
    driver.list_volumes()
    assert left_in(home) == []


@pytest.fixture
def large(tmp_path: Path) -> VolumeSource:
    """A file that is on its way for a while."""
    return bytes_over_bytes(tmp_path / "large.raw", mib=400)


@pytest.mark.slow
@pytest.mark.faults
def test_a_kill_in_the_middle_of_a_conversion_kills_its_child_and_leaves_nothing(
    driver: LocalDriver, home: Path, large: VolumeSource
) -> None:
    words = {"token": new_token(), "path": str(large.path), "size": large.size_bytes}
    code = KILLED.format(
        module="files", name="tail", after=False, home=str(home), call=IMPORT.format(**words)
    )
    child = subprocess.Popen([sys.executable, "-c", code], cwd=Path.cwd())
    disk = home / "volumes" / f".new-{words['token']}" / "disk.qcow2"
    until(lambda: disk.exists() and disk.stat().st_size > MIB)
    children = Path(f"/proc/{child.pid}/task/{child.pid}/children").read_text().split()
    child.kill()
    assert child.wait() == -signal.SIGKILL
    assert children
    until(lambda: not any(is_running(int(pid)) for pid in children), within_s=2)
    assert driver.find_volume(str(words["token"])) is None
    assert list(driver.list_volumes()) == []
    assert left_in(home) == []
    assert driver.import_volume(large, token=str(words["token"]), on_progress=quiet)


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


@pytest.mark.slow
@pytest.mark.faults
def test_a_kill_in_the_middle_of_an_export_leaves_no_file_of_that_name(
    driver: LocalDriver, home: Path, volume: VolumeInfo, tmp_path: Path
) -> None:
    out = tmp_path / "out" / "disk.raw"
    out.parent.mkdir()
    call = (
        f"driver.export_volume({volume.ref!r}, Path({str(out)!r}), DiskFormat.RAW, on_progress=die)"
    )
    assert killed(home, call, "files", "tail", after=False)
    assert not out.exists()
    driver.export_volume(volume.ref, out, F.RAW, on_progress=quiet)
    assert os.listdir(out.parent) == ["disk.raw"]

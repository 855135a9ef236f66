"""The embedded engine's volumes: whole or not there, whoever is killed when."""

import os
import signal
import subprocess
import sys
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
from cloud.tests.contract import new_token, quiet, until
from cloud.tests.volume_conformance import MIB, PRETENDS_TO_BE_QCOW2, a_disk
from cloud.types import DiskFormat, VolumeInfo, VolumeSource

F = DiskFormat


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "cloud"


@pytest.fixture
def driver(home: Path) -> LocalDriver:
    return LocalDriver(home=home, disk_floor_bytes=1 << 20)


@pytest.fixture
def disk(tmp_path: Path) -> VolumeSource:
    return a_disk(tmp_path / "disk.raw")


@pytest.fixture
def volume(driver: LocalDriver, disk: VolumeSource) -> VolumeInfo:
    return driver.import_volume(disk, token=new_token(), on_progress=quiet)


def left_in(home: Path) -> list[str]:
    """What is in the store that is no volume."""
    return [name for name in os.listdir(home / "volumes") if name.startswith(".")]


# Whole or not there -------------------------------------------------------------------

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


def bytes_over_bytes(path: Path, *, mib: int) -> VolumeSource:
    """A raw file without a hole."""
    with path.open("wb") as file:
        piece = os.urandom(MIB)
        for _ in range(mib):
            file.write(piece)
    return VolumeSource(path=path, format=F.RAW, size_bytes=mib * MIB)


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

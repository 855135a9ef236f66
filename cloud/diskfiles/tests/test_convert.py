"""The child that converts: to the byte, with limits, and never longer than who started it."""

import contextlib
import fcntl
import os
import secrets
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import textwrap
import time
from pathlib import Path

import pytest

from cloud.diskfiles import child, convert, jail, lending
from cloud.diskfiles.refusal import FileRefused
from cloud.diskfiles.tests import samples
from cloud.diskfiles.tests.samples import DISK_BYTES, KINDS, MIB
from cloud.types import DiskFormat

IS_ROOT = os.geteuid() == 0


def quiet(done: int, total: int) -> None:
    assert 0 <= done <= total


def to_raw(source: Path, format: DiskFormat, **more) -> Path:
    target = source.parent / "out.raw"
    arguments = {"size_bytes": DISK_BYTES, "on_progress": quiet} | more
    convert.convert(source, format, target, DiskFormat.RAW, **arguments)
    return target


@pytest.mark.parametrize("kind", KINDS)
def test_every_format_comes_out_to_the_byte(tmp_path, kind):
    content = samples.disk()
    tmp_path.chmod(0o700)
    target = to_raw(samples.make(tmp_path, kind, content), KINDS[kind][0])
    assert target.read_bytes() == content
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert target.stat().st_uid == os.geteuid()
    assert target.stat().st_blocks * 512 < DISK_BYTES // 2


def test_a_streamed_vmdk_comes_out_to_the_byte(tmp_path):
    content = samples.disk()
    path = samples.streamed_vmdk(tmp_path, content)
    assert to_raw(path, DiskFormat.VMDK).read_bytes() == content


def test_there_and_back_is_the_same_disk(tmp_path):
    content = samples.disk()
    raw = samples.make(tmp_path, "raw", content)
    made = tmp_path / "made.qcow2"
    convert.convert(
        raw, DiskFormat.RAW, made, DiskFormat.QCOW2, size_bytes=DISK_BYTES, on_progress=quiet
    )
    samples.qemu_img("compare", "-f", "raw", "-F", "qcow2", raw, made)


def test_a_raw_disk_that_pretends_to_be_qcow2_stays_raw(tmp_path):
    """Its guest wrote a qcow2 header with a backing file into its first sector."""
    overlay = tmp_path / "overlay"
    samples.qemu_img("create", "-f", "qcow2", "-u", "-b", "/etc/passwd", "-F", "raw", overlay, "8M")
    content = overlay.read_bytes().ljust(DISK_BYTES, b"\0")
    raw = samples.make(tmp_path, "raw", content)
    made = tmp_path / "made.qcow2"
    convert.convert(
        raw, DiskFormat.RAW, made, DiskFormat.QCOW2, size_bytes=DISK_BYTES, on_progress=quiet
    )
    assert to_raw(made, DiskFormat.QCOW2).read_bytes() == content


def test_an_odd_end_is_padded(tmp_path):
    path = tmp_path / "odd"
    path.write_bytes(b"\x55" * 1025)
    target = to_raw(path, DiskFormat.RAW, size_bytes=1536)
    assert target.read_bytes() == b"\x55" * 1025 + bytes(511)


def test_a_file_that_cannot_be_read_leaves_nothing(tmp_path):
    path = samples.make(tmp_path, "qcow2", samples.disk())
    samples.patched(path, 0, b"nothing")
    with pytest.raises(FileRefused) as refused:
        to_raw(path, DiskFormat.QCOW2)
    assert refused.value.rule == "not_sound"
    assert "qemu-img" in refused.value.detail
    assert not (tmp_path / "out.raw").exists()


def test_a_disk_that_is_larger_than_it_was_said_is_stopped(tmp_path):
    path = samples.make(tmp_path, "qcow2", samples.disk())
    with pytest.raises(FileRefused) as refused:
        to_raw(path, DiskFormat.QCOW2, size_bytes=MIB)
    assert refused.value.rule == "too_large"
    assert not (tmp_path / "out.raw").exists()


def test_a_target_that_is_there_is_left_alone(tmp_path):
    path = samples.make(tmp_path, "raw", samples.disk())
    (tmp_path / "out.raw").write_bytes(b"mine")
    with pytest.raises(FileExistsError):
        to_raw(path, DiskFormat.RAW)
    assert (tmp_path / "out.raw").read_bytes() == b"mine"


def test_a_source_may_not_be_a_link(tmp_path):
    (tmp_path / "link").symlink_to("/etc/passwd")
    with pytest.raises(FileRefused):
        to_raw(tmp_path / "link", DiskFormat.RAW)
    with pytest.raises(FileRefused):
        convert.look(tmp_path / "link", DiskFormat.RAW)


def test_what_a_look_finds_to_name_others_is_refused(tmp_path):
    overlay = tmp_path / "overlay"
    samples.qemu_img("create", "-f", "qcow2", "-u", "-b", "/etc/passwd", "-F", "raw", overlay, "8M")
    with pytest.raises(FileRefused):
        convert.look(overlay, DiskFormat.QCOW2)


def test_a_backing_file_that_is_named_is_not_read(tmp_path):
    """Straight to the converter, past every inspection: no byte of another file comes out."""
    tmp_path.chmod(0o755)
    secret = tmp_path / "secret"
    secret.write_bytes(b"SECRET OF THE HOST".ljust(MIB, b"\0"))
    overlay = tmp_path / "overlay"
    samples.qemu_img("create", "-f", "qcow2", "-b", secret, "-F", "raw", overlay)
    assert to_raw(overlay, DiskFormat.QCOW2, size_bytes=MIB).read_bytes() == bytes(MIB)
    samples.qemu_img(
        "rebase", "-u", "-f", "qcow2", "-b", "nbd://127.0.0.1:9/x", "-F", "raw", overlay
    )
    (tmp_path / "out.raw").unlink()
    assert to_raw(overlay, DiskFormat.QCOW2, size_bytes=MIB).read_bytes() == bytes(MIB)


def test_a_data_file_that_is_named_is_not_read(tmp_path):
    if jail.kind() is jail.Kind.BARE:
        pytest.skip("this host lets nobody make spaces")
    tmp_path.chmod(0o755)
    secret = tmp_path / "secret"
    disk = tmp_path / "disk"
    samples.qemu_img(
        "create", "-f", "qcow2", "-o", f"data_file={secret},data_file_raw=on", disk, "1M"
    )
    secret.write_bytes(b"SECRET OF THE HOST".ljust(MIB, b"\0"))
    secret.chmod(0o644)
    with pytest.raises(FileRefused):
        to_raw(disk, DiskFormat.QCOW2, size_bytes=MIB)


def test_a_file_that_was_read_is_ours_alone_again(tmp_path):
    for mode in (0o600, 0o640, 0o644, lending.LENT):  # the last: left so by a kill
        path = samples.make(tmp_path, "qcow2", samples.disk())
        path.chmod(mode)
        convert.look(path, DiskFormat.QCOW2)
        left = 0o600 if mode == lending.LENT and IS_ROOT else mode
        assert stat.S_IMODE(path.stat().st_mode) == left
        path.unlink()


def test_a_file_that_cannot_be_read_to_its_end_is_ours_alone_again_as_well(tmp_path):
    path = samples.make(tmp_path, "qcow2", samples.disk())
    samples.patched(path, 0, b"nothing")
    path.chmod(0o600)
    with pytest.raises(FileRefused):
        convert.look(path, DiskFormat.QCOW2)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_whoever_reads_last_gives_it_back(tmp_path, order):
    path = tmp_path / "file"
    path.write_bytes(b"x")
    path.chmod(0o600)
    readers = []
    with path.open("rb") as file:
        for _ in order:
            readers.append(lending.lent(file.fileno(), child.FIRST_UID))
            readers[-1].__enter__()
            assert stat.S_IMODE(path.stat().st_mode) == lending.LENT
        readers[order[0]].__exit__(None, None, None)
        assert stat.S_IMODE(path.stat().st_mode) == lending.LENT, "somebody reads it still"
        readers[order[1]].__exit__(None, None, None)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_lending_stands_in_no_other_locks_way(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"x")
    with path.open("rb") as one, path.open("rb") as other:
        fcntl.flock(one, fcntl.LOCK_EX | fcntl.LOCK_NB)
        with lending.lent(other.fileno(), child.FIRST_UID):
            pass


@pytest.mark.parametrize("kind", ["qcow2", "VMDK streamOptimized", "raw", "VHD", "VDI", "VHDX"])
def test_the_room_that_a_disk_takes_is_known_before(tmp_path, kind):
    content = samples.disk()
    path = samples.make(tmp_path, kind, content)
    if kind == "qcow2":  # packed inside
        packed = tmp_path / "packed"
        samples.qemu_img("convert", "-c", "-O", "qcow2", path, packed)
        path = packed
    takes = convert.room_bytes(path, KINDS[kind][0], on_tick=lambda: None)
    made = tmp_path / "made.qcow2"
    convert.convert(
        path, KINDS[kind][0], made, DiskFormat.QCOW2, size_bytes=DISK_BYTES, on_progress=quiet
    )
    took = made.stat().st_blocks * 512
    assert took - MIB <= takes <= 2 * took + 4 * MIB


@pytest.mark.slow
def test_who_no_longer_wants_it_stops_it(tmp_path):
    class Enough(Exception):
        pass

    def stop(done: int, total: int) -> None:
        raise Enough

    source = tmp_path / "large"
    with source.open("wb") as file:
        for _ in range(300):
            file.write(os.urandom(MIB))
    with pytest.raises(Enough):
        to_raw(source, DiskFormat.RAW, size_bytes=300 * MIB, on_progress=stop)
    assert not (tmp_path / "out.raw").exists()
    assert not reading(source)


def reading(path: Path) -> list[int]:
    """The processes that have a file open, but for ourselves."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal() and int(entry.name) != os.getpid():
            try:
                links = [os.readlink(one) for one in (entry / "fd").iterdir()]
            except OSError:
                continue
            if str(path) in links:
                found.append(int(entry.name))
    return found


def said_by(command: list[str], **limits: int) -> tuple[child.Ended, str]:
    heard: list[bytes] = []
    ended = child.run(
        command,
        uid=child.new_uid(),
        limits=child.Limits(**limits),
        on_output=heard.append,
        on_tick=lambda: None,
    )
    return ended, b"".join(heard).decode()


def test_a_child_sees_no_secret_and_has_no_rights(monkeypatch):
    monkeypatch.setenv("PORTAL_SECRET_KEY", "hunter2")
    ended, said = said_by(["sh", "-c", "env; id -u; grep -E 'NoNewPrivs|CapEff' /proc/self/status"])
    assert ended.code == 0
    assert "hunter2" not in said
    assert "NoNewPrivs:\t1" in said
    assert "CapEff:\t0000000000000000" in said
    if IS_ROOT:
        users = {said_by(["id", "-u"])[1] for _ in range(3)}
        assert len(users) == 3, "two children are one user, and may look into one another"
        assert all(int(user) >= child.FIRST_UID for user in users)


is_jailed = pytest.mark.skipif(
    jail.kind() is jail.Kind.BARE, reason="this host lets nobody make spaces"
)


@is_jailed
def test_a_child_has_no_network():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        ended, _ = said_by(["qemu-img", "info", f"nbd://127.0.0.1:{port}/x"])
    assert "Network is unreachable" in ended.words
    cards = said_by(["cat", "/proc/self/net/dev"])[1].splitlines()[2:]
    assert [card.split(":")[0].strip() for card in cards] == ["lo"]


@is_jailed
def test_a_child_sees_no_file_of_the_host_and_no_other_process(tmp_path):
    (tmp_path / "secret").write_text("of the host")
    tmp_path.chmod(0o777)
    ended, said = said_by(["cat", str(tmp_path / "secret"), "/etc/passwd"])
    assert (ended.code, said) == (1, "")
    seen = said_by(["ls", "/", "/etc", "/dev"])[1].split()
    places = {"/:", "bin", "dev", "etc", "lib", "lib32", "lib64", "libx32", "proc", "sbin", "usr"}
    assert set(seen) <= places | {"/etc:", "ld.so.cache", "/dev:", "null"}
    assert said_by(["sh", "-c", "ls -d /proc/[0-9]* | wc -l"])[1].strip() in ("2", "3", "4", "5")
    for place in ("/new", "/usr/new", "/dev/new", "/etc/new"):
        assert said_by(["touch", place])[0].code == 1


@is_jailed
def test_a_child_cannot_look_into_who_keeps_it():
    assert said_by(["ls", "/proc/1/root/"])[0].code != 0
    assert said_by(["cat", "/proc/1/environ"])[0].code != 0


NOT_ROOT = """
    from cloud.diskfiles import child, jail
    said = []
    script = "cat /etc/passwd; touch /usr/x; grep CapEff /proc/self/status; cat /proc/self/net/dev"
    ended = child.run(["sh", "-c", script], uid=child.new_uid(), limits=child.Limits(),
                      on_output=said.append, on_tick=lambda: None)
    print(jail.kind().name, ended.words.count("No such file"), b"".join(said).decode())
"""


@pytest.mark.skipif(not IS_ROOT, reason="only root can be somebody else")
def test_who_is_not_root_has_the_same_jail_or_none():
    done = subprocess.run(
        ["setpriv", "--reuid=12345", "--regid=12345", "--clear-groups", sys.executable, "-c",
         textwrap.dedent(NOT_ROOT)],
        capture_output=True, text=True, check=True, cwd=Path.cwd(),
    )  # fmt: skip
    kind, hidden, *said = done.stdout.split()
    if kind == "BARE":
        assert "root:x:0:0" in done.stdout
    else:
        assert (kind, hidden) == ("USER", "1")
        assert said[:2] == ["CapEff:", "0000000000000000"]
        assert "eth" not in done.stdout


HARDENED = """
    from pathlib import Path
    from cloud.diskfiles import child, convert, jail
    from cloud.types import DiskFormat
    import os, sys
    me = f"/proc/{os.getpid()}"
    ended = child.run(["cat", f"{me}/environ", f"{me}/fd/0", f"{me}/root/etc/passwd"],
                      uid=child.new_uid(), limits=child.Limits(),
                      on_output=lambda said: None, on_tick=lambda: None)
    print(jail.kind().name, ended.code, ended.words.count("Permission denied"))
    print(convert.look(Path(sys.argv[1]), DiskFormat.RAW).size_bytes)
"""
LIKE_A_UNIT = """
    mount --bind /proc/sys /proc/sys
    mount -o remount,bind,ro /proc/sys
    exec setpriv --reuid=12345 --regid=12345 --clear-groups --bounding-set=-all --no-new-privs "$@"
"""


@pytest.mark.skipif(not IS_ROOT, reason="only root can be somebody else")
def test_a_hardened_unit_of_systemd_has_the_jail_as_well():
    with tempfile.TemporaryDirectory() as folder:
        disk = samples.make(Path(folder), "raw", samples.disk(MIB))
        os.chown(disk, 12345, 12345)
        os.chown(folder, 12345, 12345)
        done = subprocess.run(
            ["unshare", "--mount", "sh", "-ec", textwrap.dedent(LIKE_A_UNIT), "unit",
             sys.executable, "-c", textwrap.dedent(HARDENED), str(disk)],
            capture_output=True, text=True, check=True, cwd=Path.cwd(),
        )  # fmt: skip
    kind, *said = done.stdout.split()
    if kind == "USER":
        assert said == ["1", "3", str(MIB)], "a process of the portal can be looked into"


def test_where_no_jail_can_be_made_a_child_runs_with_limits(monkeypatch):
    monkeypatch.setattr(jail, "_BUILD", "exit 9")
    for kind in (jail.Kind.ROOT, jail.Kind.USER):
        monkeypatch.setitem(jail._AROUND, kind, ["unshare", "--no-such-word"])
    jail.kind.cache_clear()
    try:
        assert jail.kind() is jail.Kind.BARE
        ended, said = said_by(["grep", "-E", "NoNewPrivs|CapEff", "/proc/self/status"])
    finally:
        jail.kind.cache_clear()
    assert ended.code == 0
    assert "NoNewPrivs:\t1" in said
    assert "CapEff:\t0000000000000000" in said


def test_a_child_that_could_not_be_started_says_nothing_of_the_file(monkeypatch):
    jail.kind()
    for kind in jail.Kind:
        monkeypatch.setitem(jail._AROUND, kind, ["setpriv", "--no-such-word"])
    with pytest.raises(ChildProcessError):
        said_by(["true"])


@pytest.mark.slow
def test_the_limits_hold():
    ended, _ = said_by(["sh", "-c", "while :; do :; done"], cpu_s=1)
    assert ended.code in (-signal.SIGXCPU, -signal.SIGKILL)
    ended, said = said_by(["sh", "-c", "ulimit -n; ulimit -c"], files=12)
    assert said.split() == ["12", "0"]


PARENT = """
    import os, sys, threading
    from cloud.diskfiles import child
    def tell(said):
        os.write(1, said)
    child.run(["sh", "-c", "echo here; exec sleep %s"], uid=child.new_uid(),
              limits=child.Limits(), on_output=tell, on_tick=lambda: None)
"""


@pytest.mark.slow
def test_a_child_dies_with_who_started_it():
    seconds = f"6{secrets.randbelow(10**9)}"  # to know it by
    parent = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(PARENT % seconds)],
        stdout=subprocess.PIPE,
        cwd=Path.cwd(),
    )
    assert parent.stdout.readline() == b"here\n"
    deadline = time.monotonic() + 5
    while not sleeping(seconds):
        assert time.monotonic() < deadline, "it does not run"
    parent.kill()
    parent.wait()
    deadline = time.monotonic() + 5
    while sleeping(seconds):
        assert time.monotonic() < deadline, "the child lives on"
    parent.stdout.close()


def sleeping(seconds: str) -> bool:
    found = False
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with contextlib.suppress(OSError):
                found |= (entry / "cmdline").read_bytes() == f"sleep\0{seconds}\0".encode()
    return found

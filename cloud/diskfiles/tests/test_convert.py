"""The child that converts: to the byte, with limits, and never longer than who started it."""

import os
import signal
import stat
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from cloud.diskfiles import child, convert
from cloud.diskfiles.refusal import FileRefused
from cloud.diskfiles.tests import samples
from cloud.diskfiles.tests.samples import DISK_BYTES, KINDS, MIB
from cloud.types import DiskFormat


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
    assert not children_named("qemu-img")


def children_named(name: str) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                status = (entry / "status").read_text()
            except OSError:
                continue
            if f"Name:\t{name}\n" in status and f"PPid:\t{os.getpid()}\n" in status:
                found.append(int(entry.name))
    return found


def said_by(command: list[str], **limits: int) -> tuple[child.Ended, str]:
    heard: list[bytes] = []
    ended = child.run(
        command,
        uid=child.unprivileged(),
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
    assert str(child.NOBODY if os.geteuid() == 0 else os.geteuid()) in said.splitlines()


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
    child.run(["sh", "-c", "echo $$; exec sleep 60"], uid=child.unprivileged(),
              limits=child.Limits(), on_output=tell, on_tick=lambda: None)
"""


@pytest.mark.slow
def test_a_child_dies_with_who_started_it():
    parent = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(PARENT)], stdout=subprocess.PIPE, cwd=Path.cwd()
    )
    pid = int(parent.stdout.readline())
    assert Path("/proc", str(pid)).exists()
    parent.kill()
    parent.wait()
    deadline = time.monotonic() + 5
    while is_alive(pid):
        assert time.monotonic() < deadline, "the child lives on"
    parent.stdout.close()


def is_alive(pid: int) -> bool:
    try:
        return ") Z " not in Path("/proc", str(pid), "stat").read_text()
    except OSError:
        return False

"""Two files become one disk in one pass: to the byte, with checksums, or nobody is left."""

import contextlib
import errno
import hashlib
import os
import socket
import struct
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cloud.diskfiles import child, flattening, nbd, serving
from cloud.diskfiles.refusal import FileRefused
from cloud.errors import CloudFull
from cloud.types import DiskFormat

MIB = 1 << 20
SIZE = 16 * MIB + 512
IS_ROOT = os.geteuid() == 0
F = DiskFormat


class Enough(Exception):
    """Somebody changed their mind."""


def quiet(done: int, in_all: int) -> None:
    assert 0 <= done <= in_all


def qemu_io(path: Path, *commands: str) -> None:
    subprocess.run(
        ["qemu-io", "-f", "qcow2", *(word for one in commands for word in ("-c", one)), path],
        check=True,
        capture_output=True,
    )


def an_image(folder: Path, kind: DiskFormat, *options: str) -> Path:
    """A disk with letters at its beginning, zeros that take room, and noise."""
    raw, image = folder / "image.raw", folder / f"image.{kind}"
    with raw.open("wb") as file:
        file.write(b"begin" * 1000)
        file.seek(3 * MIB - 7)
        file.write(os.urandom(2 * MIB))
        file.write(bytes(MIB))
        file.truncate(SIZE)
    command = ["qemu-img", "convert", "-f", "raw", "-O", kind.value, *options]
    if kind is not F.RAW:
        subprocess.run([*command, raw, image], check=True)
    return image if kind is not F.RAW else raw


def an_overlay(folder: Path, base: Path, kind: DiskFormat) -> Path:
    """What a guest has written on it, with zeros over some of what was there."""
    path = folder / "overlay.qcow2"
    command = ["qemu-img", "create", "-q", "-f", "qcow2", "-F", kind.value, "-b", base.name]
    subprocess.run([*command, path], check=True)
    qemu_io(
        path, "write -P 0x5a 100k 70k", f"write -z {4 * MIB} 1M", f"write -P 0 {8 * MIB} 1M",
        f"write -P 0x77 {SIZE - 512} 512",
    )  # fmt: skip
    path.chmod(0o600)
    return path


def raw_of(path: Path) -> bytes:
    """By other means."""
    raw = path.with_suffix(".check")
    subprocess.run(["qemu-img", "convert", "-f", "qcow2", "-O", "raw", path, raw], check=True)
    try:
        return raw.read_bytes()
    finally:
        raw.unlink()


def flat(
    path: Path,
    base: tuple[Path, DiskFormat] | None = None,
    *,
    snapshot: str = "",
    size_bytes: int = SIZE,
    tell: Callable[[int, int], None] = quiet,
    place: Path | None = None,
) -> tuple[Path, dict[str, str]]:
    folder = place or path.parent / "new"
    folder.mkdir(mode=0o700, exist_ok=True)
    target, uid = folder / "disk.qcow2", child.new_uid()
    target.unlink(missing_ok=True)
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", target, str(SIZE)], check=True)
    files = [serving.opened(path, os.O_RDONLY)]
    below = None
    if base:
        files.append(serving.opened(base[0], os.O_RDONLY))
        below = files[1], base[1]
    try:
        with flattening.layers(files[0], uid, base=below, snapshot=snapshot) as disk:
            found = flattening.flatten(disk, uid, target, size_bytes=size_bytes, on_progress=tell)
    finally:
        for fd in files:
            os.close(fd)
    return target, dict(found)


def nobody_reads(folder: Path) -> bool:
    """Whether no qemu-nbd has a file in ``folder`` open."""
    for process in Path("/proc").iterdir():
        try:
            if (process / "comm").read_text().strip() == "qemu-nbd" and any(
                os.readlink(fd).startswith(str(folder)) for fd in (process / "fd").iterdir()
            ):
                return False
        except OSError:
            continue
    return True


@pytest.mark.parametrize(
    ("kind", "options"),
    [(F.RAW, []), (F.QCOW2, []), (F.QCOW2, ["-c", "-o", "compression_type=zstd"])],
    ids=["raw", "qcow2", "packed"],
)
def test_an_overlay_and_its_image_come_out_to_the_byte(tmp_path, kind, options):
    base = an_image(tmp_path, kind, *options)
    base.chmod(0o444)
    overlay = an_overlay(tmp_path, base, kind)
    target, found = flat(overlay, (base, kind))
    expected = raw_of(overlay)
    assert raw_of(target) == expected
    assert found == {
        name: hashlib.new(name, expected).hexdigest() for name in ("sha1", "sha256", "sha512")
    }
    subprocess.run(["qemu-img", "check", "-q", "-f", "qcow2", target], check=True)
    assert target.stat().st_blocks * 512 < 5 * MIB  # zeros take no room, whoever wrote them
    assert [oct(path.stat().st_mode & 0o777) for path in (overlay, base)] == ["0o600", "0o444"]
    assert target.stat().st_uid == os.geteuid()
    assert os.listdir(target.parent) == ["disk.qcow2"]
    assert nobody_reads(tmp_path)


def test_names_in_the_file_are_not_followed(tmp_path):
    """What lies below is what the caller says, whatever the head does."""
    base = an_image(tmp_path, F.QCOW2)
    overlay = an_overlay(tmp_path, base, F.QCOW2)
    expected = raw_of(overlay)
    rebase = ["qemu-img", "rebase", "-u", "-f", "qcow2", "-F", "raw", "-b", "/etc/passwd"]
    subprocess.run([*rebase, overlay], check=True)
    target, _ = flat(overlay, (base, F.QCOW2))
    assert raw_of(target) == expected


def test_a_snapshot_is_read_while_somebody_writes_to_the_disk(tmp_path):
    base = an_image(tmp_path, F.QCOW2)
    overlay = an_overlay(tmp_path, base, F.QCOW2)
    expected = raw_of(overlay)
    subprocess.run(["qemu-img", "snapshot", "-c", "then", overlay], check=True)
    writer = subprocess.Popen(
        ["qemu-io", "-f", "qcow2", overlay], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with writer:
        writer.stdin.write(f"write -P 0x11 0 {8 * MIB}\n".encode())
        writer.stdin.flush()
        assert b"wrote" in writer.stdout.readline() + writer.stdout.readline()
        target, found = flat(overlay, (base, F.QCOW2), snapshot="then")
        writer.stdin.close()
    assert raw_of(target) == expected
    assert found["sha256"] == hashlib.sha256(expected).hexdigest()


def test_it_says_how_far_it_is(tmp_path):
    told = []
    flat(an_image(tmp_path, F.QCOW2), tell=lambda done, in_all: told.append((done, in_all)))
    assert told[0][0] < SIZE
    assert told[-1] == (SIZE, SIZE)
    assert told == sorted(told)


@pytest.mark.parametrize("calls", [0, 1])
def test_whoever_raises_from_progress_leaves_nobody_behind(tmp_path, calls):
    told = []

    def tell(done: int, in_all: int) -> None:
        told.append(done)
        if len(told) > calls:
            raise Enough

    with pytest.raises(Enough):
        flat(an_image(tmp_path, F.QCOW2), tell=tell)
    assert nobody_reads(tmp_path)


def test_a_disk_of_another_size_is_refused(tmp_path):
    with pytest.raises(FileRefused) as refusal:
        flat(an_image(tmp_path, F.QCOW2), size_bytes=SIZE - 512)
    assert refusal.value.rule == "another_size"


@pytest.mark.parametrize("at", [0, 3 * 65536], ids=["head", "tables"])
def test_a_damaged_disk_is_refused(tmp_path, at):
    image = an_image(tmp_path, F.QCOW2)
    with image.open("r+b") as file:
        file.seek(at)
        file.write(b"\xff" * 65536)
    with pytest.raises(FileRefused):
        flat(image)
    assert nobody_reads(tmp_path)


def test_a_disk_that_keeps_its_data_elsewhere_is_not_read(tmp_path):
    secret = tmp_path / "secret"
    secret.write_bytes(b"s" * SIZE)
    image = tmp_path / "names.qcow2"
    create = ["qemu-img", "create", "-q", "-f", "qcow2", "-o"]
    subprocess.run([*create, f"data_file={secret},data_file_raw=on", image, str(SIZE)], check=True)
    if child.jail.kind() is child.jail.Kind.BARE:
        pytest.skip("this host lets nobody hide its files")
    with pytest.raises(FileRefused):
        flat(image)


@pytest.mark.faults
@pytest.mark.skipif(not IS_ROOT, reason="only root can mount a small disk")
def test_a_full_disk_is_said_to_be_full(tmp_path):
    small = tmp_path / "small"
    small.mkdir(mode=0o700)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", small], check=True)
    try:
        with pytest.raises(CloudFull):
            flat(an_image(tmp_path, F.QCOW2), place=small)
        assert nobody_reads(tmp_path)
    finally:
        subprocess.run(["umount", small], check=True)


# A server that cannot be trusted --------------------------------------------------------------


GREETING = b"NBDMAGICIHAVEOPT" + struct.pack(">H", 3)


def option(number: int, kind: int, data: bytes = b"") -> bytes:
    return struct.pack(">QIII", 0x3E889045565A9, number, kind, len(data)) + data


EXPORT = option(7, 3, struct.pack(">HQH", 0, MIB, 0)) + option(7, 1)
HELLO = GREETING + option(8, 1) + EXPORT


def chunk(kind: int, data: bytes, *, cookie: int = 1, done: bool = True, length: int = -1) -> bytes:
    size = len(data) if length < 0 else length
    return struct.pack(">IHHQI", 0x668E33EF, done, kind, cookie, size) + data


def data_at(at: int, data: bytes) -> bytes:
    return struct.pack(">Q", at) + data


@pytest.fixture
def talk() -> Iterator[Callable[[bytes], socket.socket]]:
    ends: list[socket.socket] = []

    def says(words: bytes) -> socket.socket:
        ours, theirs = socket.socketpair()
        ends.extend((ours, theirs))

        def serve() -> None:
            with contextlib.suppress(OSError):  # nobody listens any more
                theirs.sendall(words)
                theirs.shutdown(socket.SHUT_WR)

        threading.Thread(target=serve, daemon=True).start()
        return ours

    yield says
    for end in ends:
        end.close()


@pytest.mark.parametrize(
    "words",
    [
        b"",
        b"SSH-2.0-OpenSSH_9.2p1 Debian",
        GREETING[:-2] + b"\0\0",
        GREETING + option(8, 0x80000001),
        GREETING + option(7, 1),
        GREETING + option(8, 1) + option(7, 1),
        GREETING + option(8, 1) + option(7, 3, b"\0\0"),
        GREETING + struct.pack(">QIII", 0x3E889045565A9, 8, 1, 1 << 31),
    ],
    ids=["silent", "ssh", "old", "plain", "other", "no-size", "short", "endless"],
)
def test_what_is_no_server_is_left(talk, words):
    with pytest.raises(nbd.Broken):
        nbd.Client(talk(words), on_tick=lambda: None)


@pytest.mark.parametrize(
    "words",
    [
        chunk(1, data_at(0, b"x" * MIB), cookie=77),
        chunk(1, data_at(1, b"x" * MIB)),
        chunk(1, data_at(1 << 63, b"x")),
        chunk(1, data_at(0, b"x" * 100)),
        chunk(1, b""),
        chunk(1, data_at(0, b""), length=1 << 31),
        chunk(2, struct.pack(">QI", 0, MIB + 1)),
        chunk(2, b"\0" * 5),
        chunk(5, b""),
        chunk(0x8001, b"", length=1 << 30),
        b"\0" * 100,
    ],
    ids=[
        "stranger", "shifted", "far", "short", "empty", "endless", "long-hole", "odd-hole", "kind",
        "long-error", "noise",
    ],
)  # fmt: skip
def test_an_answer_to_something_else_is_not_believed(talk, words):
    client = nbd.Client(talk(HELLO + words), on_tick=lambda: None)
    assert client.size_bytes == MIB
    with pytest.raises(nbd.Broken):
        list(client.pieces())


def test_holes_and_bytes_of_one_piece_may_come_in_any_order(talk):
    words = chunk(2, struct.pack(">QI", 0, MIB - 4), done=False) + chunk(
        1, data_at(MIB - 4, b"last")
    )
    ((length, piece),) = nbd.Client(talk(HELLO + words), on_tick=lambda: None).pieces()
    assert (length, piece) == (MIB, bytes(MIB - 4) + b"last")


def test_nothing_but_holes_is_no_bytes(talk):
    words = chunk(2, struct.pack(">QI", 0, MIB))
    assert list(nbd.Client(talk(HELLO + words), on_tick=lambda: None).pieces()) == [(MIB, None)]


def test_an_error_says_its_number(talk):
    words = chunk(0x8001, struct.pack(">IH", errno.EIO, 3) + b"why")
    with pytest.raises(nbd.Failed) as failure:
        list(nbd.Client(talk(HELLO + words), on_tick=lambda: None).pieces())
    assert failure.value.errno == errno.EIO


def test_a_silent_server_leaves_time_to_change_ones_mind():
    ours, theirs = socket.socketpair()

    def tick() -> None:
        raise Enough

    with ours, theirs, pytest.raises(Enough):
        nbd.Client(ours, on_tick=tick)

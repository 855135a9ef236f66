"""What strangers send, each made here: refused with its own sentence, nothing left behind."""

import bz2
import gzip
import lzma
import os
import re
import struct
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from backports import zstd

from cloud.diskfiles.tests import samples
from cloud.diskfiles.tests.samples import MIB
from core.models import Event
from volumes import landing
from volumes.models import Volume
from volumes.quota import bytes_held
from volumes.states import VolumeState
from volumes.tests.intake import QUOTA_BYTES, arrive, landed, step

pytestmark = pytest.mark.django_db

RAW = samples.disk()
SECRET = "/etc/passwd"


@pytest.fixture(autouse=True)
def place(settings, tmp_path):
    settings.PORTAL_ARRIVALS = tmp_path / "arrivals"
    return settings.PORTAL_ARRIVALS


def backing_file(folder: Path) -> bytes:
    path = folder / "overlay"
    samples.qemu_img("create", "-f", "qcow2", "-u", "-b", SECRET, "-F", "raw", path, "8M")
    return path.read_bytes()


def data_file(folder: Path) -> bytes:
    path = folder / "outside"
    samples.qemu_img(
        "create", "-f", "qcow2", "-o", f"data_file={folder / 'd'},data_file_raw=on", path, "8M"
    )
    return path.read_bytes()


def exbibyte(folder: Path) -> bytes:
    return samples.patched_qcow2(folder, 24, ">Q", 1 << 60).read_bytes()


def encrypted(folder: Path) -> bytes:
    return samples.patched_qcow2(folder, 32, ">I", 2).read_bytes()


def corrupt_mark(folder: Path) -> bytes:
    return samples.patched_qcow2(folder, 72, ">Q", 2).read_bytes()


def unknown_feature(folder: Path) -> bytes:
    return samples.patched_qcow2(folder, 72, ">Q", 1 << 20).read_bytes()


def absurd_l1(folder: Path) -> bytes:
    return samples.patched_qcow2(folder, 36, ">I", 0x7FFFFFFF).read_bytes()


def lost_cluster(folder: Path) -> bytes:
    """Its tables point far beyond its end: what is there would read as zeros."""
    path = samples.make(folder, "qcow2", RAW)
    data = path.read_bytes()
    (l1,) = struct.unpack_from(">Q", data, 40)
    (l2,) = struct.unpack_from(">Q", data, l1)
    return samples.patched(path, l2 & ~(1 << 63), struct.pack(">Q", 1 << 63 | 1 << 40)).read_bytes()


def host_path(folder: Path) -> bytes:
    own, theirs = b'SPARSE "patched.vmdk"', f'FLAT "{SECRET}" 0'.encode()
    return samples.vmdk_with(folder, own, theirs).read_bytes()


def host_path_alone(folder: Path) -> bytes:
    path = samples.vmdk_with(folder, b'SPARSE "patched.vmdk"', f'FLAT "{SECRET}" 0'.encode())
    return samples.patched(path, 12, bytes(8)).read_bytes()


def descriptor(folder: Path) -> bytes:
    text = f'# Disk DescriptorFile\nversion=1\ncreateType="monolithicFlat"\nRW 8 FLAT "{SECRET}" 0'
    return text.encode().ljust(1024, b"\n")


def vmdk_snapshot(folder: Path) -> bytes:
    return samples.vmdk_with(folder, b"parentCID=ffffffff", b"parentCID=deadbeef").read_bytes()


def differencing_vhd(folder: Path) -> bytes:
    footer = samples.vhd_footer(MIB, kind=4)
    return footer + bytes(4096) + footer


def differencing_vdi(folder: Path) -> bytes:
    path = samples.make(folder, "VDI", RAW)
    return samples.patched(path, 440, b"\x01" * 16).read_bytes()


def polyglot(folder: Path) -> bytes:
    path, iso = samples.make(folder, "qcow2", RAW), samples.iso()
    return samples.patched(path, 32768, iso[32768 : 32768 + 2048]).read_bytes()


def zip_archive(folder: Path) -> bytes:
    return b"PK\x03\x04".ljust(4096, b"\0")


def ova(folder: Path) -> bytes:
    return (b"machine.ovf".ljust(257, b"\0") + b"ustar").ljust(4096, b"\0")


def lz4(folder: Path) -> bytes:
    return b"\x04\x22\x4d\x18".ljust(4096, b"\0")


def web_page(folder: Path) -> bytes:
    return b"<!DOCTYPE html><title>404</title>".ljust(4096)


def packed_twice(folder: Path) -> bytes:
    return gzip.compress(gzip.compress(RAW))


def cut_gzip(folder: Path) -> bytes:
    return gzip.compress(RAW)[:-1000]


def damaged_xz(folder: Path) -> bytes:
    packed = bytearray(lzma.compress(RAW))
    packed[len(packed) // 2] ^= 0xFF
    return bytes(packed)


def two_in_one(folder: Path) -> bytes:
    return bz2.compress(RAW) + b"and something else"


def large_window(folder: Path) -> bytes:
    options = {zstd.CompressionParameter.window_log: 27}
    packer = zstd.ZstdCompressor(options=options)
    return packer.compress(RAW, packer.FLUSH_BLOCK)


HOSTILE = {
    backing_file: "names a backing file",
    data_file: "keeps its data in another file",
    exbibyte: "1152921504606846976 bytes",
    encrypted: "is encrypted",
    corrupt_mark: "is marked as damaged",
    unknown_feature: "needs features that this site does not know",
    absurd_l1: "an L1 table of 2147483647 entries",
    lost_cluster: "damaged or cut short",
    host_path: "names a path to another file",
    host_path_alone: "only a description of one in other files",
    descriptor: "the text that describes a VMDK disk",
    vmdk_snapshot: "only what changed since another one (a snapshot)",
    differencing_vhd: "VHD disk is only what changed since another one",
    differencing_vdi: "VDI disk is only what changed since another one",
    polyglot: "claims to be QCOW2 and ISO 9660 at once",
    zip_archive: "a zip archive",
    ova: "an OVA",
    lz4: "packed with lz4",
    web_page: "a web page",
    packed_twice: "packed twice",
    cut_gzip: "what gzip packed has no end",
    damaged_xz: "xz cannot unpack it",
    two_in_one: "Behind what bzip2 packed",
    large_window: "more memory than the 64 MiB",
}
#: Those that a packing can hide.
INSIDE = [make for make in HOSTILE if "gzip" not in HOSTILE[make]][:19]


def must_be_refused(cloud, volume: Volume, sentence: str) -> Volume:
    volume = arrive(volume)
    assert volume.state == VolumeState.FAILED
    assert sentence in volume.reason
    assert volume.reason.endswith(".")
    assert not list(Path(landing.folder(volume)).parent.iterdir())
    assert cloud.find_volume(volume.token) is None
    assert bytes_held(volume.owner) == 0
    assert Event.objects.filter(subject=volume.uuid, now=VolumeState.FAILED).count() == 1
    return volume


def test_each_has_a_sentence_of_its_own():
    assert len(set(HOSTILE.values())) == len(HOSTILE)


@pytest.mark.parametrize("make", HOSTILE, ids=lambda make: make.__name__)
def test_it_is_refused_and_nothing_is_left(cloud, tmp_path, make):
    must_be_refused(cloud, landed(make(tmp_path)), HOSTILE[make])


@pytest.mark.parametrize("make", INSIDE, ids=lambda make: make.__name__)
def test_packing_it_does_not_help(cloud, tmp_path, make):
    must_be_refused(cloud, landed(gzip.compress(make(tmp_path))), HOSTILE[make])


def test_a_disk_within_the_disk_is_told_by_its_checked_size_only(cloud, tmp_path):
    """Of the secret's first line nothing may come in, whatever is done."""
    for make in (backing_file, data_file, host_path, host_path_alone, descriptor):
        volume = arrive(landed(make(tmp_path), format="raw"))
        assert volume.state == VolumeState.AVAILABLE  # said to be raw: it is bytes, and stays so
        inside = cloud.read_volume(volume.cloud_ref, count=volume.size_bytes)
        assert Path(SECRET).read_bytes()[:20] not in inside


# Bombs -----------------------------------------------------------------------------


def gzip_bomb() -> bytes:
    """42 KiB, and 42 MiB in each of many members behind one another: 10 GiB in all."""
    return gzip.compress(bytes(42 * MIB)) * 250


def zstd_bomb() -> bytes:
    packer = zstd.ZstdCompressor()  # a stream, so that it does not say how much there is
    piece = packer.compress(bytes(64 * MIB)) + packer.flush()
    return piece * 1024


def xz_bomb() -> bytes:
    return lzma.compress(bytes(64 * MIB)) * 200


def bzip2_bomb() -> bytes:
    return bz2.compress(bytes(64 * MIB)) * 1000


def small_gzip_bomb() -> bytes:
    """What a single stream can do: 42 KiB that unpack to 42 MiB."""
    return gzip.compress(bytes(42 * MIB))


@pytest.mark.slow
@pytest.mark.parametrize(
    "bomb", [gzip_bomb, zstd_bomb, xz_bomb, bzip2_bomb], ids=lambda bomb: bomb.__name__
)
def test_a_bomb_is_stopped_at_its_owners_quota_and_fills_nothing(cloud, place, bomb):
    content = bomb()
    volume = landed(content)
    largest = 0

    def look(volume: Volume) -> None:
        nonlocal largest
        path = landing.unpacked(volume)
        if path.exists():
            largest = max(largest, path.stat().st_blocks * 512)
            assert path.stat().st_size <= QUOTA_BYTES + MIB

    while volume.is_moving:
        volume = step(volume)
        look(volume)
    must_be_refused_already(cloud, volume)
    assert re.search(r"quota is 256 MiB", volume.reason)
    assert largest < MIB


def must_be_refused_already(cloud, volume: Volume) -> None:
    assert volume.state == VolumeState.FAILED
    assert not landing.folder(volume).exists()
    assert cloud.find_volume(volume.token) is None
    assert bytes_held(volume.owner) == 0


@pytest.mark.slow
def test_a_small_bomb_that_fits_is_a_disk_of_zeros_that_takes_no_room(cloud):
    volume = arrive(landed(small_gzip_bomb()))
    assert volume.state == VolumeState.AVAILABLE, volume.reason
    assert volume.size_bytes == 42 * MIB
    assert volume.used_bytes == 0


# Memory ----------------------------------------------------------------------------

PASS = """
    import resource, sys
    from pathlib import Path
    from cloud.diskfiles import convert, headers, unpacking
    from cloud.diskfiles.headers import Packing
    source, packed, target = Path(sys.argv[1]), Packing(sys.argv[2]), Path(sys.argv[3])
    def peak():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    def quiet(*_):
        pass
    before = peak()
    if not packed:
        headers.inspect(source)
    content = unpacking.read(source, packed, target, sums_file=True, meter=quiet, on_progress=quiet)
    print(content.size_bytes, content.sums["sha256"], peak() - before)
"""


def _strong_xz(data: bytes) -> bytes:
    return lzma.compress(data, preset=9)


def _wide_zstd(data: bytes) -> bytes:
    return zstd.compress(data, options={zstd.CompressionParameter.window_log: 26})


@pytest.mark.slow
@pytest.mark.parametrize("packing", ["", "gzip", "xz", "zstd"])
def test_memory_stays_flat(tmp_path, packing):
    """2 GiB, sparse; the peak of a process that does nothing else."""
    size = 2 << 30
    source = tmp_path / "file"
    with source.open("wb") as file:
        file.truncate(size)
    if packing:
        # The largest windows that are taken: 64 MiB.
        pack = {"gzip": gzip.compress, "xz": _strong_xz, "zstd": _wide_zstd}[packing]
        source = tmp_path / "packed"
        source.write_bytes(pack(bytes(size // 16)) * 16)
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "tests.settings"}
    done = subprocess.run(
        [sys.executable, "-c", "import django; django.setup()\n" + textwrap.dedent(PASS), source,
         packing, tmp_path / "disk.raw"],
        capture_output=True, text=True, check=True, env=environment, cwd=Path.cwd(),
    )  # fmt: skip
    found, sha256, grown_kib = done.stdout.split()
    assert int(found) == size
    assert sha256 == "a7c744c13cc101ed66c29f672f92455547889cc586ce6d44fe76ae824958ea51"
    assert int(grown_kib) < 100 << 10
    if packing:
        assert (tmp_path / "disk.raw").stat().st_blocks == 0

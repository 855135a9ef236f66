"""What a file is, told by its heads; and what is refused, each with its own sentence."""

import struct
from pathlib import Path

import pytest

from cloud.diskfiles import convert, headers, vhdx
from cloud.diskfiles.headers import Packing
from cloud.diskfiles.refusal import FileRefused
from cloud.diskfiles.tests import samples
from cloud.diskfiles.tests.samples import DISK_BYTES, KINDS, MIB
from cloud.types import DiskFormat

EIB = 1 << 60


def judge(path: Path, **more) -> None:
    found = headers.inspect(path, **more)
    convert.check(path, found.format, on_tick=lambda: None)


def refusal_of(path: Path, **more) -> FileRefused:
    with pytest.raises(FileRefused) as refused:
        judge(path, **more)
    assert str(refused.value).endswith(".")
    assert str(path.parent) not in str(refused.value)
    return refused.value


@pytest.mark.parametrize("kind", KINDS)
def test_a_sound_file_is_known_with_its_size(tmp_path, kind):
    path = samples.make(tmp_path, kind, samples.disk())
    found = headers.inspect(path)
    assert (found.format, found.size_bytes) == (KINDS[kind][0], DISK_BYTES)
    assert convert.look(path, found.format).size_bytes == DISK_BYTES
    convert.check(path, found.format, on_tick=lambda: None)


def test_a_streamed_vmdk_is_known_by_its_end(tmp_path):
    path = samples.streamed_vmdk(tmp_path, samples.disk())
    assert headers.inspect(path).format is DiskFormat.VMDK
    assert convert.look(path, DiskFormat.VMDK).size_bytes == DISK_BYTES
    path.write_bytes(path.read_bytes()[:-1536])
    assert refusal_of(path).rule == "truncated"


def test_an_iso_is_known_with_its_label(tmp_path):
    path = tmp_path / "data.iso"
    path.write_bytes(samples.iso("RESULTS_1"))
    found = headers.inspect(path)
    assert (found.format, found.is_iso, found.label) == (DiskFormat.RAW, True, "RESULTS_1")
    assert found.size_bytes == path.stat().st_size


def test_a_raw_disk_is_padded_to_whole_sectors(tmp_path):
    path = tmp_path / "odd"
    path.write_bytes(b"\x55" * 1025)
    assert headers.inspect(path).size_bytes == 1536


def test_the_label_of_a_linux_file_system_is_read(tmp_path):
    path = tmp_path / "ext"
    data = bytearray(64 << 10)
    data[1024 + 56 : 1024 + 58] = b"\x53\xef"
    data[1024 + 120 : 1024 + 127] = b"results"
    path.write_bytes(data)
    assert headers.inspect(path).label == "results"


# What names other files ------------------------------------------------------------


def test_a_qcow2_with_a_backing_file_is_refused(tmp_path):
    path = tmp_path / "overlay"
    samples.qemu_img("create", "-f", "qcow2", "-u", "-b", "/etc/passwd", "-F", "raw", path, "1M")
    refused = refusal_of(path)
    assert refused.rule == "backing_file"
    assert "backing file" in str(refused)


def test_a_qcow2_with_a_data_file_is_refused(tmp_path):
    path = tmp_path / "outside"
    samples.qemu_img(
        "create", "-f", "qcow2", "-o", f"data_file={tmp_path / 'data'},data_file_raw=on", path, "1M"
    )
    assert refusal_of(path).rule == "data_file"
    # The mark alone is enough, and so is the name without the mark.
    assert refusal_of(samples.patched_qcow2(tmp_path, 72, ">Q", 4)).rule == "data_file"
    samples.patched(path, 72, bytes(8))
    assert refusal_of(path).rule == "data_file"


@pytest.mark.parametrize(
    ("old", "new", "rule"),
    [
        (b'SPARSE "patched.vmdk"', b'FLAT "/etc/shadow" 0', "names_files"),
        (b'SPARSE "patched.vmdk"', b'SPARSE "/etc/shadow"', "names_files"),
        (b'SPARSE "patched.vmdk"', b'SPARSE "..\\shadow"', "names_files"),
        (b'SPARSE "patched.vmdk"', b'SPARSE "a"\nRW 16384 SPARSE "b"', "names_files"),
        (b'SPARSE "patched.vmdk"', b'FLAT "other.img" 0', "names_files"),
        (b"monolithicSparse", b"monolithicFlat", "vmdk_type"),
        (b"monolithicSparse", b"twoGbMaxExtentSparse", "vmdk_type"),
        (b"parentCID=ffffffff", b"parentCID=12345678", "parent"),
        (b"parentCID=ffffffff", b'parentCID=ffffffff\nparentFileNameHint="/etc/shadow"', "parent"),
    ],
)
def test_a_vmdk_that_names_other_files_is_refused(tmp_path, old, new, rule):
    assert refusal_of(samples.vmdk_with(tmp_path, old, new)).rule == rule


def test_a_vmdk_without_a_disk_of_its_own_is_refused(tmp_path):
    path = samples.vmdk_with(tmp_path, b"SPARSE", b"FLAT")
    samples.patched(path, 12, bytes(8))  # QEMU would follow the description then
    assert refusal_of(path).rule == "descriptor"
    text = tmp_path / "text.vmdk"
    text.write_bytes(b'# Disk DescriptorFile\nRW 1 FLAT "/etc/passwd" 0\n'.ljust(600, b"\n"))
    assert refusal_of(text).rule == "descriptor"


def test_a_hint_of_a_parent_is_found_wherever_qemu_looks(tmp_path):
    path = samples.vmdk_with(tmp_path, b"SPARSE", b"SPARSE")
    samples.patched(path, 36, struct.pack("<Q", 2))  # a description of two sectors
    samples.patched(path, 512 + 5000, b'\nparentFileNameHint="/etc/shadow"\n')
    assert refusal_of(path).rule == "parent"


def test_what_changed_since_another_disk_is_refused(tmp_path):
    vdi = samples.make(tmp_path, "VDI", samples.disk())
    samples.patched(vdi, 76, struct.pack("<I", 4))
    assert refusal_of(vdi).rule == "parent"
    vdi = samples.make(tmp_path, "VDI", samples.disk())
    samples.patched(vdi, 440, b"\x01" * 16)
    assert refusal_of(vdi).rule == "parent"
    vhd = tmp_path / "differencing"
    footer = samples.vhd_footer(MIB, kind=4)
    vhd.write_bytes(footer + bytes(4096) + footer)
    assert refusal_of(vhd).rule == "parent"


def test_a_vhdx_with_a_parent_is_refused(tmp_path):
    path = samples.make(tmp_path, "VHDX", samples.disk())
    data = path.read_bytes()
    at = data.index(vhdx._FILE_PARAMETERS) + 16
    (offset,) = struct.unpack_from("<I", data, at)
    start = data.index(b"metadata")
    samples.patched(path, start + offset + 4, struct.pack("<I", 2))
    assert refusal_of(path).rule == "parent"


# What is locked, damaged or makes no sense -----------------------------------------


def test_an_encrypted_qcow2_is_refused(tmp_path):
    path = samples.make(tmp_path, "qcow2", bytes(MIB))
    samples.patched(path, 32, struct.pack(">I", 2))  # crypt_method: LUKS
    assert refusal_of(path).rule == "encrypted"


@pytest.mark.parametrize(
    ("at", "layout", "value", "rule"),
    [
        (4, ">I", 1, "unknown_version"),
        (4, ">I", 4, "unknown_version"),
        (20, ">I", 8, "absurd_clusters"),
        (20, ">I", 40, "absurd_clusters"),
        (24, ">Q", EIB, "too_large"),
        (24, ">Q", 0, "too_small"),
        (24, ">Q", 1 << 40, "absurd_tables"),
        (36, ">I", 1 << 30, "absurd_tables"),
        (36, ">I", 0, "absurd_tables"),
        (40, ">Q", 0x30001, "absurd_tables"),
        (40, ">Q", 1 << 40, "truncated"),
        (48, ">Q", 1 << 40, "truncated"),
        (56, ">I", 1 << 20, "absurd_tables"),
        (60, ">I", 1 << 20, "absurd_tables"),
        (60, ">I", 60000, "truncated"),
        (72, ">Q", 1, "not_closed"),
        (72, ">Q", 2, "marked_corrupt"),
        (72, ">Q", 1 << 40, "unknown_features"),
        (96, ">I", 9, "absurd_tables"),
        (100, ">I", 1 << 20, "absurd_tables"),
    ],
)
def test_a_qcow2_that_makes_no_sense_is_refused(tmp_path, at, layout, value, rule):
    assert refusal_of(samples.patched_qcow2(tmp_path, at, layout, value)).rule == rule


@pytest.mark.parametrize(
    ("kind", "at", "layout", "value", "rule"),
    [
        ("VDI", 68, "<I", 0x20000, "unknown_version"),
        ("VDI", 368, "<Q", EIB, "too_large"),
        ("VDI", 376, "<I", 512, "absurd_clusters"),
        ("VDI", 384, "<I", 1 << 29, "truncated"),
        ("VDI", 388, "<I", 1 << 30, "absurd_tables"),
        ("VMDK monolithicSparse", 4, "<I", 9, "unknown_version"),
        ("VMDK monolithicSparse", 12, "<Q", EIB >> 9, "too_large"),
        ("VMDK monolithicSparse", 20, "<Q", 3, "absurd_clusters"),
        ("VMDK monolithicSparse", 28, "<Q", 9999, "descriptor"),
        ("VMDK monolithicSparse", 44, "<I", 1, "absurd_tables"),
        ("VMDK monolithicSparse", 56, "<Q", 1 << 40, "truncated"),
        ("VMDK monolithicSparse", 73, "<I", 0, "damaged"),
        ("VHD", 64, ">I", 0, "bad_checksum"),
        ("VHD", 512 + 36, ">I", 0, "bad_checksum"),
        ("VHDX", 192 << 10, "<I", 0, ""),  # there are two of them
    ],
)
def test_a_disk_whose_header_makes_no_sense_is_refused(tmp_path, kind, at, layout, value, rule):
    path = samples.patched(
        samples.make(tmp_path, kind, samples.disk()), at, struct.pack(layout, value)
    )
    if rule:
        assert refusal_of(path).rule == rule
    else:
        assert headers.inspect(path).size_bytes == DISK_BYTES


def test_a_vhd_of_an_exbibyte_is_refused(tmp_path):
    path = tmp_path / "vhd"
    path.write_bytes(bytes(MIB) + samples.vhd_footer(EIB))
    assert refusal_of(path).rule == "too_large"


def test_a_vhd_says_its_size_and_not_that_of_its_geometry(tmp_path):
    path = tmp_path / "vhd"
    path.write_bytes(samples.disk(MIB) + samples.vhd_footer(MIB))
    assert headers.inspect(path).size_bytes == MIB
    assert convert.look(path, DiskFormat.VHD).size_bytes == MIB


def test_a_vhdx_with_both_headers_damaged_or_a_log_is_refused(tmp_path):
    path = samples.make(tmp_path, "VHDX", samples.disk())
    log = tmp_path / "log"
    log.write_bytes(path.read_bytes())
    for at in (64 << 10, 128 << 10):
        samples.patched(path, at + 100, b"x")
        head = bytearray(log.read_bytes()[at : at + 4096])
        head[48:64] = b"\x07" * 16
        head[4:8] = bytes(4)
        head[4:8] = struct.pack("<I", vhdx.crc32c(bytes(head)))
        samples.patched(log, at, bytes(head))
    assert refusal_of(path).rule == "bad_checksum"
    assert refusal_of(log).rule == "not_closed"


def test_a_smaller_limit_is_kept(tmp_path):
    path = samples.make(tmp_path, "qcow2", samples.disk())
    refused = refusal_of(path, largest_bytes=DISK_BYTES - 1)
    assert refused.rule == "too_large"
    assert str(DISK_BYTES) in str(refused)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in ("raw", "VHD fixed")])
@pytest.mark.parametrize("cut", ["tail", "half", "head"])
def test_a_file_that_is_cut_short_is_refused(tmp_path, kind, cut):
    path = samples.make(tmp_path, kind, samples.disk())
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.truncate({"half": size // 2, "head": 600}.get(cut, size - DISK_BYTES // 6))
    assert refusal_of(path, name=f"disk.{KINDS[kind][0].value}").rule in (
        "truncated", "damaged", "not_sound", "name_differs",
    )  # fmt: skip


def test_a_fixed_vhd_that_lost_its_end_is_known_by_its_name(tmp_path):
    path = samples.make(tmp_path, "VHD fixed", samples.disk())
    path.write_bytes(path.read_bytes()[:-600])
    assert headers.inspect(path).format is DiskFormat.RAW
    assert refusal_of(path, name="Disk.VHD").rule == "name_differs"
    assert refusal_of(path, name="Disk.vhd.gz").rule == "name_differs"
    assert headers.inspect(path, name="disk.vhd", declared=DiskFormat.RAW).size_bytes


def test_an_iso_that_is_cut_short_is_refused(tmp_path):
    path = tmp_path / "data.iso"
    path.write_bytes(samples.iso()[:-2048])
    assert refusal_of(path).rule == "truncated"


@pytest.mark.parametrize("size", [0, 1, 511])
def test_less_than_a_sector_is_no_disk(tmp_path, size):
    path = tmp_path / "tiny"
    path.write_bytes(b"\x01" * size)
    assert refusal_of(path).rule == "too_small"
    assert refusal_of(path, declared=DiskFormat.RAW).rule == "too_small"


# What is two things, or none -------------------------------------------------------


def polyglot(folder: Path) -> Path:
    """A sound qcow2 disk that is a sound ISO 9660 as well."""
    path = samples.make(folder, "qcow2", samples.disk())
    iso = samples.iso()
    return samples.patched(path, 32768, iso[32768 : 32768 + 2048])


def test_a_file_that_is_two_things_is_refused(tmp_path):
    refused = refusal_of(polyglot(tmp_path))
    assert refused.rule == "ambiguous"
    assert "QCOW2 and ISO 9660" in str(refused)


def test_a_qcow2_that_ends_as_a_vhd_is_refused(tmp_path):
    path = samples.make(tmp_path, "qcow2", samples.disk())
    with path.open("ab") as file:
        file.write(samples.vhd_footer(path.stat().st_size))
    assert refusal_of(path).rule == "ambiguous"


def test_what_is_said_to_be_raw_is_raw_whatever_it_looks_like(tmp_path):
    for path in (polyglot(tmp_path), samples.make(tmp_path, "VHDX", samples.disk())):
        found = headers.inspect(path, declared=DiskFormat.RAW)
        assert (found.format, found.size_bytes) == (DiskFormat.RAW, path.stat().st_size)


def test_what_is_said_to_be_another_format_must_bear_its_mark(tmp_path):
    path = samples.make(tmp_path, "VDI", samples.disk())
    assert headers.inspect(path, declared=DiskFormat.VDI).format is DiskFormat.VDI
    assert refusal_of(path, declared=DiskFormat.QCOW2).rule == "format_differs"


@pytest.mark.parametrize(
    ("begins", "rule"),
    [
        (b"PK\x03\x04", "archive"),
        (b"7z\xbc\xaf\x27\x1c", "archive"),
        (b"Rar!\x1a\x07\x01", "archive"),
        (b"machine.ovf".ljust(257, b"\0") + b"ustar", "archive"),
        (b"disk.img".ljust(257, b"\0") + b"ustar", "archive"),
        (b"\x04\x22\x4d\x18", "packing"),
        (b"LZIP\x01", "packing"),
        (b"QED\0", "unknown_format"),
        (b"COWD", "unknown_format"),
        (b"\n  <!DOCTYPE html><html>", "web_page"),
    ],
)
def test_what_is_no_disk_is_refused_with_the_way_out(tmp_path, begins, rule):
    path = tmp_path / "stranger"
    path.write_bytes(begins.ljust(4096, b"\0"))
    assert refusal_of(path).rule == rule
    assert headers.inspect(path, declared=DiskFormat.RAW).format is DiskFormat.RAW


def test_an_ova_is_called_one(tmp_path):
    path = tmp_path / "machine.ova"
    path.write_bytes((b"machine.ovf".ljust(257, b"\0") + b"ustar").ljust(2048, b"\0"))
    assert "OVA" in str(refusal_of(path))


@pytest.mark.parametrize(
    ("head", "packing"),
    [
        (b"\x1f\x8b\x08", Packing.GZIP),
        (b"BZh9", Packing.BZIP2),
        (b"\xfd7zXZ\0", Packing.XZ),
        (b"\x28\xb5\x2f\xfd", Packing.ZSTD),
        (b"\x50\x2a\x4d\x18\0\0\0\0", Packing.ZSTD),
        (b"QFI\xfb", Packing.NONE),
        (b"", Packing.NONE),
    ],
)
def test_a_packed_file_is_known_by_its_first_bytes(head, packing):
    assert headers.packing_of(head) is packing


@pytest.mark.parametrize("kind", ["qcow2", "VDI", "VMDK monolithicSparse", "VHD"])
def test_a_head_says_how_large_the_disk_claims_to_be(tmp_path, kind):
    head = samples.make(tmp_path, kind, samples.disk()).read_bytes()[:65536]
    assert headers.claimed_bytes(head) == DISK_BYTES


def test_the_checksum_of_vhdx_is_the_published_one():
    assert vhdx.crc32c(b"123456789") == 0xE3069283

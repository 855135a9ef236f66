"""What is packed comes out to the byte, in small pieces, or is refused in words."""

import bz2
import functools
import gzip
import io
import lzma
import random
import resource
import subprocess
import time
from pathlib import Path

import pytest
from backports import zstd

from cloud.diskfiles import packing
from cloud.diskfiles.headers import Packing
from cloud.diskfiles.refusal import FileRefused
from cloud.diskfiles.tests import samples

PACK = {
    Packing.GZIP: gzip.compress,
    Packing.BZIP2: bz2.compress,
    Packing.XZ: lzma.compress,
    Packing.ZSTD: zstd.compress,
}
MIB = 1 << 20
CONTENT = samples.disk(3 * MIB + 1234)
each = pytest.mark.parametrize("kind", PACK)


@functools.cache
def packed_content(kind: Packing) -> bytes:
    return PACK[kind](CONTENT)


def unpack(data: bytes, kind: Packing) -> bytes:
    pieces = list(packing.unpacked(io.BytesIO(data), kind))
    assert all(len(piece) <= packing.PIECE for piece in pieces)
    return b"".join(pieces)


def refusal_of(data: bytes, kind: Packing) -> FileRefused:
    with pytest.raises(FileRefused) as refused:
        unpack(data, kind)
    assert kind.value in str(refused.value)
    return refused.value


@each
def test_what_was_packed_comes_out(kind):
    assert unpack(packed_content(kind), kind) == CONTENT


@each
def test_nothing_packed_is_nothing(kind):
    assert unpack(PACK[kind](b""), kind) == b""


@each
def test_streams_one_behind_the_other_are_one_file(kind):
    packed = PACK[kind](CONTENT[:MIB]) + PACK[kind](b"") + PACK[kind](CONTENT[MIB:])
    assert unpack(packed, kind) == CONTENT


@pytest.mark.slow
@each
def test_a_stream_may_begin_anywhere_in_what_is_read_at_once(kind):
    some = random.Random(1)
    for _ in range(4):
        first = some.randbytes(packing.PIECE - some.randrange(200))
        packed = PACK[kind](first) + bytes(some.choice((0, 4, packing.PIECE))) + PACK[kind](b"end")
        assert unpack(packed, kind) == first + b"end"


@each
def test_zeros_behind_the_last_stream_are_padding(kind):
    assert unpack(packed_content(kind) + bytes(2 * MIB), kind) == CONTENT


@each
@pytest.mark.parametrize("behind", [b"PK\x03\x04", b"\0\0\0\0x", b"#!/bin/sh\n" * 5000])
def test_anything_else_behind_it_is_refused(kind, behind):
    assert refusal_of(packed_content(kind) + behind, kind).rule == "trailing"


@each
@pytest.mark.parametrize("cut", [1, 5, 100, MIB // 2])
def test_a_file_that_is_cut_short_is_refused(kind, cut):
    assert refusal_of(packed_content(kind)[:-cut], kind).rule == "truncated"


@each
def test_a_damaged_file_is_refused(kind):
    packed = bytearray(packed_content(kind))
    packed[len(packed) // 2] ^= 0xFF
    packed[-6] ^= 0xFF  # zstd has no checksum unless it is asked for one
    if kind is Packing.ZSTD:
        options = {zstd.CompressionParameter.checksum_flag: 1}
        packed = bytearray(zstd.compress(CONTENT, options=options))
        packed[len(packed) // 2] ^= 0xFF
    assert refusal_of(bytes(packed), kind).rule == "corrupt"


def test_a_window_that_takes_too_much_memory_is_refused():
    large = zstd.ZstdCompressor(options={zstd.CompressionParameter.window_log: 27})
    packed = large.compress(bytes(200), zstd.ZstdCompressor.FLUSH_BLOCK)
    refused = refusal_of(packed, Packing.ZSTD)
    assert refused.rule == "window"
    assert "64 MiB" in str(refused)
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 0, "dict_size": 512 * MIB}]
    assert refusal_of(lzma.compress(b"x", filters=filters), Packing.XZ).rule == "window"


@pytest.mark.slow
@pytest.mark.parametrize("kind", [Packing.XZ, Packing.ZSTD])
def test_the_strongest_usual_settings_are_taken(kind):
    if kind is Packing.XZ:
        packed = lzma.compress(CONTENT, preset=9 | lzma.PRESET_EXTREME)
    else:
        packed = zstd.compress(CONTENT, level=19)
    assert unpack(packed, kind) == CONTENT


def bomb(kind: Packing, mib: int) -> bytes:
    """Zeros, packed as small as they go: a stream, again and again."""
    return PACK[kind](bytes(64 * MIB)) * (mib // 64)


@pytest.mark.slow
@each
def test_a_bomb_comes_out_in_small_pieces_for_as_long_as_somebody_takes_them(kind):
    data = bomb(kind, 16 << 10)  # 16 GiB
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    done = 0
    for piece in packing.unpacked(io.BytesIO(data), kind):
        assert len(piece) <= packing.PIECE
        done += len(piece)
        if done > 200 * MIB:
            break
    grown_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown_kib < 100 << 10


@pytest.mark.slow
@each
def test_many_parts_with_nothing_in_them_are_refused(kind):
    assert unpack(PACK[kind](b"") * 1000 + packed_content(kind), kind) == CONTENT
    refused = refusal_of(PACK[kind](b"") * 20000, kind)
    assert (refused.rule, "1024" in str(refused)) == ("crumbs", True)
    refused = refusal_of(packed_content(kind) + PACK[kind](b"x") * 20000, kind)
    assert refused.rule == "crumbs"


def test_frames_that_are_to_be_skipped_are_no_way_around_it():
    skipped = b"\x50\x2a\x4d\x18" + bytes(4)
    assert unpack(skipped * 100 + zstd.compress(CONTENT), Packing.ZSTD) == CONTENT
    assert refusal_of(skipped * 200_000, Packing.ZSTD).rule == "crumbs"


@pytest.mark.slow
@each
def test_small_parts_take_time_as_their_bytes_and_a_word_for_each_portion(kind):
    some = random.Random(1)
    packed = PACK[kind](some.randbytes(600))
    parts = (8 * MIB) // len(packed)
    began = time.process_time()
    words = sum(1 for _ in packing.unpacked(io.BytesIO(packed * parts), kind))
    took_s = time.process_time() - began
    assert took_s < 10, f"{took_s} s for 8 MiB"
    assert 8 * MIB // packing.FEED <= words <= 3 * 8 * MIB // packing.FEED


def empty_blocks(mib: int) -> bytes:
    """A gzip stream of blocks with nothing in them."""
    return gzip.compress(b"", mtime=0)[:10] + b"\0\0\0\xff\xff" * (mib * MIB // 5)


def test_whoever_takes_pieces_is_heard_while_nothing_comes_out():
    file = io.BytesIO(empty_blocks(8))
    before = 0
    for said, piece in enumerate(packing.unpacked(file, Packing.GZIP), 1):
        assert piece == b""
        assert file.tell() <= before + packing.PIECE, "much was read, and nobody was told"
        before = file.tell()
        if said == 4 * MIB // packing.FEED:
            break
    assert file.tell() <= 5 * MIB


def test_the_beginning_is_not_looked_for_in_a_whole_file(tmp_path):
    path = tmp_path / "endless"
    path.write_bytes(empty_blocks(64))
    with pytest.raises(FileRefused) as refused:
        packing.beginning(path, Packing.GZIP, 65536)
    assert refused.value.rule == "crumbs"
    assert "16 MiB" in str(refused.value)


@each
def test_what_a_file_says_of_its_size_is_heard(tmp_path, kind):
    path = tmp_path / "packed"
    path.write_bytes(packed_content(kind))
    says = packing.says_bytes(path, kind)
    assert says == (len(CONTENT) if kind in (Packing.GZIP, Packing.ZSTD) else 0)


def test_a_gzip_that_cannot_hold_so_much_is_not_believed(tmp_path):
    path = tmp_path / "cut"
    path.write_bytes(gzip.compress(b"x" * 100) + b"\xff\xff\xff\xff")
    assert packing.says_bytes(path, Packing.GZIP) == 0


@each
def test_the_beginning_is_read_and_no_more(tmp_path, kind):
    path = tmp_path / "packed"
    path.write_bytes(packed_content(kind))
    assert packing.beginning(path, kind, 65536) == CONTENT[:65536]
    path.write_bytes(PACK[kind](b"short"))
    assert packing.beginning(path, kind, 65536) == b"short"


def test_zeros_become_holes(tmp_path):
    path = tmp_path / "sparse"
    with path.open("wb") as file:
        writer = packing.SparseWriter(file)
        for piece in (bytes(8 * MIB), CONTENT, bytes(100), b"x", bytes(16 * MIB + 5)):
            writer.write(piece)
        writer.finish()
    assert path.read_bytes() == bytes(8 * MIB) + CONTENT + bytes(100) + b"x" + bytes(16 * MIB + 5)
    assert path.stat().st_blocks * 512 < 2 * MIB


@pytest.mark.parametrize(
    ("program", "kind"),
    [("gzip", Packing.GZIP), ("bzip2", Packing.BZIP2), ("xz", Packing.XZ), ("zstd", Packing.ZSTD)],
)
def test_what_the_usual_programs_pack_comes_out(tmp_path: Path, program, kind):
    try:
        done = subprocess.run([program, "-c"], input=CONTENT, capture_output=True, check=True)
    except FileNotFoundError:
        pytest.skip(f"{program} is not here")
    assert unpack(done.stdout, kind) == CONTENT

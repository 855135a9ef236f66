"""The head of a qcow2 file. Source: docs/interop/qcow2.txt of QEMU 7.2."""

import struct

from cloud.diskfiles.refusal import FileRefused
from cloud.diskfiles.window import Window

MAGIC = b"QFI\xfb"

_HEAD = ">4sIQIIQIIQQIIQ"  # to the end of version 2
_HEAD_V3 = ">QQQII"
_SHORTEST_V3 = 104
_DIRTY, _CORRUPT, _DATA_FILE, _COMPRESSION, _EXTENDED_L2 = (1 << bit for bit in range(5))
_KNOWN = _DIRTY | _CORRUPT | _DATA_FILE | _COMPRESSION | _EXTENDED_L2
_CLUSTER_BITS = range(9, 22)
_LARGEST_L1_BYTES = 32 << 20
_LARGEST_REFTABLE_BYTES = 8 << 20
_MOST_SNAPSHOTS = 65536
_LARGEST_REFCOUNT_ORDER = 6
_COMPRESSIONS = frozenset({0, 1})  # zlib, zstd
_EXTENSION_END = 0
_EXTENSION_DATA_FILE = 0x44415441
_EXTENSION_CRYPTO = 0x0537BE77
_MOST_EXTENSIONS = 64


def size_of(window: Window) -> int:
    """The virtual size in bytes.

    Raises:
        FileRefused: it names other files, is encrypted, damaged, or makes no sense.
    """
    head = window.unpack(_HEAD, 0, "the qcow2 header")
    _, version, backing, _, cluster_bits, size, crypt, l1_entries, l1_offset = head[:9]
    reftable, reftable_clusters, snapshots, snapshots_offset = head[9:]
    if version not in (2, 3):
        raise FileRefused(
            "unknown_version",
            f"The file is a qcow disk of version {version}; versions 2 and 3 are accepted. "
            "Convert it with qemu-img convert -O qcow2.",
        )
    if backing:
        raise _backing()
    if crypt:
        raise _encrypted()
    window.must_be_possible(size)
    if cluster_bits not in _CLUSTER_BITS:
        raise FileRefused(
            "absurd_clusters",
            f"The qcow2 header says clusters of 2^{cluster_bits} bytes; 2^9 to 2^21 are possible.",
        )
    cluster = 1 << cluster_bits
    features = _check_v3(window, cluster) if version >= 3 else 0
    entry = 16 if features & _EXTENDED_L2 else 8
    _check_l1(window, size, cluster * (cluster // entry), l1_entries, l1_offset, cluster)
    _check_refcounts(window, reftable, reftable_clusters, cluster)
    if snapshots > _MOST_SNAPSHOTS:
        raise _absurd_tables(f"{snapshots} snapshots")
    if snapshots:
        window.must_hold(snapshots_offset, snapshots * 40, "the qcow2 table of snapshots")
    return int(size)


def _check_v3(window: Window, cluster: int) -> int:
    incompatible, _, _, refcount_order, length = window.unpack(_HEAD_V3, 72, "the qcow2 header")
    if incompatible & _DATA_FILE:
        raise _data_file()
    if incompatible & _CORRUPT:
        raise FileRefused(
            "marked_corrupt",
            "The qcow2 disk is marked as damaged. Repair it with qemu-img check -r all.",
        )
    if incompatible & _DIRTY:
        raise FileRefused(
            "not_closed",
            "The qcow2 disk is marked as in use: it was not closed. Repair it with "
            "qemu-img check -r all.",
        )
    if unknown := incompatible & ~_KNOWN:
        raise FileRefused(
            "unknown_features",
            f"The qcow2 disk needs features that this site does not know ({unknown:#x}). "
            "Convert it with qemu-img convert -O qcow2 -o compat=1.1.",
        )
    if not _SHORTEST_V3 <= length <= cluster or length % 8:
        raise _absurd_tables(f"a header of {length} bytes")
    if refcount_order > _LARGEST_REFCOUNT_ORDER:
        raise _absurd_tables(f"reference counts of 2^{refcount_order} bits")
    if incompatible & _COMPRESSION and window.all(104, 1, "the qcow2 header")[0] not in (
        _COMPRESSIONS
    ):
        raise FileRefused(
            "unknown_features", "The qcow2 disk is compressed in a way that this site can't read."
        )
    _check_extensions(window, length, cluster)
    return int(incompatible)


def _check_extensions(window: Window, offset: int, end: int) -> None:
    for _ in range(_MOST_EXTENSIONS):
        if offset + 8 > end:
            return
        kind, length = struct.unpack(">II", window.all(offset, 8, "the qcow2 header"))
        if kind == _EXTENSION_END:
            return
        if kind == _EXTENSION_DATA_FILE:
            raise _data_file()
        if kind == _EXTENSION_CRYPTO:
            raise _encrypted()
        if length > end - offset - 8:
            raise _absurd_tables(f"a header extension of {length} bytes")
        offset += 8 + -(-length // 8) * 8
    raise _absurd_tables(f"more than {_MOST_EXTENSIONS} header extensions")


def _check_l1(
    window: Window, size: int, bytes_per_entry: int, entries: int, offset: int, cluster: int
) -> None:
    if entries * 8 > _LARGEST_L1_BYTES:
        raise _absurd_tables(f"an L1 table of {entries} entries")
    if entries < -(-size // bytes_per_entry):
        raise FileRefused(
            "absurd_tables",
            f"The qcow2 header says {size} bytes, and its L1 table of {entries} entries is "
            "too short for them.",
        )
    if offset % cluster:
        raise _absurd_tables(f"an L1 table at byte {offset}, inside a cluster")
    window.must_hold(offset, entries * 8, "the qcow2 L1 table")


def _check_refcounts(window: Window, offset: int, clusters: int, cluster: int) -> None:
    if not 0 < clusters * cluster <= _LARGEST_REFTABLE_BYTES:
        raise _absurd_tables(f"a table of reference counts of {clusters} clusters")
    if not offset or offset % cluster:
        raise _absurd_tables(f"a table of reference counts at byte {offset}")
    window.must_hold(offset, clusters * cluster, "the qcow2 table of reference counts")


def _backing() -> FileRefused:
    return FileRefused(
        "backing_file",
        "The qcow2 disk names a backing file, so it is not whole. Flatten it with "
        "qemu-img convert -O qcow2.",
    )


def _data_file() -> FileRefused:
    return FileRefused(
        "data_file",
        "The qcow2 disk keeps its data in another file. Bring it into one with "
        "qemu-img convert -O qcow2.",
    )


def _encrypted() -> FileRefused:
    return FileRefused(
        "encrypted",
        "The qcow2 disk is encrypted, so nothing here could read it. Decrypt it with "
        "qemu-img convert.",
    )


def _absurd_tables(what: str) -> FileRefused:
    return FileRefused("absurd_tables", f"The qcow2 header makes no sense: it says {what}.")

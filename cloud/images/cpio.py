"""Initial RAM disks: cpio archives in the "newc" format.

Source: Linux 6.1, Documentation/driver-api/early-userspace/buffer-format.rst.
"""

from collections.abc import Iterable

from cloud.images.tools import EPOCH_S
from cloud.images.tree import Node, Tree


def archive(tree: Tree) -> bytes:
    """Return the tree as an uncompressed archive that the kernel unpacks at boot."""
    entries = list(tree.items())
    parts = [_entry(number, path, node) for number, (path, node) in enumerate(entries, start=1)]
    return b"".join([*parts, _entry(len(parts) + 1, "TRAILER!!!", Node(0))])


def _entry(inode: int, path: str, node: Node) -> bytes:
    name = path.encode() + b"\0"
    fields = (
        inode, node.mode, 0, 0, 1, EPOCH_S, len(node.data), 0, 0, *node.device, len(name), 0,
    )  # fmt: skip
    head = b"070701" + _hexadecimal(fields) + name
    return _padded(head) + _padded(node.data)


def _hexadecimal(fields: Iterable[int]) -> bytes:
    return b"".join(b"%08X" % field for field in fields)


def _padded(data: bytes) -> bytes:
    return data + b"\0" * (-len(data) % 4)

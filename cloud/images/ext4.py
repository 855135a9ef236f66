"""An ext4 file system written from a tree, without root rights and without mounting.

Source: mke2fs(8), debugfs(8), e2fsprogs 1.47.0.
"""

import stat
import uuid
from collections.abc import Iterator
from pathlib import Path

from cloud.images.built import ImageBuildError
from cloud.images.tools import EPOCH_S, run
from cloud.images.tree import Node, Tree

#: Old kernels and boot loaders need no new feature; 2T is what a DOS partition table
#: can address, so the file system can be grown while mounted as far as that.
OPTIONS = "root_owner=0:0,lazy_itable_init=0,lazy_journal_init=0,resize=2T"

FIX = "Check that the disk is not full, and try again."


def write(
    image: Path, tree: Tree, *, size_bytes: int, label: str, identity: uuid.UUID, work_dir: Path
) -> None:
    """Make the file ``image``: an ext4 file system with the tree's content.

    ``identity`` becomes its UUID and the seed of its directory hashes. ``work_dir``
    is an empty directory for the content's files.

    Raises:
        ImageBuildError: the content does not fit, or the disk of the builder is full.
    """
    with image.open("wb") as file:
        file.truncate(size_bytes)
    run(
        ["mke2fs", "-q", "-F", "-t", "ext4", "-b", "4096", "-I", "256", "-i", "16384",
         "-L", label, "-m", "0", "-J", "size=16", "-U", str(identity),
         "-O", "^metadata_csum,^64bit", "-E", f"{OPTIONS},hash_seed={identity}", image],
        step="Making the root file system", fix=FIX,
    )  # fmt: skip
    script = "\n".join(_commands(tree, work_dir)) + "\n"
    printed = run(
        ["debugfs", "-w", "-f", "/dev/stdin", image],
        step="Filling the root file system", fix=FIX, stdin=script,
    )  # fmt: skip
    # debugfs goes on after an error and exits with 0: it repeats each command after
    # "debugfs: ", and says "Allocated inode" for each file.
    complaints = [line for line in printed.splitlines() if not _is_ordinary(line)]
    if complaints:
        raise ImageBuildError(
            f"Filling the root file system failed: {complaints[0]} {FIX}",
            detail="\n".join(complaints),
        )


def _is_ordinary(line: str) -> bool:
    return not line or line.startswith(("debugfs: ", "Allocated inode: "))


def _commands(tree: Tree, work_dir: Path) -> Iterator[str]:
    for number, (path, node) in enumerate(tree.items()):
        yield from _create(f"/{path}", node, work_dir / f"{number:06}")
        yield from _stamp(f"/{path}", node)
    yield from _stamp("/", Node(stat.S_IFDIR | 0o755))
    yield from _stamp("/lost+found", Node(stat.S_IFDIR | 0o700))
    for field in ("mtime", "wtime", "lastcheck", "mkfs_time"):
        yield f"set_super_value {field} @{EPOCH_S}"


def _create(path: str, node: Node, content: Path) -> Iterator[str]:
    if stat.S_ISDIR(node.mode):
        yield f'mkdir "{path}"'
    elif stat.S_ISLNK(node.mode):
        yield f'symlink "{path}" "{node.data.decode()}"'
    else:
        content.write_bytes(node.data)
        yield f'write "{content}" "{path}"'


def _stamp(path: str, node: Node) -> Iterator[str]:
    yield f'set_inode_field "{path}" mode 0{node.mode:o}'
    for field, number in (("uid", node.uid), ("gid", node.gid)):
        yield f'set_inode_field "{path}" {field} {number}'
    for field in ("atime", "ctime", "mtime", "crtime"):
        yield f'set_inode_field "{path}" {field} @{node.modified_s}'

"""What both images start from: the kernel, the initial RAM disk, and scripts as files."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from cloud.images import cpio, modules
from cloud.images.built import ImageBuildError
from cloud.images.tree import Tree

INITRAMFS = Path(__file__).parent / "guest" / "initramfs"

#: The label by which the kernel finds the root file system; initramfs/init has it too.
ROOT_LABEL = "cloudimg-root"

#: The last four spare a guest without KVM half a second; none weakens the host.
COMMAND_LINE = (
    f"root=LABEL={ROOT_LABEL} console=tty0 console=ttyS0,115200 quiet loglevel=3 panic=5"
    " mitigations=off tsc=reliable no_timer_check cryptomgr.notests"
)

#: Members of a kernel package that a build reads.
KERNEL_FILES = ("boot/vmlinuz-*", "usr/lib/modules/*/kernel/*.ko")

#: Loaded from the initial RAM disk, to reach the root disk.
DISK_MODULES = ("virtio_pci", "virtio_blk")
#: Loaded only if the root disk is not a virtio one.
SCSI_MODULES = ("virtio_scsi", "sd_mod")

INITRAMFS_APPLETS = (
    "sh", "mount", "insmod", "findfs", "usleep", "dd", "blockdev", "switch_root",
)  # fmt: skip


class Kernel:
    """The kernel ``release`` of a file tree: its image, and its modules by name."""

    def __init__(self, files: Tree, release: str) -> None:
        self.release = release
        self.image = files[f"boot/vmlinuz-{release}"].data
        self.modules = {
            modules.module_name(path): (path, node.data)
            for path, node in files.items()
            if path.startswith(f"usr/lib/modules/{release}/") and path.endswith(".ko")
        }

    def order(self, wanted: Iterable[str]) -> list[str]:
        """Return module names in load order, with those that they need.

        Raises:
            ImageBuildError: this kernel has no such module.
        """
        wanted = tuple(wanted)
        if missing := [name for name in wanted if name not in self.modules]:
            raise ImageBuildError(
                f"Choosing kernel modules failed: {self.release} has no {', '.join(missing)}."
                " This kernel is laid out differently; report it as a fault."
            )
        contents = {name: data for name, (_path, data) in self.modules.items()}
        return modules.load_order(wanted, contents)


def initrd(kernel: Kernel, busybox: bytes) -> bytes:
    """Return the initial RAM disk: busybox, a script, and what reaches the root disk."""
    tree = Tree()
    tree.directories(("dev", "proc", "sys", "root"))
    tree.character_device("dev/console", (5, 1))
    tree.file("bin/busybox", busybox, mode=0o755)
    for applet in INITRAMFS_APPLETS:
        tree.link(f"bin/{applet}", "busybox")
    tree.file("init", (INITRAMFS / "init").read_bytes(), mode=0o755)
    first = kernel.order(DISK_MODULES)
    then = [name for name in kernel.order(SCSI_MODULES) if name not in first]
    for list_name, names in (("disk", first), ("scsi", then)):
        tree.file(f"modules/{list_name}", "".join(f"{name}.ko\n" for name in names).encode())
        for name in names:
            tree.file(f"modules/{name}.ko", kernel.modules[name][1])
    return cpio.archive(tree)


def add_guest_files(tree: Tree, directory: Path, words: Mapping[str, str]) -> None:
    """Add every file below ``directory``, with ``words`` replaced; scripts can be run."""
    for source in sorted(path for path in directory.rglob("*") if path.is_file()):
        text = source.read_text()
        for word, value in words.items():
            text = text.replace(word, value)
        mode = 0o755 if text.startswith("#!") else 0o644
        tree.file(str(source.relative_to(directory)), text.encode(), mode=mode)

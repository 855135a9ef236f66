"""A bootable disk: a FAT partition with syslinux and the kernel, then the root file system.

No root rights, no loop devices: every tool writes into a file at an offset. The root
partition is the last one, so the guest can grow it.

Source: syslinux 6.04 doc/syslinux.txt, mtools(1), sfdisk(8).
"""

import errno
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from cloud.images.tools import EPOCH_S, run

SECTOR = 512
MIB = 2**20
BOOT_START = MIB
BOOT_SIZE = 47 * MIB
ROOT_START = BOOT_START + BOOT_SIZE

#: Its first 440 bytes are the boot code; from Debian's syslinux-common.
BOOT_CODE = Path("/usr/lib/syslinux/mbr/mbr.bin")

FIX = "Check that the disk is not full and that mtools, syslinux and fdisk are installed."


@dataclass(frozen=True, slots=True, kw_only=True)
class BootFiles:
    kernel: bytes
    initrd: bytes
    command_line: str

    def syslinux_config(self) -> str:
        """Return a configuration that boots at once and asks nothing."""
        return (
            "DEFAULT linux\nPROMPT 0\nLABEL linux\n LINUX vmlinuz\n INITRD initrd\n"
            f" APPEND {self.command_line}\n"
        )


def assemble(disk: Path, root: Path, boot: BootFiles, *, serial: int, work_dir: Path) -> None:
    """Make the raw file ``disk`` of a root file system and what boots it.

    ``serial`` is the disk's and the boot partition's 32-bit identity; ``work_dir`` is
    an empty directory.

    Raises:
        ImageBuildError: a tool failed, or the builder's disk is full.
    """
    size_bytes = ROOT_START + root.stat().st_size
    with disk.open("wb") as file:
        file.truncate(size_bytes)
    _partition(disk, serial)
    files = {
        "vmlinuz": boot.kernel,
        "initrd": boot.initrd,
        "syslinux.cfg": boot.syslinux_config().encode(),
    }
    _boot_partition(disk, files, serial, work_dir)
    copy_sparse(root, disk, offset=ROOT_START)


def _partition(disk: Path, serial: int) -> None:
    layout = (
        f"label: dos\nlabel-id: {serial:#010x}\nunit: sectors\n"
        f"start={BOOT_START // SECTOR}, size={BOOT_SIZE // SECTOR}, type=6, bootable\n"
        f"start={ROOT_START // SECTOR}, type=83\n"
    )
    run(["sfdisk", "--quiet", disk], step="Partitioning the disk", fix=FIX, stdin=layout)
    with disk.open("r+b") as file:
        file.write(BOOT_CODE.read_bytes()[:440])


def _boot_partition(disk: Path, files: Mapping[str, bytes], serial: int, work_dir: Path) -> None:
    drive = f"{disk}@@{BOOT_START}"
    step = "Writing the boot partition"
    run(
        ["mformat", "-i", drive, "-T", str(BOOT_SIZE // SECTOR), "-h", "16", "-s", "63",
         "-H", str(BOOT_START // SECTOR), "-N", f"{serial:08x}", "::"],
        step=step, fix=FIX,
    )  # fmt: skip
    run(["syslinux", "--install", "--offset", str(BOOT_START), disk], step=step, fix=FIX)
    for name, data in files.items():
        source = work_dir / name
        source.write_bytes(data)
        os.utime(source, (EPOCH_S, EPOCH_S))
        run(["mcopy", "-m", "-i", drive, source, f"::{name}"], step=step, fix=FIX)


def copy_sparse(source: Path, target: Path, *, offset: int) -> None:
    """Copy what is not a hole of ``source`` into ``target``, from byte ``offset`` on."""
    with source.open("rb") as reader, target.open("r+b") as writer:
        for start, end in _data_of(reader.fileno(), source.stat().st_size):
            reader.seek(start)
            writer.seek(offset + start)
            while chunk := reader.read(min(MIB, end - reader.tell())):
                writer.write(chunk)


def _data_of(descriptor: int, size_bytes: int) -> Iterator[tuple[int, int]]:
    """Yield start and end of each stretch of a file that is not a hole."""
    end = 0
    while end < size_bytes:
        try:
            start = os.lseek(descriptor, end, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:  # nothing but a hole is left
                return
            raise
        end = os.lseek(descriptor, start, os.SEEK_HOLE)
        yield start, end


def compress(disk: Path, target: Path) -> None:
    """Convert a raw disk to the compressed qcow2 file ``target``."""
    run(
        ["qemu-img", "convert", "-q", "-f", "raw", "-O", "qcow2", "-c",
         "-o", "compression_type=zstd", disk, target],
        step="Compressing the disk", fix=FIX,
    )  # fmt: skip

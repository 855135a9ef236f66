"""The demo image: a Linux of Debian packages that is up in three seconds.

``python -m cloud.images.mini OUT`` builds it by hand. The same packages and the same
VERSION give the same file to the byte.
"""

import re
import sys
import tempfile
import uuid
from pathlib import Path

from cloud.images import cli, disk, ext4, modules, packages, startup
from cloud.images.built import BuiltImage, ImageBuildError, Profile, measured
from cloud.images.packages import Deb
from cloud.images.tools import PROGRAMS, Report, require, silent, timed
from cloud.images.tree import Tree

VERSION = "1.2"

GUEST = Path(__file__).parent / "guest" / "mini"
ROOT_SIZE = 2000 * disk.MIB
IDENTITY = uuid.UUID("5d1f0ea4-5f0c-4b51-9d5e-5b6c1f3a7a10")
SERIAL = 0x53744C62

LIBRARIES = "usr/lib/x86_64-linux-gnu"

#: Package -> its files that the image has.
CONTENT = {
    "busybox-static": ("usr/bin/busybox",),
    "bash": ("usr/bin/bash",),
    "dropbear-bin": ("usr/sbin/dropbear", "usr/bin/dropbear*", "usr/bin/dbclient"),
    "openssh-sftp-server": ("usr/lib/openssh/sftp-server",),
    "e2fsprogs": (
        "etc/mke2fs.conf",
        "usr/sbin/mke2fs",
        "usr/sbin/mkfs.ext[234]",
        "usr/sbin/e2fsck",
        "usr/sbin/fsck.ext[234]",
        "usr/sbin/resize2fs",
        "usr/sbin/tune2fs",
        "usr/sbin/e2label",
    ),
    "util-linux": ("usr/bin/lsblk", "usr/sbin/blkid", "usr/sbin/wipefs"),
    "libc6": (f"{LIBRARIES}/ld-linux-x86-64.so.2", "usr/lib64/*", f"{LIBRARIES}/libc.so.6"),
    "libcom-err2": (f"{LIBRARIES}/libcom_err.so.2*",),
    "libcrypt1": (f"{LIBRARIES}/libcrypt.so.1*",),
    "libext2fs2": (f"{LIBRARIES}/libext2fs.so.2*", f"{LIBRARIES}/libe2p.so.2*"),
    "libblkid1": (f"{LIBRARIES}/libblkid.so.1*",),
    "libgmp10": (f"{LIBRARIES}/libgmp.so.10*",),
    "libmount1": (f"{LIBRARIES}/libmount.so.1*",),
    "libpcre2-8-0": (f"{LIBRARIES}/libpcre2-8.so.0*",),
    "libselinux1": (f"{LIBRARIES}/libselinux.so.1*",),
    "libsmartcols1": (f"{LIBRARIES}/libsmartcols.so.1*",),
    "libtinfo6": (f"{LIBRARIES}/libtinfo.so.6*",),
    "libtomcrypt1": (f"{LIBRARIES}/libtomcrypt.so.1*",),
    "libtommath1": (f"{LIBRARIES}/libtommath.so.1*",),
    "libudev1": (f"{LIBRARIES}/libudev.so.1*",),
    "libuuid1": (f"{LIBRARIES}/libuuid.so.1*",),
    "ncurses-base": ("usr/lib/terminfo/*",),
    "zlib1g": (f"{LIBRARIES}/libz.so.1*",),
}

#: Loaded when the system starts, list by list: what each is needed for is in rcS.
BOOT_MODULES = {
    "button": ("button", "evdev"),
    "network": ("virtio_net",),
    "seed": ("virtio_rng", "isofs"),
    "late": ("virtio_scsi", "sd_mod", "sr_mod", "virtio_console", "virtio_balloon"),
}
#: Loaded by modprobe, when somebody wants them.
OTHER_MODULES = (
    "loop", "vfat", "exfat", "xfs", "overlay", "nls_cp437", "nls_ascii", "nls_utf8", "qemu_fw_cfg",
)  # fmt: skip


def build(
    target: Path, *, cache_dir: Path, version: str = VERSION, report: Report = silent
) -> BuiltImage:
    """Build the demo image as the qcow2 file ``target``; an older one is replaced at the end.

    Raises:
        ImageBuildError: the sentence names the step that failed and what to do.
    """
    require(PROGRAMS)
    with timed("fetched the Debian packages", report):
        debs = packages.collect(tuple(CONTENT), cache_dir=cache_dir, report=report)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".build-") as name:
        work_dir = Path(name)
        with timed("unpacked the Debian packages", report):
            parts = _Parts(debs, version)
        with timed("wrote the disk", report):
            _write_disk(parts, work_dir)
        with timed("compressed it", report):
            disk.compress(work_dir / "disk.raw", work_dir / "image.qcow2")
        (work_dir / "image.qcow2").replace(target)
    return measured(
        target,
        _profile(version),
        virtual_size_bytes=disk.ROOT_START + ROOT_SIZE,
        packages=[(deb.name, deb.version) for deb in debs],
    )


class _Parts:
    """Everything that goes onto the disk, in memory."""

    def __init__(self, debs: list[Deb], version: str) -> None:
        kernel, *others = debs
        self.release = kernel.name.removeprefix("linux-image-")
        self.root = Tree()
        for deb in others:
            packages.unpack(deb, CONTENT[deb.name], self.root)
        boot_files = Tree()
        packages.unpack(kernel, startup.KERNEL_FILES, boot_files)
        self.kernel = startup.Kernel(boot_files, self.release)
        self.busybox = self.root["usr/bin/busybox"].data
        self._finish_root(version)

    def _finish_root(self, version: str) -> None:
        self._add_guest_files(version)
        self._add_modules()
        self._add_applets()
        for name in ("bin", "sbin", "lib", "lib64"):
            self.root.link(name, f"usr/{name}")
        self.root.link("usr/lib/sftp-server", "openssh/sftp-server")
        self.root.directories(("dev", "proc", "sys", "run", "mnt", "media", "home", "srv", "opt"))
        self.root.directories(("root", "root/.ssh", "var/lib/cloud"), mode=0o700)
        self.root.directories(("tmp", "var/tmp"), mode=0o1777)
        self.root.directories(("var/log", "var/spool/cron/crontabs", "etc/dropbear"))

    def _add_guest_files(self, version: str) -> None:
        words = {"@VERSION@": version, "@KERNEL@": self.release}
        startup.add_guest_files(self.root, GUEST.parent / "shared", words)
        startup.add_guest_files(self.root, GUEST / "root", words)
        self.root.file("etc/shadow", (GUEST / "shadow").read_bytes(), mode=0o600)

    def _add_modules(self) -> None:
        base = f"usr/lib/modules/{self.release}"
        lists = {"disk": startup.DISK_MODULES, **BOOT_MODULES, "other": OTHER_MODULES}
        kept: dict[str, tuple[str, bytes]] = {}
        for list_name, wanted in lists.items():
            new = [name for name in self.kernel.order(wanted) if name not in kept]
            for name in new:
                path, data = self.kernel.modules[name]
                self.root.file(path, data)
                kept[name] = (path.removeprefix(f"{base}/"), data)
            paths = "".join(f"/{base}/{kept[name][0]}\n" for name in new)
            self.root.file(f"usr/lib/boot-modules/{list_name}", paths.encode())
        self.root.file(f"{base}/modules.dep", modules.dependency_file(kept).encode())
        self.root.file(f"{base}/modules.alias", modules.alias_file(kept).encode())

    def _add_applets(self) -> None:
        for name in ("poweroff", "reboot", "halt"):
            self.root.link(f"usr/sbin/{name}", "shutdown")
        for applet in applets(self.busybox):
            if not any(f"usr/{place}/{applet}" in self.root for place in ("bin", "sbin")):
                self.root.link(f"usr/bin/{applet}", "busybox")
        self.root.link("usr/sbin/init", "../bin/busybox")
        self.root.link("usr/sbin/modprobe", "../bin/busybox")
        self.root.link("etc/mtab", "/proc/mounts")


def applets(busybox: bytes) -> list[str]:
    """Return the names that this busybox goes by, from the table in the program itself.

    Raises:
        ImageBuildError: there is no such table.
    """
    table = re.search(rb"\0(\[\0\[\[\0(?:[a-z0-9_-]+\0)+)", busybox)
    if not table:
        raise ImageBuildError(
            "Reading busybox's list of commands failed: it is laid out differently;"
            " report it as a fault."
        )
    return table[1].decode().rstrip("\0").split("\0")


def _write_disk(parts: _Parts, work_dir: Path) -> None:
    content_dir = work_dir / "content"
    content_dir.mkdir()
    root = work_dir / "root.ext4"
    ext4.write(
        root, parts.root,
        size_bytes=ROOT_SIZE, label=startup.ROOT_LABEL, identity=IDENTITY, work_dir=content_dir,
    )  # fmt: skip
    boot = disk.BootFiles(
        kernel=parts.kernel.image,
        initrd=startup.initrd(parts.kernel, parts.busybox),
        command_line=startup.COMMAND_LINE,
    )
    disk.assemble(work_dir / "disk.raw", root, boot, serial=SERIAL, work_dir=work_dir)


def _profile(version: str) -> Profile:
    return Profile(
        os="Linux",
        os_version=version,
        version=version,
        title=f"Demo Linux {version}",
        description=(
            "A small Linux made of Debian 12 packages: a shell with the usual commands, SSH,"
            " and tools to format and mount disks. It starts in seconds and needs 128 MiB."
            " It reads SSH keys, a host name and start-up scripts; it has no package manager."
        ),
    )


if __name__ == "__main__":
    sys.exit(
        cli.main(
            lambda target, cache: build(target, cache_dir=cache, report=cli.say),
            what=f"Build the demo image, version {VERSION}.",
        )
    )

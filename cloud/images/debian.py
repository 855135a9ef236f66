"""A full Debian 12 with cloud-init, as mmdebstrap installs it.

``python -m cloud.images.debian OUT`` builds it by hand, in two minutes. Packages come from
the mirrors that apt on this machine knows. The same packages and the same VERSION give the same
file to the byte.
"""

import re
import sys
import tarfile
import tempfile
import uuid
from collections.abc import Sequence
from pathlib import Path

from cloud.images import cli, disk, ext4, packages, startup
from cloud.images.built import BuiltImage, Profile, measured
from cloud.images.tools import PROGRAMS, Report, require, run, silent, timed
from cloud.images.tree import Tree

VERSION = "1.2"
SUITE = "bookworm"

GUEST = Path(__file__).parent / "guest" / "debian" / "root"
ROOT_SIZE = 4000 * disk.MIB
IDENTITY = uuid.UUID("0a7a6f7e-64d5-4c0e-8d84-1c6a1d2b7f12")
SERIAL = 0x44656231

INCLUDED = (
    "bash-completion", "ca-certificates", "cloud-init", "curl", "dbus", "e2fsprogs", "fdisk",
    "iproute2", "iputils-ping", "less", "login", "nano", "netbase", "openssh-server",
    "parted", "procps", "rsync", "sudo", "systemd-resolved", "systemd-sysv", "udev", "vim-tiny",
    "wget",
)  # fmt: skip

#: Left out of the image: nobody reads them there.
EXCLUDED = (
    "/usr/share/man/*", "/usr/share/doc/*", "/usr/share/info/*", "/usr/share/locale/*",
    "/usr/share/lintian/*", "/usr/share/bug/*",
)  # fmt: skip

#: Hooks of mmdebstrap: shell, with the new system's directory as $1. The image has an
#: initial RAM disk of its own; making Debian's takes a minute.
NO_INITRAMFS = (
    'mkdir -p "$1/etc/initramfs-tools" &&'
    ' echo update_initramfs=no >"$1/etc/initramfs-tools/update-initramfs.conf"'
)
#: Made here, because useradd takes seconds without KVM; cloud-init gives it its keys.
ADD_USER = 'chroot "$1" useradd --create-home --shell /bin/bash --comment Debian debian'

#: Units that take time at every start and do nothing for a machine like this.
MASKED = (
    "apt-daily.timer", "apt-daily-upgrade.timer", "cloud-init-hotplugd.socket",
    "dpkg-db-backup.timer", "e2scrub_all.timer", "e2scrub_reap.service", "fstrim.timer",
    "proc-sys-fs-binfmt_misc.automount", "systemd-binfmt.service", "systemd-pstore.service",
)  # fmt: skip
ENABLED = {
    "portal-cards.service": "multi-user.target",
    "portal-grow.service": "local-fs.target",
    "portal-swap.service": "multi-user.target",
    "systemd-networkd.service": "multi-user.target",
}

LEFT_BEHIND = (
    "var/cache/apt", "var/cache/ldconfig", "var/lib/apt/lists", "var/lib/dbus/machine-id",
    "var/log/alternatives.log", "var/log/apt", "var/log/dpkg.log", "var/log/faillog",
    "var/log/lastlog", "initrd.img", "initrd.img.old", "vmlinuz", "vmlinuz.old",
)  # fmt: skip

FIX = (
    "Check that apt on this machine reaches a Debian mirror (`apt-get update`), that 2 GiB of"
    " disk are free, and run the build as root or install uidmap."
)


def build(
    target: Path, *, cache_dir: Path, version: str = VERSION, report: Report = silent
) -> BuiltImage:
    """Build Debian 12 as the qcow2 file ``target``; an older one is replaced at the end.

    ``cache_dir`` keeps the one package that mmdebstrap does not install.

    Raises:
        ImageBuildError: the sentence names the step that failed and what to do.
    """
    require({**PROGRAMS, "mmdebstrap": "mmdebstrap"})
    with timed("fetched the boot packages", report):
        kernel, busybox = packages.collect(("busybox-static",), cache_dir=cache_dir, report=report)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".build-") as name:
        work_dir = Path(name)
        with timed("installed Debian", report):
            _install(work_dir / "root.tar", kernel.name)
        with timed("configured it", report):
            root = _configured(work_dir / "root.tar", version, kernel.name)
            (work_dir / "root.tar").unlink()
        with timed("wrote the disk", report):
            _write_disk(root, kernel.name, busybox, work_dir)
        with timed("compressed it", report):
            disk.compress(work_dir / "disk.raw", work_dir / "image.qcow2")
        (work_dir / "image.qcow2").replace(target)
    return measured(
        target,
        _profile(version),
        virtual_size_bytes=disk.ROOT_START + ROOT_SIZE,
        packages=installed(root["var/lib/dpkg/status"].data.decode()),
    )


def _release(kernel: str) -> str:
    return kernel.removeprefix("linux-image-")


def _install(archive: Path, kernel: str) -> None:
    run(
        install_command(archive, kernel, _sources()), step="Installing Debian 12", fix=FIX,
    )  # fmt: skip


def install_command(archive: Path, kernel: str, sources: Sequence[str]) -> list[str]:
    """Return the mmdebstrap command line that makes ``archive``, a tar file.

    Source: mmdebstrap(1) 1.3.5.
    """
    return [
        "mmdebstrap", "--variant=minbase", "--architectures=amd64",
        f"--include={','.join([*INCLUDED, kernel])}",
        '--aptopt=APT::Install-Recommends "false"',
        *(f"--dpkgopt=path-exclude={path}" for path in EXCLUDED),
        "--dpkgopt=force-confold",
        f"--essential-hook={NO_INITRAMFS}",
        f"--customize-hook={ADD_USER}",
        SUITE, str(archive), *sources,
    ]  # fmt: skip


def _sources() -> list[str]:
    listed = run(
        ["apt-get", "indextargets", "--format", "$(ORIGIN)|$(CODENAME)|$(SITE)|$(COMPONENT)",
         "Created-By: Packages"],
        step="Asking apt for its mirrors", fix=FIX,
    )  # fmt: skip
    return mirror_lines(listed)


def mirror_lines(listed: str) -> list[str]:
    """Return Debian 12's sources.list lines from what ``apt-get indextargets`` printed."""
    lines = []
    for target in listed.splitlines():
        origin, codename, site, component = target.split("|")
        if origin == "Debian" and codename.split("-")[0] == SUITE:
            lines.append(f"deb {site} {codename} {component}")
    return list(dict.fromkeys(lines))


def _configured(archive: Path, version: str, kernel: str) -> Tree:
    root = Tree()
    with tarfile.open(archive) as packed:
        root.add_archive(packed)
    words = {"@VERSION@": version, "@KERNEL@": _release(kernel)}
    startup.add_guest_files(root, GUEST.parent.parent / "shared", words)
    startup.add_guest_files(root, GUEST, words)
    for unit in MASKED:
        root.link(f"etc/systemd/system/{unit}", "/dev/null")
    for unit, wanted_by in ENABLED.items():
        here = f"etc/systemd/system/{unit}" in root
        place = "/etc/systemd/system" if here else "/lib/systemd/system"
        root.link(f"etc/systemd/system/{wanted_by}.wants/{unit}", f"{place}/{unit}")
    _forget_the_builder(root)
    trust_time_stamps(root)
    return root


def _forget_the_builder(root: Tree) -> None:
    """Remove what must be each machine's own, and what the build left behind."""
    for path in [name for name, _node in root.items() if name.startswith("etc/ssh/ssh_host_")]:
        root.remove(path)
    for path in LEFT_BEHIND:
        root.remove(path)
    root.directories(("var/cache/apt/archives/partial", "var/lib/apt/lists/partial"))
    root.file("etc/machine-id", b"")
    root.link("etc/resolv.conf", "../run/systemd/resolve/stub-resolv.conf")


def trust_time_stamps(root: Tree) -> None:
    """Let Python see by their sources' time stamps that its compiled files are current.

    Built with SOURCE_DATE_EPOCH they have the sources' hashes instead, and each start of
    cloud-init reads and hashes hundreds of files.

    Source: PEP 552.
    """
    for path, node in list(root.items()):
        place, cached, name = path.rpartition("/__pycache__/")
        source = f"{place}/{name.split('.')[0]}.py"
        if not cached or not name.endswith(".pyc") or source not in root:
            continue
        stamp = (0, root[source].modified_s, len(root[source].data))
        header = node.data[:4] + b"".join(number.to_bytes(4, "little") for number in stamp)
        root.replace_data(path, header + node.data[16:])


def installed(status: str) -> list[tuple[str, str]]:
    """Return (name, version) of every package in dpkg's status file."""
    found = re.findall(r"^Package: (\S+)$(?:\n.+)*?\nVersion: (\S+)$", status, re.MULTILINE)
    return sorted(found)


def _write_disk(root: Tree, kernel_name: str, busybox: packages.Deb, work_dir: Path) -> None:
    content_dir = work_dir / "content"
    content_dir.mkdir()
    file_system = work_dir / "root.ext4"
    ext4.write(
        file_system, root,
        size_bytes=ROOT_SIZE, label=startup.ROOT_LABEL, identity=IDENTITY, work_dir=content_dir,
    )  # fmt: skip
    programs = Tree()
    packages.unpack(busybox, ("usr/bin/busybox",), programs)
    kernel = startup.Kernel(root, _release(kernel_name))
    boot = disk.BootFiles(
        kernel=kernel.image,
        initrd=startup.initrd(kernel, programs["usr/bin/busybox"].data),
        command_line=startup.COMMAND_LINE,
    )
    disk.assemble(work_dir / "disk.raw", file_system, boot, serial=SERIAL, work_dir=work_dir)


def _profile(version: str) -> Profile:
    return Profile(
        os="Debian",
        os_version="12",
        version=version,
        title="Debian 12",
        description=(
            "Debian GNU/Linux 12 (bookworm) with cloud-init, SSH and apt. It needs 512 MiB."
            " Sign in as root or as debian, who may use sudo. Without hardware virtualization"
            " it takes about a minute to start; the demo image takes seconds."
        ),
    )


if __name__ == "__main__":
    sys.exit(
        cli.main(
            lambda target, cache: build(target, cache_dir=cache, report=cli.say),
            what=f"Build Debian 12 with cloud-init, version {VERSION}.",
        )
    )

"""The full Debian: its parts quickly, itself built and booted for real."""

import io
import tarfile
from pathlib import Path

import pytest

from cloud.images import debian
from cloud.images.tests.conftest import CACHE_DIR
from cloud.images.tests.machine import Machine, wait_for
from cloud.images.tree import Tree

GIB = 2**30
BOOT_S = 300.0


def test_only_debians_own_mirrors_are_used_and_each_once() -> None:
    listed = (
        "Debian|bookworm|http://mirror/debian|main\n"
        "Debian|bookworm|http://mirror/debian|main\n"
        "Debian|bookworm-security|http://mirror/security|main\n"
        "Debian|trixie|http://mirror/debian|main\n"
        "Somebody|bookworm|http://elsewhere|main\n"
    )
    assert debian.mirror_lines(listed) == [
        "deb http://mirror/debian bookworm main",
        "deb http://mirror/security bookworm-security main",
    ]


def test_the_kernel_is_the_one_that_the_boot_partition_gets() -> None:
    command = debian.install_command(Path("/w/root.tar"), "linux-image-6.1.0-1-cloud-amd64", [])
    (included,) = (word for word in command if word.startswith("--include="))
    assert included.endswith(",linux-image-6.1.0-1-cloud-amd64")
    assert command[-2:] == ["bookworm", "/w/root.tar"]


def test_installed_packages_are_read_from_dpkg() -> None:
    status = (
        "Package: zlib1g\nStatus: install ok installed\nMulti-Arch: same\nVersion: 1:1.2\n\n"
        "Package: apt\nVersion: 2.6.2\nDescription: x\n Version: not this\n"
    )
    assert debian.installed(status) == [("apt", "2.6.2"), ("zlib1g", "1:1.2")]


def test_owners_and_hard_links_survive_the_way_from_an_archive() -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        first = tarfile.TarInfo("./usr/bin/perl")
        first.size, first.mode, first.uid, first.gid, first.mtime = 2, 0o4755, 7, 8, 1234
        archive.addfile(first, io.BytesIO(b"ok"))
        second = tarfile.TarInfo("./usr/bin/perl5")
        second.type, second.linkname = tarfile.LNKTYPE, "./usr/bin/perl"
        archive.addfile(second)
        device = tarfile.TarInfo("./dev/null")
        device.type = tarfile.CHRTYPE
        archive.addfile(device)
    packed.seek(0)
    tree = Tree()
    with tarfile.open(fileobj=packed) as archive:
        tree.add_archive(archive)
    node = tree["usr/bin/perl"]
    assert (node.mode, node.uid, node.gid, node.modified_s) == (0o104755, 7, 8, 1234)
    assert tree["usr/bin/perl5"].data == b"ok"
    assert "dev/null" not in tree


def test_compiled_python_is_tied_to_its_sources_time_stamp() -> None:
    tree = Tree()
    tree.file("usr/lib/x.py", b"pass\n")
    tree.file("usr/lib/__pycache__/x.cpython-311.pyc", b"MAGC\3\0\0\0hashhashcode")
    tree.file("usr/lib/__pycache__/gone.cpython-311.pyc", b"MAGC\3\0\0\0hashhashcode")
    stamp = tree["usr/lib/x.py"].modified_s.to_bytes(4, "little")
    debian.trust_time_stamps(tree)
    compiled = tree["usr/lib/__pycache__/x.cpython-311.pyc"].data
    assert compiled == b"MAGC\0\0\0\0" + stamp + b"\5\0\0\0code"
    assert tree["usr/lib/__pycache__/gone.cpython-311.pyc"].data.startswith(b"MAGC\3")


@pytest.mark.slow
@pytest.mark.qemu
def test_debian_starts_takes_keys_and_scripts_and_switches_off(
    ssh_keys: dict[str, Path], tmp_path: Path
) -> None:
    image = debian.build(tmp_path / "debian.qcow2", cache_dir=CACHE_DIR)
    assert "cloud-init" in dict(image.packages)
    key = ssh_keys["ed25519"]
    with Machine(
        home=tmp_path / "vm",
        image=image.path,
        key=key,
        meta_data="instance-id: i-1\nlocal-hostname: alpha\n"
        f"public-keys:\n  - {key.with_suffix('.pub').read_text().strip()}\n",
        user_data=b"#!/bin/sh\necho ran on $(hostname) >/root/ran\n",
        memory_mib=512,
        disk_bytes=6 * GIB,
    ) as machine:
        machine.wait_for_ssh(within_s=BOOT_S, patience_s=10)
        machine.wait_for_line("finished at", within_s=BOOT_S)
        assert machine.ssh("cat /root/ran") == "ran on alpha\n"
        assert machine.ssh("sudo id -un", user="debian") == "root\n"
        assert int(machine.ssh("df --output=size -m /").split()[-1]) > 5500
        assert machine.ssh("systemctl --failed --no-legend") == ""
        with machine.serial() as line:
            line.sendall(b"\r")
            machine.wait_for_line("root@alpha:", within_s=BOOT_S)
        machine.press_power_button()
        wait_for(
            lambda: machine.qmp("query-status")["status"] == "shutdown", what="off", within_s=60
        )

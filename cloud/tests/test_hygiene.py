"""What is left of its maker in a disk: found without booting it, and taken out for good."""

import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from cloud.diskfiles import hygiene
from cloud.diskfiles.hygiene import NotCleaned, reading

MIB = 1 << 20
PRIVATE = "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEA\n"
SECRET = "a line that nobody else may read"
FILES = {
    "root/.ssh/authorized_keys": "ssh-ed25519 AAAA ann@lab\n",
    "root/.ssh/id_ed25519": PRIVATE,
    "root/.ssh/id_ed25519.pub": "ssh-ed25519 AAAA ann@lab\n",
    "root/.ssh/known_hosts": "lab ssh-ed25519 AAAA\n",
    "root/.bash_history": f"export PASSWORD='{SECRET}'\n",
    "root/notes.pem": "no key at all\n",
    "home/ann/.aws/credentials": "[default]\naws_secret_access_key = x\n",
    "home/ann/data.txt": "results\n",
    "etc/ssh/ssh_host_rsa_key": PRIVATE,
    "etc/ssh/ssh_host_rsa_key.pub": "ssh-rsa AAAA\n",
    "etc/machine-id": "0123456789abcdef0123456789abcdef\n",
    "etc/hostname": "lab\n",
    "etc/udev/rules.d/70-persistent-net.rules": 'SUBSYSTEM=="net"\n',
    "var/lib/cloud/instances/i-1/user-data.txt": f"#!/bin/sh\necho {SECRET}\n",
    "var/lib/cloud/data/instance-id": "i-1\n",
    "var/lib/dhcp/dhclient.eth0.leases": "lease {}\n",
    "var/log/cloud-init.log": "started\n",
    "var/log/syslog": "quiet\n",
}
FOUND = {
    "/root/.ssh/authorized_keys": "authorized_keys",
    "/root/.ssh/id_ed25519": "private_key",
    "/root/.ssh/known_hosts": "known_hosts",
    "/root/.bash_history": "shell_history",
    "/home/ann/.aws/credentials": "token",
    "/etc/ssh/ssh_host_rsa_key": "host_key",
    "/etc/machine-id": "machine_id",
    "/etc/udev/rules.d/70-persistent-net.rules": "udev_net",
    "/var/lib/cloud/instances": "cloud_state",
    "/var/lib/cloud/data": "cloud_state",
    "/var/lib/dhcp/dhclient.eth0.leases": "dhcp_lease",
    "/var/log/cloud-init.log": "cloud_state",
}


def tree(folder: Path, files: Mapping[str, str] = FILES) -> Path:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def file_system(path: Path, files: Path, *, kind: str = "ext4", mib: int = 32) -> Path:
    subprocess.run(
        ["mke2fs", "-q", "-F", "-t", kind, "-d", files, path, f"{mib}M"], check=True,
        capture_output=True,
    )  # fmt: skip
    return path


def disk_of(path: Path, system: Path, *, table: str) -> Path:
    """A disk with one partition, which begins at its first MiB."""
    size = system.stat().st_size
    with path.open("wb") as file:
        file.truncate(size + 2 * MIB)
    lines = f"label: {table}\nstart=2048, size={size // 512}\n"
    subprocess.run(["sfdisk", "-q", path], input=lines.encode(), check=True, capture_output=True)
    with path.open("r+b") as file:
        file.seek(MIB)
        file.write(system.read_bytes())
    return path


def disk_with_boot_parts(folder: Path, system: Path) -> Path:
    """As images of distributions are: a program of the BIOS, an EFI partition, the system."""
    path, boot = folder / "both.img", folder / "boot.img"
    lines = (
        "label: gpt\n"
        "start=2048, size=2048, type=21686148-6449-6E6F-744E-656564454649\n"
        f"start=4096, size={8 * MIB // 512}, type=C12A7328-F81F-11D2-BA4B-00A0C93EC93B\n"
        f"start={10 * MIB // 512}, size={system.stat().st_size // 512}\n"
    )
    (folder / "my key.pem").write_text(PRIVATE)
    (folder / "grub.key").write_text("a public one\n")
    (folder / "User-Data").write_text("#cloud-config\npassword: sesame\n")
    (folder / "meta-data").touch()
    with path.open("wb") as file, boot.open("wb") as other:
        file.truncate(system.stat().st_size + 11 * MIB)
        other.truncate(8 * MIB)
    for argv in (
        ["mformat", "-i", boot, "::"],
        ["mmd", "-i", boot, "::/EFI", "::/EFI/site"],
        ["mcopy", "-i", boot, folder / "my key.pem", folder / "grub.key", "::/EFI/site"],
        ["mcopy", "-i", boot, folder / "User-Data", folder / "meta-data", "::/"],
    ):
        subprocess.run(argv, check=True, capture_output=True)
    subprocess.run(["sfdisk", "-q", path], input=lines.encode(), check=True, capture_output=True)
    with path.open("r+b") as file:
        for at, content in ((1, b"\xeb\x63grub" * 99), (2, boot.read_bytes())):
            file.seek(at * MIB)
            file.write(content)
        file.seek(10 * MIB)
        file.write(system.read_bytes())
    return path


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    return file_system(tmp_path / "plain.img", tree(tmp_path / "tree"))


def read(disk: Path) -> hygiene.Report:
    return hygiene.read(disk, disk.stat().st_size, on_tick=lambda: None)


def clean(disk: Path, paths: Mapping[int, list[str]]) -> int:
    return hygiene.clean(disk, disk.stat().st_size, paths, on_tick=lambda: None)


def cat(disk: Path, path: str, *, offset: int = 0) -> str:
    return subprocess.run(
        ["debugfs", "-R", f"cat {path}", f"{disk}?offset={offset}" if offset else disk],
        check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip


def is_sound(disk: Path) -> bool:
    done = subprocess.run(["e2fsck", "-f", "-n", disk], check=False, capture_output=True)
    return done.returncode == 0


@pytest.mark.slow
class TestReport:
    def test_everything_that_tells_of_its_maker_is_found_and_nothing_else(self, plain):
        report = read(plain)
        assert {one.path: one.kind for one in report.findings} == FOUND
        assert report.is_read

    @pytest.mark.parametrize(("table", "number"), [("dos", 1), ("gpt", 1)])
    def test_a_file_system_is_found_in_its_partition(self, plain, tmp_path, table, number):
        report = read(disk_of(tmp_path / "disk.img", plain, table=table))
        assert {one.path: one.kind for one in report.findings} == FOUND
        assert {one.part for one in report.findings} == {number}

    @pytest.mark.parametrize("kind", ["ext2", "ext3"])
    def test_older_file_systems_are_read_too(self, tmp_path, kind):
        system = file_system(tmp_path / "old.img", tree(tmp_path / "tree"), kind=kind)
        assert {one.path: one.kind for one in read(system).findings} == FOUND

    def test_a_system_without_traces_has_none(self, tmp_path):
        files = tree(tmp_path / "tree", {"etc/hostname": "lab\n", "etc/machine-id": ""})
        report = read(file_system(tmp_path / "clean.img", files))
        assert report.findings == []
        assert report.is_read

    def test_links_lead_nowhere(self, tmp_path):
        files = tree(tmp_path / "tree", {"etc/hostname": "lab\n"})
        (files / "root").mkdir()
        (files / "root/.ssh").symlink_to("/etc")
        (files / "root/.bash_history").symlink_to("/dev/sda")
        assert read(file_system(tmp_path / "links.img", files)).findings == []

    def test_what_is_said_of_a_file_system_that_cannot_be_read(self, tmp_path):
        disk = tmp_path / "xfs.img"
        disk.write_bytes(b"XFSB" + bytes(4 * MIB))
        (unread,) = read(disk).unread
        assert unread.why == "It is xfs; the portal reads ext2, ext3, ext4 and FAT."
        assert not read(disk).is_read

    def test_a_disk_that_starts_by_either_firmware_is_read_whole(self, plain, tmp_path):
        disk = disk_with_boot_parts(tmp_path, plain)
        report = read(disk)
        assert [part.kind for part in report.parts] == ["BIOS boot", "FAT", "ext"]
        assert {one.path: one.kind for one in report.findings if one.part == 3} == FOUND
        assert {one.path: one.kind for one in report.findings if one.part == 2} == {
            "/EFI/site/my key.pem": "private_key",
            "/User-Data": "cloud_state",
        }
        assert report.is_read

    def test_a_boot_partition_without_a_file_system_is_not_read(self, plain, tmp_path):
        disk = disk_with_boot_parts(tmp_path, plain)
        with disk.open("r+b") as file:
            file.seek(2 * MIB + 512)
            file.write(b"\xff" * 512 * 1024)
        (unread,) = read(disk).unread
        assert unread.part.kind == "FAT"
        assert "damaged" in unread.why

    def test_a_damaged_file_system_is_said_to_be_one(self, plain):
        with plain.open("r+b") as file:
            file.seek(1024 + 60)
            file.write(b"\xff" * 64)
            file.seek(4096)
            file.write(b"\xff" * 64 * 1024)
        report = read(plain)
        assert "damaged" in report.unread[0].why
        assert not report.is_read

    @pytest.mark.parametrize("head", [b"", b"\0" * 4096, b"\xff" * 4096, b"LABELONE"])
    def test_a_disk_without_a_file_system_has_no_report(self, tmp_path, head):
        disk = tmp_path / "disk.img"
        disk.write_bytes(head + bytes(MIB))
        report = read(disk)
        assert not report.findings
        assert not report.is_read

    def test_a_name_of_a_guests_making_is_shown_and_not_obeyed(self, tmp_path):
        name = 'home/a"b\n<2>/.bash_history'
        report = read(file_system(tmp_path / "odd.img", tree(tmp_path / "tree", {name: "x"})))
        assert [one for one in report.findings if one.is_removable] == []

    def test_a_table_that_bites_its_tail_ends(self, tmp_path):
        disk = tmp_path / "loop.img"
        line = bytes([0, 0, 0, 0, 5, 0, 0, 0]) + (1).to_bytes(4, "little") * 2
        sector = bytes(446) + line + bytes(48) + b"\x55\xaa"
        disk.write_bytes(sector * 4 + bytes(MIB))
        assert not read(disk).findings

    def test_it_ends_when_it_is_told_to(self, plain):
        def stop() -> None:
            raise InterruptedError

        with pytest.raises(InterruptedError):
            hygiene.read(plain, plain.stat().st_size, on_tick=stop)


@pytest.mark.slow
class TestCleaning:
    def test_what_is_named_is_gone_and_all_else_is_there(self, plain):
        assert clean(plain, {0: list(FOUND)}) == len(FOUND)
        assert read(plain).findings == []
        assert cat(plain, "/home/ann/data.txt") == "results\n"
        assert cat(plain, "/etc/ssh/ssh_host_rsa_key.pub") == "ssh-rsa AAAA\n"
        assert is_sound(plain)

    def test_no_byte_of_it_is_left(self, plain):
        assert SECRET.encode() in plain.read_bytes()
        clean(plain, {0: ["/root/.bash_history", "/var/lib/cloud/instances"]})
        assert SECRET.encode() not in plain.read_bytes()

    def test_what_was_deleted_before_is_gone_too(self, plain):
        subprocess.run(
            ["debugfs", "-w", "-R", "rm /root/.bash_history", plain], check=True,
            capture_output=True,
        )  # fmt: skip
        clean(plain, {0: ["/var/lib/cloud/instances"]})
        assert SECRET.encode() not in plain.read_bytes()

    def test_a_partition_is_cleaned_where_it_is(self, plain, tmp_path):
        disk = disk_of(tmp_path / "disk.img", plain, table="gpt")
        before = disk.read_bytes()
        assert clean(disk, {1: ["/root/.bash_history"]}) == 1
        after = disk.read_bytes()
        assert SECRET.encode() in before
        assert (before[:MIB], before[-MIB:]) == (after[:MIB], after[-MIB:])
        assert cat(disk, "/etc/hostname", offset=MIB) == "lab\n"

    def test_twice_is_once(self, plain):
        assert clean(plain, {0: ["/root/.bash_history"]}) == 1
        assert clean(plain, {0: ["/root/.bash_history"]}) == 0

    def test_a_name_that_cannot_be_named_is_refused(self, plain):
        with pytest.raises(NotCleaned, match="Remove it inside the machine"):
            clean(plain, {0: ['/root/a"b']})

    def test_what_is_no_such_file_system_is_refused(self, tmp_path):
        disk = tmp_path / "xfs.img"
        disk.write_bytes(b"XFSB" + bytes(4 * MIB))
        with pytest.raises(NotCleaned, match="no file system that can be changed"):
            clean(disk, {0: ["/root/.bash_history"]})


def test_more_keys_than_are_opened_are_no_whole_report(tmp_path, monkeypatch):
    monkeypatch.setattr(reading, "MOST_KEYS", 3)
    files = {f"root/{number}.pem": "no key at all\n" for number in range(4)}
    disk = file_system(tmp_path / "disk.img", tree(tmp_path / "tree", files))
    report = hygiene.read(disk, disk.stat().st_size, on_tick=lambda: None)
    assert (report.is_cut, report.is_read) == (True, False)

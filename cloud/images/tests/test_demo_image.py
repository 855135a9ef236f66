"""The demo image: built for real, booted for real."""

import base64
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from cloud.images import BuiltImage, mini
from cloud.images.tests.conftest import CACHE_DIR
from cloud.images.tests.machine import Machine, wait_for

GIB = 2**30
USER_DATA = """Content-Type: multipart/mixed; boundary="=====part=="
MIME-Version: 1.0

--=====part==
Content-Type: text/cloud-config; charset="us-ascii"
Content-Transfer-Encoding: 7bit

#cloud-config
ssh_authorized_keys:
- "{rsa}"
runcmd:
  - echo not for this image

--=====part==
Content-Type: text/x-shellscript; charset="us-ascii"
Content-Disposition: attachment; filename="first.sh"

#!/bin/bash
echo "first on $(hostname)" | tee /root/first
--=====part==
Content-Type: text/x-shellscript
Content-Transfer-Encoding: base64
Content-Disposition: attachment; filename="second.sh"

{second}
--=====part==--
"""


def public(key: Path) -> str:
    return key.with_suffix(".pub").read_text().strip()


def user_data(keys: dict[str, Path]) -> bytes:
    second = base64.encodebytes(b"#!/bin/sh\necho second; exit 3\n").decode().strip()
    return USER_DATA.format(rsa=public(keys["rsa"]), second=second).encode()


@pytest.mark.slow
def test_two_builds_of_the_same_packages_are_equal_to_the_byte(
    demo_image: BuiltImage, tmp_path: Path
) -> None:
    again = mini.build(tmp_path / "elsewhere" / "again.qcow2", cache_dir=CACHE_DIR)
    assert again.sha1 == demo_image.sha1
    assert again.packages == demo_image.packages


@pytest.mark.slow
def test_another_version_is_another_image(demo_image: BuiltImage, tmp_path: Path) -> None:
    other = mini.build(tmp_path / "other.qcow2", cache_dir=CACHE_DIR, version="9.9")
    assert other.version == "9.9"
    assert "9.9" in other.title
    assert other.sha1 != demo_image.sha1
    assert list(tmp_path.iterdir()) == [other.path]


@pytest.mark.slow
def test_the_image_is_what_its_description_says(demo_image: BuiltImage) -> None:
    shown = subprocess.run(
        ["qemu-img", "info", "-f", "qcow2", "--output=json", demo_image.path],
        check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    assert f'"virtual-size": {demo_image.virtual_size_bytes},' in shown
    assert "backing" not in shown
    assert demo_image.path.stat().st_size == demo_image.size_bytes < 30 * 2**20


@pytest.fixture(scope="module")
def machine(
    demo_image: BuiltImage, ssh_keys: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Machine]:
    directory = tmp_path_factory.mktemp("m")
    swap = directory / "swap"
    with swap.open("wb") as file:
        file.truncate(64 * 2**20)
    subprocess.run(["mkswap", "-q", swap], check=True)
    with Machine(
        home=directory / "vm",
        image=demo_image.path,
        key=ssh_keys["ed25519"],
        meta_data="instance-id: i-1\nlocal-hostname: alpha\n"
        f"public-keys:\n  - {public(ssh_keys['ed25519'])}\n",
        user_data=user_data(ssh_keys),
        extra_disks=[swap],
        disk_bytes=4 * GIB,
    ) as booted:
        booted.wait_for_ssh()
        booted.wait_for_line("portal-context: finished")
        yield booted


@pytest.mark.qemu
class TestOneMachine:
    """One machine for many looks at it; the last test switches it off."""

    def test_every_key_of_the_owner_opens_it(
        self, machine: Machine, ssh_keys: dict[str, Path]
    ) -> None:
        for kind in ("ed25519", "rsa"):
            assert machine.ssh("uname -a", key=ssh_keys[kind]).startswith("Linux alpha 6.1")

    def test_a_strangers_key_does_not(self, machine: Machine, ssh_keys: dict[str, Path]) -> None:
        with pytest.raises(AssertionError, match="Permission denied"):
            machine.ssh("true", key=ssh_keys["ecdsa"])

    def test_scripts_run_in_order_and_report_their_exit_codes(self, machine: Machine) -> None:
        log = machine.console_log()
        marks = re.findall(r"^portal-context: (started|script .*|finished)\r?$", log, re.MULTILINE)
        assert marks == ["started", "script first.sh exit 0", "script second.sh exit 3", "finished"]
        assert machine.ssh("cat /root/first") == "first on alpha\n"
        assert machine.ssh("cat /var/log/user-data.log") == "first on alpha\nsecond\n"

    def test_what_it_was_told_is_for_root_alone(self, machine: Machine) -> None:
        assert machine.ssh("stat -c '%a %U' /var/lib/cloud") == "700 root\n"

    def test_what_it_does_not_understand_is_said(self, machine: Machine) -> None:
        assert "this image does not understand runcmd" in machine.console_log()

    def test_the_console_tells_the_host_key(self, machine: Machine) -> None:
        shown = re.search(r"portal-context: host key (ssh-ed25519 \S+)", machine.console_log())
        assert shown
        scanned = subprocess.run(
            ["ssh-keyscan", "-t", "ed25519", "-p", str(machine.port), "127.0.0.1"],
            check=True, capture_output=True, text=True,
        ).stdout  # fmt: skip
        assert shown[1] in scanned

    def test_the_root_disk_has_grown_to_the_machines_disk(self, machine: Machine) -> None:
        size_mib = int(machine.ssh("df -m / | tail -1").split()[1])
        assert size_mib > 3900

    def test_swap_is_used(self, machine: Machine) -> None:
        assert "/dev/vdc" in machine.ssh("cat /proc/swaps")

    def test_every_program_finds_its_libraries(self, machine: Machine) -> None:
        machine.ssh(
            "set -e; lsblk >/dev/null; blkid >/dev/null; wipefs /dev/vdc >/dev/null;"
            "bash -c 'echo $BASH_VERSION' >/dev/null; /sbin/tune2fs -l /dev/vda2 >/dev/null;"
            "e2fsck -V; resize2fs -h 2>&1 | grep -q Usage; modprobe vfat; modprobe xfs;"
            'test "$(date +%Y)" -ge 2025'
        )

    def test_a_disk_is_plugged_formatted_used_and_unplugged(
        self, machine: Machine, tmp_path: Path
    ) -> None:
        volume = tmp_path / "volume"
        with volume.open("wb") as file:
            file.truncate(GIB)
        machine.plug("mydisk", volume)
        wait_for(lambda: "sda" in machine.ssh("ls /dev"), what="/dev/sda")
        machine.ssh("mkfs.ext4 -q /dev/sda && mount /dev/sda /mnt && echo kept >/mnt/note")
        assert machine.ssh("cat /mnt/note; umount /mnt") == "kept\n"
        machine.unplug("mydisk")
        wait_for(lambda: "sda" not in machine.ssh("ls /dev"), what="/dev/sda gone")

    def test_files_are_copied_with_scp(self, machine: Machine, tmp_path: Path) -> None:
        (tmp_path / "data").write_bytes(bytes(range(256)) * 100)
        there = f"scp://root@127.0.0.1:{machine.port}//root/data"
        for source, target in ((tmp_path / "data", there), (there, tmp_path / "back")):
            subprocess.run(["scp", "-q", *machine.ssh_options(), source, target], check=True)
        assert (tmp_path / "back").read_bytes() == (tmp_path / "data").read_bytes()

    def test_the_owner_signs_in_on_the_console(self, machine: Machine) -> None:
        wait_for(lambda: machine.console_log().endswith("alpha login: "), what="the prompt")
        with machine.serial() as line:
            line.sendall(b"\r")
            machine.wait_for_line("root@alpha:~#")
            line.sendall(b"echo sum $((40 + 2)); exit\r")
            machine.wait_for_line("sum 42")

    def test_the_power_button_switches_it_off_cleanly(self, machine: Machine) -> None:
        machine.press_power_button()
        assert machine.wait_until_off() < 10
        assert "The machine is going down." in machine.console_log()
        machine.kill()

    def test_the_second_boot_keeps_identity_and_runs_no_script_again(
        self, machine: Machine
    ) -> None:
        before = machine.console_log()
        machine.start()
        machine.wait_for_ssh()
        wait_for(
            lambda: machine.console_log().count("portal-context: finished") == 2, what="context"
        )
        log = machine.console_log().removeprefix(before)
        assert "script" not in log
        (old,), (new,) = (re.findall("host key (.*)", text) for text in (before, log))
        assert old.strip() == new.strip()
        assert "recovery" not in machine.ssh("dmesg")

    def test_a_reboot_from_inside_comes_back(self, machine: Machine) -> None:
        machine.ssh("(/sbin/reboot) >/dev/null 2>&1 &")
        wait_for(
            lambda: machine.console_log().count("portal-context: finished") == 3, what="context"
        )
        assert machine.ssh("hostname") == "alpha\n"


@pytest.mark.qemu
def test_a_copy_with_a_new_identity_forgets_the_old_one(
    demo_image: BuiltImage, ssh_keys: dict[str, Path], tmp_path: Path
) -> None:
    home = tmp_path / "vm"
    for instance, kind in (("i-1", "ed25519"), ("i-2", "rsa")):
        with Machine(
            home=home,
            image=demo_image.path,
            key=ssh_keys[kind],
            meta_data=f'{{"instance-id": "{instance}", "local-hostname": "{instance}",'
            f' "public-keys": ["{public(ssh_keys[kind])}"]}}',
            user_data=b"#!/bin/sh\r\necho hello >>/root/log\r\n",
            root_bus="scsi",
        ) as machine:
            machine.wait_for_ssh()
            wait_for(
                lambda m=machine, i=instance: (
                    "script user-data exit 0" in m.console_log()
                    and m.console_log().count("finished") == int(i[-1])
                ),
                what="context",
            )
            assert machine.ssh("hostname; wc -l </root/log").split() == [instance, instance[-1]]
            machine.press_power_button()
            machine.wait_until_off()
    found = re.findall("host key (.*)", (home / "console.log").read_text())
    assert len(set(found)) == 2


@pytest.mark.qemu
def test_a_machine_without_a_seed_still_offers_its_console(
    demo_image: BuiltImage, ssh_keys: dict[str, Path], tmp_path: Path
) -> None:
    with Machine(
        home=tmp_path / "vm", image=demo_image.path, key=ssh_keys["rsa"], meta_data="", seed=False
    ) as machine:
        machine.wait_for_line("portal-context: no disk labelled cidata")
        machine.wait_for_line("demo login:")
        machine.wait_for_line("portal-context: finished")
        machine.press_power_button()
        machine.wait_until_off()

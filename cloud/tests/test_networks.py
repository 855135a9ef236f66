"""Private networks and context media with real guests of the embedded engine."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText
from pathlib import Path

import pytest

from cloud import cards
from cloud.errors import CloudBusy
from cloud.images import debian
from cloud.local import networks, qmp
from cloud.local.driver import LocalDriver
from cloud.local.machine import Card, Hold, Machine
from cloud.tests.conformance import IMAGE, a_source
from cloud.tests.contract import new_token, quiet, until
from cloud.tests.real import BOOT_S, CACHE, PREFIX, P, a_driver, end_all, run, ssh, wait
from cloud.types import ContextMethod, Nic, VmInfo

pytestmark = pytest.mark.qemu

FINISHED = b"portal-context: finished"


@dataclass
class Site:
    driver: LocalDriver
    key: Path
    network: str

    @property
    def public(self) -> str:
        return self.key.with_suffix(".pub").read_text().strip()

    def nic(self, host: int, network: str = "") -> Nic:
        mac = cards.hardware_address(new_token())
        return Nic(network=network or self.network, mac=mac, address=f"10.77.3.{host}/24")

    def run(self, **changes: object) -> VmInfo:
        return run(self.driver, ssh_keys=(self.public,), **changes)

    def ssh(self, vm: VmInfo, command: str) -> str:
        return ssh(self.key, vm, command)

    def hears(self, vm: VmInfo, address: str) -> bool:
        said = self.ssh(vm, f"ping -c 2 -w 4 {address} >/dev/null && echo yes || echo no")
        return said.strip() == "yes"

    def console(self, vm: VmInfo) -> bytes:
        return self.driver.console_log(vm.ref, max_bytes=1 << 20)

    def wait_for_context(self, vm: VmInfo, *, times: int = 1) -> str:
        until(
            lambda: self.console(vm).count(FINISHED) >= times, within_s=BOOT_S, what="its context"
        )
        return self.console(vm).decode(errors="replace")

    def restart(self, vm: VmInfo) -> None:
        def is_off() -> bool:
            self.driver.stop_vm(vm.ref)
            return self.driver.get_vm(vm.ref).phase is P.STOPPED

        until(is_off, within_s=BOOT_S, what="powered off")
        self.driver.start_vm(vm.ref)
        wait(self.driver, vm.ref, P.RUNNING)


@pytest.fixture(scope="module")
def site(demo_image: Path) -> Iterator[Site]:
    """One site for all tests of this file: booting is what takes time."""
    folder = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-"))
    key = folder / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    driver = a_driver(folder / "cloud")
    driver.import_image(a_source(demo_image), token=IMAGE, on_progress=quiet)
    yield Site(driver, key, driver.create_network(token=new_token()).ref)
    end_all(folder / "cloud")
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def pair(site: Site) -> tuple[VmInfo, VmInfo]:
    """Two nodes that know each other's names and have one key between them."""
    private = site.key.read_text()
    script = (
        "#!/bin/sh\numask 077\nmkdir -p /root/.ssh\n"
        f"cat >/root/.ssh/id_ed25519 <<'END'\n{private}END\n"
        "echo 10.77.3.1 node1 >>/etc/hosts\necho 10.77.3.2 node2 >>/etc/hosts\n"
    )
    one, two = (
        site.run(hostname=f"node{n}", user_data=script, nics=(site.nic(n),)) for n in (1, 2)
    )
    for node in (one, two):
        assert "script user-data exit 0" in site.wait_for_context(node)
    return one, two


# Networks -----------------------------------------------------------------------------------


def test_machines_of_one_network_reach_each_other_by_their_addresses(
    site: Site, pair: tuple[VmInfo, VmInfo]
) -> None:
    one, two = pair
    assert site.hears(one, "10.77.3.2")
    assert site.hears(two, "10.77.3.1")


def test_a_machine_of_another_network_hears_nothing_of_it(
    site: Site, pair: tuple[VmInfo, VmInfo]
) -> None:
    other = site.driver.create_network(token=new_token()).ref
    stranger = site.run(nics=(site.nic(3, other),))
    assert "10.77.3.3/24" in site.ssh(stranger, "ip addr show eth1")
    assert not site.hears(stranger, "10.77.3.1")
    assert not site.hears(pair[0], "10.77.3.3")
    received = "cat /sys/class/net/eth1/statistics/rx_bytes"
    site.ssh(stranger, "ip link set eth1 promisc on")
    before = int(site.ssh(stranger, received))
    site.ssh(pair[0], "dd if=/dev/zero bs=64k count=32 | ssh node2 'cat >/dev/null'")
    assert int(site.ssh(stranger, received)) - before < 64 << 10
    site.driver.delete_vm(stranger.ref)
    site.driver.delete_network(other)


def test_no_frame_leaves_the_loopback_interface(site: Site, pair: tuple[VmInfo, VmInfo]) -> None:
    group = networks.wire(site.driver._site, site.network).group
    number = "".join(f"{int(part):02X}" for part in reversed(group.split(".")))
    joined, device = [], ""
    for line in Path("/proc/net/igmp").read_text().splitlines()[1:]:
        if not line.startswith("\t"):
            device = line.split()[1]
        elif line.split()[0] == number:
            joined.append(device)
    assert joined == ["lo"]


def test_only_we_can_read_where_a_network_is(site: Site) -> None:
    path = site.driver._site.networks / site.network
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700


def test_no_two_networks_share_a_group(site: Site) -> None:
    made = [site.driver.create_network(token=new_token()).ref for _ in range(50)]
    groups = {networks.wire(site.driver._site, ref).group for ref in [*made, site.network]}
    assert len(groups) == 51
    for ref in made:
        site.driver.delete_network(ref)


def test_a_card_comes_and_goes_while_the_guest_runs(
    site: Site, pair: tuple[VmInfo, VmInfo]
) -> None:
    late = site.run()
    nic = site.nic(9)
    site.ssh(late, "true")
    site.driver.attach_nic(late.ref, nic)
    look = 'while [ "$(cat /sys/class/net/eth1/carrier 2>/dev/null)" != 1 ]; do usleep 20000; done'
    site.ssh(late, look)
    assert site.ssh(late, "cat /sys/class/net/eth1/address").strip() == nic.mac
    site.ssh(late, f"ip addr add {nic.address} dev eth1")
    assert site.hears(late, "10.77.3.1")
    site.driver.detach_nic(late.ref, nic.mac)
    site.ssh(late, "while [ -e /sys/class/net/eth1 ]; do usleep 20000; done")
    assert not site.hears(pair[0], "10.77.3.9")
    for again in (site.nic(10), site.nic(11), site.nic(12), site.nic(13)):
        site.driver.attach_nic(late.ref, again)
    count = "ls -d /sys/class/net/eth[1-9] | wc -l"
    until(lambda: int(site.ssh(late, count)) == 4, within_s=BOOT_S, what="four cards")
    site.restart(late)
    assert site.hears(late, "10.77.3.1")
    assert "10.77.3.13/24" in site.ssh(late, "ip addr")
    site.driver.delete_vm(late.ref)


def test_from_one_node_to_the_other_without_a_question(
    site: Site, pair: tuple[VmInfo, VmInfo]
) -> None:
    one, two = pair
    assert site.ssh(one, "ssh node2 hostname").strip() == "node2"
    assert site.ssh(two, "ssh -o BatchMode=yes -q root@node1 -p 22 'echo $0 \"a b\"'").endswith(
        "a b\n"
    )
    assert site.ssh(one, "ssh node2 exit 7; echo $?").strip() == "7"
    assert site.ssh(one, "ssh -i /nonexistent node2 true 2>/dev/null; echo $?").strip() == "1"
    assert site.ssh(one, "ls /tmp").strip() == ""


def test_files_are_copied_between_nodes(site: Site, pair: tuple[VmInfo, VmInfo]) -> None:
    one, two = pair
    site.ssh(one, "mkdir -p '/root/a b/c'; head -c 300000 /dev/urandom >'/root/a b/c/d'")
    want = site.ssh(one, "sha256sum <'/root/a b/c/d'")
    site.ssh(one, "scp -q '/root/a b/c/d' node2:/srv/file && scp -r '/root/a b' node2:")
    assert site.ssh(two, "sha256sum </srv/file; sha256sum <'/root/a b/c/d'") == want * 2
    site.ssh(one, "mkdir /root/back; scp root@node2:/srv/file node2:'a b/c/d' /root/back")
    site.ssh(one, "scp -r node2:'a b' /root/back/all")
    assert (
        site.ssh(one, "cd /root/back; for f in file d all/c/d; do sha256sum <$f; done") == want * 3
    )
    assert site.ssh(one, "scp node2:/none /tmp/x 2>/dev/null; echo $?; ls /tmp").strip() == "1"


# Context media --------------------------------------------------------------------------------


def test_a_hepix_machine_gets_its_keys_and_runs_its_script(site: Site) -> None:
    pairs = {
        "script_exec": 'echo "ran $COLOUR" >/root/note\necho "it\'s two lines" >>/root/note',
        "colour": "deep 'blue' $(reboot)",
        "PUBLIC_KEY": "ssh-ed25519 AAAAC3other somebody",
    }
    data = "#!/bin/sh\necho user data >>/root/note\nexit 4\n"
    vm = site.run(
        hostname="hepix",
        context_method=ContextMethod.HEPIX,
        context=pairs,
        user_data=data,
        nics=(site.nic(21),),
    )
    log = site.wait_for_context(vm)
    assert "context: SCRIPT_EXEC exit 0" in log
    assert "portal-context: script init.sh exit 4" in log
    assert site.ssh(vm, "hostname; cat /root/note") == (
        "hepix\nran deep 'blue' $(reboot)\nit's two lines\nuser data\n"
    )
    keys = site.ssh(vm, "cat /root/.ssh/authorized_keys").splitlines()
    assert keys == [site.public, "ssh-ed25519 AAAAC3other somebody"]
    assert "10.77.3.21/24" in site.ssh(vm, "ip addr show eth1")
    site.restart(vm)
    assert "SCRIPT_EXEC" not in site.wait_for_context(vm, times=2).rpartition("started")[2]
    assert "10.77.3.21/24" in site.ssh(vm, "ip addr show eth1")
    site.driver.delete_vm(vm.ref)


def test_parts_of_user_data_run_in_order(site: Site) -> None:
    parts = MIMEMultipart()
    for kind, name, text in (
        ("x-shellscript", "one.sh", "#!/bin/sh\necho one >>/root/order\n"),
        ("cloud-config", "config.yaml", "hostname: configured\nruncmd: [x]\n"),
        ("cloud-boothook", "hook", "#cloud-boothook\n#!/bin/sh\necho hook >>/root/order\n"),
        ("x-shellscript", "two.sh", "#!/bin/bash\necho two >>/root/order; exit 5\n"),
        ("plain", "three.sh", "#!/bin/sh\necho größer >>/root/order\n"),
        ("x-include-url", "four", "http://example.org/\n"),
    ):
        part = MIMEText(text, kind, "utf-8")
        part.add_header("Content-Disposition", "attachment", filename=name)
        parts.attach(part)
    vm = site.run(user_data=parts.as_string())
    log = site.wait_for_context(vm)
    marks = [line.strip() for line in log.splitlines() if "portal-context: " in line]
    assert [mark.removeprefix("portal-context: ") for mark in marks if "host key" not in mark] == [
        "started",
        "script hook exit 0",
        "script one.sh exit 0",
        "config.yaml: this image does not understand runcmd",
        "script two.sh exit 5",
        "script three.sh exit 0",
        "four: this image does not understand http://example.org/",
        "finished",
    ]
    assert site.ssh(vm, "hostname; cat /root/order") == "configured\nhook\none\ntwo\ngrößer\n"
    site.ssh(vm, "rm /etc/dropbear/*_host_key")
    site.restart(vm)
    again = site.wait_for_context(vm, times=2).rpartition("started")[2]
    assert "script hook exit 0" in again
    assert "two.sh" not in again
    assert site.ssh(vm, "grep -c hook /root/order").strip() == "2"
    assert again.partition("host key ")[2].split()[1] not in log
    site.driver.delete_vm(vm.ref)


def test_a_megabyte_of_user_data_arrives(site: Site) -> None:
    data = "#!/bin/sh\nexit 0\n" + "# nothing but padding\n" * 60_000
    vm = site.run(user_data=data)
    assert "script user-data exit 0" in site.wait_for_context(vm)
    size = site.ssh(vm, "wc -c </var/lib/cloud/user-data").strip()
    assert int(size) == len(data)
    site.driver.delete_vm(vm.ref)


# What killed processes leave ------------------------------------------------------------------


def test_what_was_half_plugged_in_or_out_is_settled_by_the_next_look(site: Site) -> None:
    vm = site.run()
    site.ssh(vm, "true")
    one = Machine(site.driver._site, vm.ref)
    coming = Card(nic=site.nic(31), slot=0, hold=Hold.COMING)
    one.save(one.load(), cards=(coming,))
    assert site.driver.get_vm(vm.ref).nics == ()
    list(site.driver.list_vms())
    assert one.load().cards == ()
    nic = site.nic(32)
    site.driver.attach_nic(vm.ref, nic)
    qmp.ask(one.run, "stop", timeout_s=5)
    with pytest.raises(CloudBusy, match="wire is cut"):
        site.driver.detach_nic(vm.ref, nic.mac)
    list(site.driver.list_vms())
    assert site.driver.get_vm(vm.ref).nics == (nic,)
    qmp.ask(one.run, "cont", timeout_s=5)
    until(
        lambda: all(not info.nics for info in site.driver.list_vms() if info.ref == vm.ref),
        within_s=BOOT_S,
        what="the guest lets go",
    )
    site.ssh(vm, "while [ -e /sys/class/net/eth1 ]; do usleep 20000; done")
    site.driver.delete_vm(vm.ref)


def test_a_card_that_was_cut_off_is_out_after_the_next_start(site: Site) -> None:
    kept, left = site.nic(33), site.nic(34)
    vm = site.run(nics=(left, kept))
    one = Machine(site.driver._site, vm.ref)
    qmp.ask(one.run, "stop", timeout_s=5)
    with pytest.raises(CloudBusy):
        site.driver.detach_nic(vm.ref, left.mac)
    site.driver.power_off_vm(vm.ref)
    wait(site.driver, vm.ref, P.STOPPED)
    site.driver.start_vm(vm.ref)
    assert wait(site.driver, vm.ref, P.RUNNING).nics == (kept,)
    assert site.ssh(vm, "cat /sys/class/net/eth[1-9]/address").split() == [kept.mac]
    assert "10.77.3.33/24" in site.ssh(vm, "ip addr show eth1")
    site.driver.delete_vm(vm.ref)


# Debian ---------------------------------------------------------------------------------------


@pytest.mark.slow
def test_debian_takes_its_address_on_a_private_network(
    site: Site, pair: tuple[VmInfo, VmInfo]
) -> None:
    image = CACHE / f"debian-{debian.VERSION}.qcow2"
    if not image.exists():
        debian.build(image, cache_dir=CACHE / "debs")
    site.driver.import_image(a_source(image), token="debian", on_progress=quiet)
    vm = site.run(image="debian", memory_mib=512, nics=(site.nic(41),))
    until(lambda: b"finished at" in site.console(vm), within_s=600, what="cloud-init")
    assert site.hears(vm, "10.77.3.1")
    assert site.ssh(vm, "systemctl --failed --no-legend") == ""
    site.restart(vm)
    until(lambda: site.console(vm).count(b"finished at") == 2, within_s=600, what="its restart")
    assert site.hears(vm, "10.77.3.1")
    site.driver.delete_vm(vm.ref)

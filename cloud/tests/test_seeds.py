"""What guests are told: read back by the programs that guests have."""

import re
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from cloud import cards, seeds
from cloud.images import mini
from cloud.types import ContextMethod, Nic, VmSpec

TOKEN = "3f0e6a52-8b64-4bd5-9d0a-0d6b6f9a1c11"
NICS = (
    Nic(network="n", mac="0a:00:00:00:00:01", address="10.77.3.2/24"),
    Nic(network="n", mac="0a:00:00:00:00:02"),
    Nic(network="n", mac="0a:00:00:00:00:03", address="fd00::2/64"),
)
SPEC = VmSpec(
    name="m", vcpus=1, memory_mib=128, image="i", hostname="alpha", ssh_keys=("ssh-rsa AAAA a\n",)
)
HEPIX = replace(SPEC, context_method=ContextMethod.HEPIX)
NASTY = ["", "a'b\"c", "$(reboot) `reboot` $HOME \\", "two\nlines\n", "größe 機械", "-n", "a=b # c"]


def sh(script: str, folder: Path, **environment: str) -> str:
    done = subprocess.run(
        ["sh", "-c", script], cwd=folder, capture_output=True, text=True, check=False,
        env={"PATH": "/usr/bin:/bin", "CONTEXT_DIR": str(folder), **environment},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def medium(spec: VmSpec, folder: Path) -> Path:
    for name, data in seeds.files(spec, token=TOKEN).items():
        (folder / name).write_bytes(data)
    return folder


# cloud-init ---------------------------------------------------------------------------------


def test_the_cloud_init_medium_has_a_network_only_with_private_cards() -> None:
    assert seeds.label(SPEC) == "cidata"
    assert [*seeds.files(SPEC, token=TOKEN)] == ["meta-data", "user-data", "vendor-data"]
    assert "network-config" in seeds.files(replace(SPEC, nics=NICS), token=TOKEN)


def test_the_network_config_names_every_card_by_its_hardware_address() -> None:
    about = yaml.safe_load(seeds.network_config(replace(SPEC, nics=NICS), token=TOKEN))
    assert about["version"] == 2
    ethernets = about["ethernets"]
    assert [*ethernets] == ["eth0", "eth1", "eth2", "eth3"]
    assert ethernets["eth0"] == {
        "match": {"macaddress": cards.first(TOKEN)}, "set-name": "eth0", "dhcp4": True,
    }  # fmt: skip
    assert ethernets["eth1"]["match"] == {"macaddress": "0a:00:00:00:00:01"}
    assert ethernets["eth1"]["addresses"] == ["10.77.3.2/24"]
    assert ethernets["eth1"]["dhcp4"] is False
    assert "addresses" not in ethernets["eth2"]


def test_our_images_read_the_network_config(tmp_path: Path) -> None:
    data = seeds.network_config(replace(SPEC, nics=NICS), token=TOKEN)
    program = mini.GUEST.parent / "shared" / "usr" / "lib" / "portal-context" / "cards.awk"
    said = subprocess.run(
        ["awk", "-f", program], input=data, capture_output=True, check=True
    ).stdout.decode()
    assert [line.split() for line in said.splitlines()] == [
        ["0a:00:00:00:00:01", "10.77.3.2/24"],
        ["0a:00:00:00:00:02"],
        ["0a:00:00:00:00:03", "fd00::2/64"],
    ]


def test_pairs_are_in_the_meta_data_in_upper_case() -> None:
    pairs = dict(zip("abcdefg", NASTY, strict=True))
    about = yaml.safe_load(seeds.meta_data(replace(SPEC, context=pairs), token=TOKEN))
    assert about["context"] == {name.upper(): value for name, value in pairs.items()}
    assert "context" not in yaml.safe_load(seeds.meta_data(SPEC, token=TOKEN))


# OpenNebula and HEPiX -------------------------------------------------------------------------


def test_the_hepix_medium_has_its_four_files() -> None:
    assert seeds.label(HEPIX) == "_STRATUSLAB"
    assert [*seeds.files(HEPIX, token=TOKEN)] == [
        "context.sh", "prolog.sh", "init.sh", "epilog.sh"
    ]  # fmt: skip


@pytest.mark.parametrize("value", NASTY)
def test_a_shell_reads_each_value_to_the_byte(tmp_path: Path, value: str) -> None:
    medium(replace(HEPIX, context={"key": value}), tmp_path)
    assert sh('. ./context.sh; printf %s "$KEY"', tmp_path) == value
    assert sh(". ./prolog.sh; env -0 | tr '\\0' '\\001'", tmp_path).count(f"KEY={value}\1") == 1


def test_every_key_has_its_line_and_our_names_are_ours(tmp_path: Path) -> None:
    pairs = {"public_key": "ssh-ed25519 BBBB b\r\n\nssh-ed25519 CCCC c", "hostname": "other"}
    medium(replace(HEPIX, context=pairs), tmp_path)
    said = sh('. ./context.sh; echo "$PUBLIC_KEY"; echo "$HOSTNAME $INSTANCE_ID"', tmp_path)
    assert said.splitlines() == [
        "ssh-rsa AAAA a", "ssh-ed25519 BBBB b", "ssh-ed25519 CCCC c", f"alpha {TOKEN}"
    ]  # fmt: skip


def test_a_value_that_no_program_can_be_given_stays_in_the_shell(tmp_path: Path) -> None:
    data = "#!/bin/sh\n" + "# padding\n" * 300_000
    medium(replace(HEPIX, user_data=data, context={"small": "s"}), tmp_path)
    script = '. ./prolog.sh; env | cut -c1-20; printf %s "$USER_DATA" | base64 -d'
    said = sh(script, tmp_path)
    assert said.endswith(data)
    assert "SMALL=s" in said
    assert "\nUSER_DATA=" not in said


def test_init_says_how_the_users_programs_ended(tmp_path: Path) -> None:
    spec = replace(
        HEPIX, ssh_keys=(), user_data="#!/bin/sh\nexit 5\n",
        context={"script_exec": "echo one\necho $COLOUR\nexit 3", "colour": "red"},
    )  # fmt: skip
    medium(spec, tmp_path)
    done = subprocess.run(
        ["sh", str(tmp_path / "init.sh")], capture_output=True, text=True, check=False
    )
    assert done.stdout.splitlines() == [
        "one", "red", "context: SCRIPT_EXEC exit 3", "context: user data exit 5"
    ]  # fmt: skip
    assert done.returncode == 3


# Cards ----------------------------------------------------------------------------------------


def test_hardware_addresses_follow_from_names_and_are_of_one_card() -> None:
    mac = cards.hardware_address("vm", "network")
    assert mac == cards.hardware_address("vm", "network")
    assert mac != cards.hardware_address("vm", "networ", "k")
    assert re.fullmatch(r"0a(:[0-9a-f]{2}){5}", mac)
    assert cards.problem([Nic(network="n", mac=mac, address="10.0.0.1/30")]) == ""


@pytest.mark.parametrize("address", ["fd00::1/64", "10.0.0.0/31", "192.0.2.7/32", ""])
def test_addresses_that_a_machine_can_have(address: str) -> None:
    assert cards.problem([Nic(network="n", mac="0a:00:00:00:00:01", address=address)]) == ""

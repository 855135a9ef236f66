"""What is looked for in a disk, and why it should not go to everybody.

Sources: the rules for images built from scratch of StratusLab (stratuslab.md 7.5), virt-sysprep(1)
for where systems keep such things, and the manuals of the tools named.
"""

import enum
import re
from collections.abc import Mapping
from dataclasses import dataclass


class Weight(enum.StrEnum):
    """How bad it is if it stays."""

    # Whoever has it can be somebody else.
    SECRET = "secret"  # noqa: S105  (a word, no password)
    IDENTITY = "identity"  # machines made from the image would be taken for one another
    TRACE = "trace"  # it tells of its maker, or troubles a machine


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One sort of finding. ``where``: whole paths, without the first slash."""

    name: str
    title: str
    why: str
    weight: Weight
    where: re.Pattern[str]
    is_key: bool = False  # only if it holds a private key
    is_tree: bool = False  # the folder with all that is in it


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something that was found. ``part`` is the number of its partition.

    ``is_removable``: its name is one that can be named to the tools that would remove it.
    """

    kind: str
    part: int
    path: str
    size_bytes: int
    is_removable: bool = True


_HOME = r"(root|home/[^/]+)"
_KEY_NAME = r"([^/]*\.(pem|key|p12|pfx)|id_[a-z0-9_-]+|identity)"

KINDS: Mapping[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind(
            name="private_key",
            title="Private key",
            why="Whoever has the image can sign in with it wherever its owner can.",
            weight=Weight.SECRET,
            where=re.compile(
                rf"{_HOME}/(.*/)?{_KEY_NAME}"
                r"|etc/(ssl/private|pki/tls/private)/.+|etc/krb5\.keytab"
            ),
            is_key=True,
        ),
        Kind(
            name="token",
            title="Token or password",
            why="A program's own way to sign in somewhere: it works for whoever has it.",
            weight=Weight.SECRET,
            where=re.compile(
                rf"{_HOME}/(\.netrc|\.git-credentials|\.pgpass|\.my\.cnf|\.npmrc|\.pypirc|\.s3cfg"
                r"|\.vault-token|\.boto|\.dockercfg|\.aws/credentials|\.docker/config\.json"
                r"|\.kube/config|\.config/gcloud/.+|\.azure/.+|\.config/gh/hosts\.yml"
                r"|\.config/openstack/.+|\.config/rclone/rclone\.conf|\.huggingface/token"
                r"|\.cache/huggingface/token|\.gnupg/(private-keys-v1\.d/.+|secring\.gpg)"
                r"|\.local/share/keyrings/.+|\.mozilla/firefox/.+/logins\.json)"
                r"|etc/NetworkManager/system-connections/.+|etc/wpa_supplicant/.+\.conf"
            ),
        ),
        Kind(
            name="authorized_keys",
            title="Authorized SSH keys",
            why="Whoever has the matching private key gets into every machine of the image.",
            weight=Weight.SECRET,
            where=re.compile(rf"{_HOME}/\.ssh/authorized_keys2?"),
        ),
        Kind(
            name="host_key",
            title="SSH host key",
            why="Machines of the image would all be the same to SSH: one could pass for another.",
            weight=Weight.IDENTITY,
            where=re.compile(r"etc/ssh/ssh_host_.+_key|etc/dropbear/dropbear_.+_host_key"),
        ),
        Kind(
            name="machine_id",
            title="Machine id",
            why="Machines of the image would ask for the same address, and write to the same logs.",
            weight=Weight.IDENTITY,
            where=re.compile(r"etc/machine-id|var/lib/dbus/machine-id|var/lib/systemd/random-seed"),
        ),
        Kind(
            name="cloud_state",
            title="State of cloud-init",
            why="What the first machine was told, keys and scripts, is in it.",
            weight=Weight.TRACE,
            where=re.compile(
                r"var/lib/cloud/(data|instance|instances|seed|sem|handlers)"
                r"|var/log/cloud-init(-output)?\.log.*"
            ),
            is_tree=True,
        ),
        Kind(
            name="shell_history",
            title="Shell history",
            why="Commands that were typed, with whatever passwords were in them.",
            weight=Weight.TRACE,
            where=re.compile(
                rf"{_HOME}/\.((ba|z|k|a)?sh_history|history|python_history|mysql_history"
                r"|psql_history|sqlite_history|lesshst|viminfo|node_repl_history)"
            ),
        ),
        Kind(
            name="known_hosts",
            title="Known SSH hosts",
            why="The names of machines that somebody has been to.",
            weight=Weight.TRACE,
            where=re.compile(rf"{_HOME}/\.ssh/known_hosts(\.old)?"),
        ),
        Kind(
            name="dhcp_lease",
            title="DHCP lease",
            why="An address of another network, which a machine may ask for again.",
            weight=Weight.TRACE,
            where=re.compile(
                r"var/lib/(dhcp|dhclient|dhcpcd|dhcpcd5)/.+|var/lib/NetworkManager/.*lease.*"
                r"|var/lib/systemd/network/.+"
            ),
        ),
        Kind(
            name="udev_net",
            title="Names of network cards",
            why="They bind a card's name to the hardware of one machine: the next has no network.",
            weight=Weight.TRACE,
            where=re.compile(r"etc/udev/rules\.d/[^/]*persistent-net[^/]*\.rules"),
        ),
    )
}

#: Folders in which all of the above can be, and how deep it is looked into them.
PLACES: Mapping[str, int] = {
    "root": 6,
    "home": 7,
    "etc": 1,
    "etc/ssh": 1,
    "etc/dropbear": 1,
    "etc/ssl/private": 2,
    "etc/pki/tls/private": 2,
    "etc/udev/rules.d": 1,
    "etc/NetworkManager/system-connections": 1,
    "etc/wpa_supplicant": 1,
    "var/log": 1,
    "var/lib/dbus": 1,
    "var/lib/systemd": 2,
    "var/lib/cloud": 1,
    "var/lib/dhcp": 1,
    "var/lib/dhclient": 1,
    "var/lib/dhcpcd": 2,
    "var/lib/dhcpcd5": 1,
    "var/lib/NetworkManager": 1,
}


def kind_of(path: str) -> Kind | None:
    """What a path is, by its name alone."""
    return next((kind for kind in KINDS.values() if kind.where.fullmatch(path)), None)


#: What a system is told on the partition that it starts from, where names have no case: the seed of
#: cloud-init (NoCloud, config drive), and what a Raspberry Pi is set up by.
_ON_BOOT = {
    "cloud_state": re.compile(r"(user|vendor|meta)-data|network-config|openstack/[^/]+/.+"),
    "token": re.compile(r"wpa_supplicant\.conf|userconf(\.txt)?"),
}


def kind_on_boot(path: str) -> Kind | None:
    """What a file of a FAT file system is, by its name alone; ``private_key``: it may be one."""
    if is_key_by_name(path):
        return KINDS["private_key"]
    name = path.lower()
    return next((KINDS[kind] for kind, where in _ON_BOOT.items() if where.fullmatch(name)), None)


def is_key_by_name(path: str) -> bool:
    """Whether a file is called as private keys are, wherever it is."""
    return bool(re.fullmatch(_KEY_NAME, path.rpartition("/")[2].lower()))

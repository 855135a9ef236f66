"""Lists of machines for people and programs: text, CSV, JSON, Ansible inventories, SSH config.

What goes into a file that a program obeys is made of letters that mean nothing to it: a name or
a user that has others is said otherwise, or left out.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import yaml

_HOST = re.compile(r"[A-Za-z0-9.:-]{1,255}")
_USER = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,31}")
#: Groups that every inventory has.
_TAKEN = frozenset({"all", "ungrouped"})

HEAD = (
    "id", "uuid", "name", "state", "host", "port", "user", "group", "image", "type", "vcpus",
    "memory_mib", "created_at", "role", "private_address",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """A machine as the lists tell of it. ``host`` is "" while it has no address, or none any more.

    ``label`` is a host name made of its name, ``group`` the batch or cluster that it is of.
    ``private`` has its address by the name of each private network that it is on, without the
    prefix; that of its cluster is the first.
    """

    number: int
    uuid: str
    name: str
    label: str
    state: str
    host: str
    port: int
    user: str
    group: str
    image: str
    type: str
    vcpus: int
    memory_mib: int
    created_at: str
    role: str = ""  # of a cluster: "master" or "worker"
    private: Mapping[str, str] = field(default_factory=dict)

    @property
    def address(self) -> str:
        """host:port, or "" without one."""
        return f"{self.host}:{self.port}" if self.host else ""

    @property
    def private_address(self) -> str:
        """By which the others of its cluster know it; or the first of those that it has, or ""."""
        return next(iter(self.private.values()), "")


def text(machines: Sequence[Listed]) -> str:
    """A line for each: its id, where its SSH is, its name, and what it has of private address and
    role. A comma stands between two of them, and in none."""
    return "".join(f"{_words(one)}\n" for one in machines)


def _words(one: Listed) -> str:
    first = (str(one.number), one.address, one.name.replace(",", " "))
    return ", ".join((*first, *filter(None, (one.private_address, one.role))))


def table(machines: Sequence[Listed]) -> Iterator[Sequence[object]]:
    """Rows for a CSV file, the heads first."""
    yield HEAD
    for one in machines:
        yield tuple(_columns(one).values())


def as_json(machines: Sequence[Listed]) -> str:
    """The columns of the table, and all private addresses by the names of their networks."""
    rows = [{**_columns(one), "private_addresses": dict(one.private)} for one in machines]
    return json.dumps(rows, indent=2, ensure_ascii=False) + "\n"


def _columns(one: Listed) -> dict[str, object]:
    values = (
        one.number, one.uuid, one.name, one.state, one.host, one.port if one.host else "",
        one.user, one.group, one.image, one.type, one.vcpus, one.memory_mib, one.created_at,
        one.role, one.private_address,
    )  # fmt: skip
    return dict(zip(HEAD, values, strict=True))


def ansible_ini(machines: Sequence[Listed]) -> str:
    """An Ansible inventory: those without an address are left out."""
    hosts = _named(machines)
    lines = ["# Made by the StratusLab Portal.", ""]
    for name, one in hosts.items():
        lines.append(
            " ".join([name, *(f"{key}={_quoted(value)}" for key, value in _reach(one).items())])
        )
    for group, names in _groups(hosts).items():
        lines += ["", f"[{group}]", *names]
    return "\n".join(lines) + "\n"


def ansible_yaml(machines: Sequence[Listed]) -> str:
    """As ``ansible_ini``, in YAML."""
    hosts = _named(machines)
    groups = {group: {"hosts": dict.fromkeys(names)} for group, names in _groups(hosts).items()}
    top: dict[str, Any] = {"hosts": {name: _reach(one) for name, one in hosts.items()}}
    if groups:
        top["children"] = groups
    return yaml.safe_dump({"all": top}, sort_keys=False, allow_unicode=True)


def ssh_config(machines: Sequence[Listed]) -> str:
    """For ``~/.ssh/config`` or ``ssh -F``: then ``ssh NAME`` is enough."""
    parts = ["# Made by the StratusLab Portal. Use: ssh -F FILE NAME"]
    for name, one in _named(machines).items():
        lines = _remarks(one)
        lines += [f"Host {name}", f"  HostName {one.host}", f"  Port {one.port}"]
        if _USER.fullmatch(one.user):
            lines.append(f"  User {one.user}")
        # An address is another machine's in time: each is known by its own key.
        lines.append(f"  HostKeyAlias {one.uuid}")
        parts.append("\n".join(lines))
    return "\n\n".join(parts) + "\n"


def _remarks(one: Listed) -> list[str]:
    """What it is in its cluster, for people: programs skip such a line."""
    words = [one.role, f"private address {one.private_address}" if one.private_address else ""]
    told = ", ".join(filter(None, words))
    return [f"# {told}"] if told else []


def _quoted(value: object) -> str:
    """As an inventory in INI has it: a value with a space is between quotes."""
    return f"'{value}'" if " " in str(value) else str(value)


def _reach(one: Listed) -> dict[str, object]:
    found: dict[str, object] = {"ansible_host": one.host, "ansible_port": one.port}
    if _USER.fullmatch(one.user):
        found["ansible_user"] = one.user
    if one.private_address:
        found["private_address"] = one.private_address
    # As in an SSH config: an address that was another machine's is not taken for it.
    found["ansible_ssh_common_args"] = f"-o HostKeyAlias={one.uuid}"
    return found


def _named(machines: Sequence[Listed]) -> dict[str, Listed]:
    """Those that can be reached, each by a name that no other has."""
    found: dict[str, Listed] = {}
    for one in machines:
        if not _HOST.fullmatch(one.host):
            continue
        name = one.label
        if name in found or not re.fullmatch(r"[a-z0-9][a-z0-9-]*", name):
            name = f"{name}-{one.number}" if name in found else f"vm-{one.number}"
        while name in found:
            name += "-x"
        found[name] = one
    return found


def _groups(hosts: Mapping[str, Listed]) -> dict[str, list[str]]:
    """Names of hosts by group; a group's name is a word that Ansible takes."""
    groups: dict[str, list[str]] = {}
    for name, one in hosts.items():
        role = "workers" if one.role == "worker" else one.role
        for known in filter(None, (one.group, role)):
            word = re.sub(r"[^a-z0-9]+", "_", known.lower()).strip("_") or "machines"
            group = f"group_{word}" if word[0].isdecimal() or word in _TAKEN else word
            # A group and a host of one name are the same thing to Ansible.
            groups.setdefault(f"{group}_" if group in hosts else group, []).append(name)
    return groups


@dataclass(frozen=True, slots=True)
class Format:
    label: str
    file: str
    content_type: str


FORMATS: Mapping[str, Format] = MappingProxyType(
    {
        "text": Format("Text", "machines.txt", "text/plain; charset=utf-8"),
        "csv": Format("CSV", "machines.csv", "text/csv; charset=utf-8"),
        "json": Format("JSON", "machines.json", "application/json"),
        "ansible": Format("Ansible (INI)", "inventory.ini", "text/plain; charset=utf-8"),
        "ansible-yaml": Format("Ansible (YAML)", "inventory.yml", "text/yaml; charset=utf-8"),
        "ssh": Format("SSH config", "ssh_config", "text/plain; charset=utf-8"),
    }
)
WRITERS = MappingProxyType(
    {
        "text": text,
        "json": as_json,
        "ansible": ansible_ini,
        "ansible-yaml": ansible_yaml,
        "ssh": ssh_config,
    }
)

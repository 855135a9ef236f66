"""What a cluster is to be: its nodes and what is asked of them.

Source: StratusLab (stratuslab.md 11): the options of ``stratus-run-cluster``.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

LONGEST_MINUTES = 120
LONGEST_HOOK_BYTES = 32_768
MOST_PACKAGES = 100

#: What nodes do, step by step, in the words of pages.
STEPS: Mapping[str, str] = {
    "network": "find its card on the private network",
    "hosts": "write names, node list and variables",
    "keys": "put the SSH keys of the cluster in place",
    "user": "create the user",
    "packages": "install packages",
    "share": "shared folder",
    "master": "wait for the master",
    "report": "report to the master",
    "workers": "wait for the workers",
    "hook": "run the start hook",
}

_USER = re.compile(r"[a-z_][a-z0-9_-]{0,30}")
_PACKAGE = re.compile(r"[A-Za-z0-9][A-Za-z0-9+._:@~-]{0,99}")
_FOLDER = re.compile(r"(/[A-Za-z0-9_][A-Za-z0-9._-]*)+")
#: Folders of the system, on which nothing is mounted.
_TAKEN = re.compile(r"/(bin|boot|dev|etc|lib(32|64|x32)?|proc|root|run|sbin|sys|usr|var|tmp)(/.*)?")
_NOT_OVER = ("/home",)
_SUCH_AS = "such as /shared or /home/shared"
_BAD_FOLDER = f"A folder is a full path of letters, digits, dots, - and _, {_SUCH_AS}."
_BAD_USER = (
    "A user's name has small letters, digits, - and _, begins with a letter, and is none of the "
    "system's."
)
_NO_USERS = ("root", "daemon", "bin", "sys", "nobody", "sshd", "adm", "mail")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What is asked of a cluster. ``minutes``: that its machines have, once all run, to be ready.

    ``tolerate``: go on without workers that fail; else all are killed. ``keep_failed``: machines
    are left for a look instead of being killed.
    """

    user: str = ""
    shared_folder: str = ""
    packages: tuple[str, ...] = ()
    machine_file: bool = True
    hook: str = ""
    include_master: bool = False
    tolerate: bool = False
    keep_failed: bool = False
    minutes: int = 15

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "packages": list(self.packages)}

    @classmethod
    def from_json(cls, kept: Mapping[str, Any]) -> "Wishes":
        known = {one.name for one in fields(cls)}
        found = {name: value for name, value in kept.items() if name in known}
        return cls(**{**found, "packages": tuple(found.get("packages", ()))})


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A machine of a cluster. ``number`` 0 is the master; ``address`` is without its prefix."""

    number: int
    address: str
    prefix: int
    mac: str
    cores: int

    @property
    def is_master(self) -> bool:
        return self.number == 0

    @property
    def name(self) -> str:
        """By which the others know it, in short: node1 is the master."""
        return f"node{self.number + 1}"

    @property
    def role(self) -> str:
        return "master" if self.is_master else "worker"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A cluster as its nodes are told of it. ``label`` is a host name made of its name.

    ``private_key`` is blank where a node makes one of its own: a machine that was there before.
    """

    tag: str
    label: str
    cidr: str
    nodes: Sequence[Node]
    wishes: Wishes
    public_key: str
    private_key: str

    @property
    def working(self) -> list[Node]:
        """Those that are given work: the workers, and the master if it counts as one."""
        return [one for one in self.nodes if not one.is_master or self.wishes.include_master]

    @property
    def master(self) -> Node:
        return next(one for one in self.nodes if one.is_master)

    def host_names(self, node: Node) -> list[str]:
        """Its names in the hosts files, the full one first."""
        if node.is_master:
            return [f"{self.label}-master", "master", node.name]
        return [f"{self.label}-{node.name}", node.name, f"worker-{node.number - 1}"]


def problems(wishes: Wishes) -> Iterator[tuple[str, str]]:
    """What is wrong with them: (field, sentence)."""
    if wishes.user and (not _USER.fullmatch(wishes.user) or wishes.user in _NO_USERS):
        yield "user", _BAD_USER
    folder = wishes.shared_folder
    if folder and (not _FOLDER.fullmatch(folder) or len(folder) > 200):
        yield "shared_folder", _BAD_FOLDER
    elif folder and (_TAKEN.fullmatch(folder) or folder in _NOT_OVER):
        yield "shared_folder", f"{folder} belongs to the system: choose another one, {_SUCH_AS}."
    yield from _about_packages(wishes.packages)
    if len(wishes.hook.encode()) > LONGEST_HOOK_BYTES or "\0" in wishes.hook:
        yield "hook", f"A start hook is a text of {LONGEST_HOOK_BYTES} bytes at most."
    if not 1 <= wishes.minutes <= LONGEST_MINUTES:
        yield "minutes", f"1 to {LONGEST_MINUTES} minutes."


def _about_packages(packages: Sequence[str]) -> Iterator[tuple[str, str]]:
    if len(packages) > MOST_PACKAGES:
        yield "packages", f"These are {len(packages)} packages; {MOST_PACKAGES} at most."
    for name in packages:
        if not _PACKAGE.fullmatch(name):
            yield "packages", f"“{name[:40]}” is not the name of a package."
            return

"""The disks that end with a machine, for its page."""

from dataclasses import dataclass
from typing import Any

from django import template

register = template.Library()

_STABLE = "/dev/disk/by-id/"


@dataclass(frozen=True, slots=True)
class Scratch:
    """One of them, and what to type in the machine to use it."""

    number: int
    size_gib: int
    path: str
    sudo: str

    @property
    def make(self) -> str:
        return f"{self.sudo}mkfs.ext4 {self.path}"

    @property
    def folder(self) -> str:
        return f"{self.sudo}mkdir -p /mnt/volatile-{self.number}"

    @property
    def mount(self) -> str:
        return f"{self.sudo}mount {self.path} /mnt/volatile-{self.number}"


@register.simple_tag
def volatile_of(vm: Any) -> list[Scratch]:
    """Each with its path, or none at all where the engine does not say the paths."""
    sudo = "" if vm.login == "root" else "sudo "
    found = []
    for number, size in enumerate(vm.volatile_gib, start=1):
        told = str(vm.attributes.get(f"volatile disk {number}", ""))
        path = next((word for word in told.split(", ") if word.startswith(_STABLE)), "")
        if not path:
            return []
        found.append(Scratch(number, size, path, sudo))
    return found

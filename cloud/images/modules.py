"""Kernel modules: which need which, and what modprobe wants to know."""

import re
from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath


def module_name(path: str) -> str:
    """Return the kernel's name of a module file: ``virtio-rng.ko`` is virtio_rng."""
    return PurePosixPath(path).name.removesuffix(".ko").replace("-", "_")


def modinfo(data: bytes, field: str) -> list[str]:
    """Return the values of one field of a module's ``.modinfo`` section."""
    found = re.findall(rb"\0" + field.encode() + rb"=([^\0]*)", b"\0" + data)
    return [value.decode() for value in found]


def dependencies(data: bytes) -> list[str]:
    """Return the names of the modules that this one needs directly."""
    return [
        name.replace("-", "_")
        for value in modinfo(data, "depends")
        for name in value.split(",")
        if name
    ]


def load_order(wanted: Iterable[str], modules: Mapping[str, bytes]) -> list[str]:
    """Return ``wanted`` and all they need, each after what it needs.

    Names that are not among ``modules`` are built into the kernel and left out.
    """
    order: list[str] = []

    def visit(name: str) -> None:
        if name in order or name not in modules:
            return
        for needed in dependencies(modules[name]):
            visit(needed)
        order.append(name)

    for name in wanted:
        visit(name)
    return order


def dependency_file(modules: Mapping[str, tuple[str, bytes]]) -> str:
    """Return ``modules.dep`` for name -> (path, content)."""
    contents = {name: data for name, (_path, data) in modules.items()}
    lines = []
    for name, (path, _data) in sorted(modules.items()):
        needed = [n for n in reversed(load_order([name], contents)) if n != name]
        lines.append(f"{path}: {' '.join(modules[n][0] for n in needed)}".rstrip())
    return "\n".join(lines) + "\n"


def alias_file(modules: Mapping[str, tuple[str, bytes]]) -> str:
    """Return ``modules.alias``, by which the kernel asks for a file system by name."""
    lines = [
        f"alias {alias} {name}"
        for name, (_path, data) in sorted(modules.items())
        for alias in modinfo(data, "alias")
    ]
    return "\n".join(lines) + "\n"

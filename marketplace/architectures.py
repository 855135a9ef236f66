"""The names of architectures, and which machine runs what is made for which."""

from collections.abc import Iterable, Mapping

#: Other names, Debian's among them, by what catalogues call the same; QEMU's own are kept.
ALIASES: Mapping[str, str] = {
    "amd64": "x86_64", "x64": "x86_64", "x86-64": "x86_64",
    "i386": "i686", "i486": "i686", "i586": "i686", "x86": "i686",
    "arm64": "aarch64", "armhf": "armv7l", "ppc64el": "ppc64le", "powerpc64le": "ppc64le",
}  # fmt: skip
#: What a machine of an architecture runs besides its own.
_RUNS: Mapping[str, frozenset[str]] = {"x86_64": frozenset({"i686"})}


def architecture_named(name: str) -> str:
    """What catalogues call it; what nobody here knows stays as it is, in lower case."""
    plain = name.strip().lower()
    return ALIASES.get(plain, plain)


def can_run(architecture: str, offered: Iterable[str]) -> bool:
    """Whether a machine of one of ``offered`` runs what is made for ``architecture``."""
    wanted = architecture_named(architecture)
    own = [architecture_named(name) for name in offered]
    return wanted in own or any(wanted in _RUNS.get(name, ()) for name in own)


def why_foreign(architecture: str, offered: Iterable[str]) -> str:
    """Why no machine of ``offered`` starts from such an image, or "".

    "" also if the image names none, or if nobody knows what is offered.
    """
    machines = list(offered)
    if not machines or not architecture or can_run(architecture, machines):
        return ""
    return f"This image is for {architecture}; the machines of this site are {', '.join(machines)}."

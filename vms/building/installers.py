"""What installs packages in a guest: which one a system has, and the commands."""

import re
import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

LONGEST_REPOSITORY = 500

_ADDRESS = re.compile(r"(?:https?|ftp|file|copy|cdrom):\S+")
_APT_LINE = re.compile(r"deb(?:-src)?\s+\S.*")
_APK_LINE = re.compile(r"(?:@\S+\s+)?(?:/|https?://|ftp://)\S+")


@dataclass(frozen=True, slots=True)
class Installer:
    """Shell texts. ``add``: of these repositories; ``install``: followed by packages."""

    name: str
    systems: str
    add: Callable[[Sequence[str]], str]
    index: str
    install: str
    tidy: str = ""


def _file(path: str, lines: Iterable[str]) -> str:
    """A shell text that writes a file, whatever is in the lines."""
    words = " ".join(shlex.quote(line) for line in lines)
    return f"mkdir -p {shlex.quote(path.rpartition('/')[0])}\nprintf '%s\\n' {words} >{path}\n"


def _add_apt(lines: Sequence[str]) -> str:
    written = [line if _APT_LINE.fullmatch(line) else f"deb {line} ./" for line in lines]
    return _file("/etc/apt/sources.list.d/extra.list", written)


def _add_rpm(lines: Sequence[str]) -> str:
    """A .repo file is fetched; anything else is the base address of a repository."""
    texts = []
    for number, line in enumerate(lines, start=1):
        path = f"/etc/yum.repos.d/extra-{number}.repo"
        if line.endswith(".repo"):
            texts.append(f"curl -fsSL -o {path} {shlex.quote(line)}\n")
        else:
            section = (f"[extra-{number}]", f"name=extra-{number}", f"baseurl={line}", "enabled=1")
            texts.append(_file(path, section))
    return "".join(texts)


def _add_apk(lines: Sequence[str]) -> str:
    words = " ".join(shlex.quote(line) for line in lines)
    return f"printf '%s\\n' {words} >>/etc/apk/repositories\n"


_APT_OPTIONS = "-q -y -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold"

INSTALLERS: Mapping[str, Installer] = {
    "apt": Installer(
        "apt", "Debian, Ubuntu", _add_apt, "apt-get -q update\n",
        f"apt-get {_APT_OPTIONS} install", "apt-get -q clean\n",
    ),
    "dnf": Installer(
        "dnf", "Fedora, AlmaLinux, Rocky Linux, CentOS 8 and later", _add_rpm,
        "dnf -q makecache\n", "dnf -y install", "dnf -q clean packages\n",
    ),
    "yum": Installer(
        "yum", "CentOS 7 and earlier, Scientific Linux", _add_rpm, "yum -q makecache\n",
        "yum -y install", "yum -q clean packages\n",
    ),
    "apk": Installer("apk", "Alpine Linux", _add_apk, "apk update\n", "apk add"),
}  # fmt: skip

_APT = frozenset(("debian", "ubuntu", "devuan", "linuxmint", "mint", "raspbian", "kali", "pop"))
_DNF = frozenset(("fedora", "almalinux", "alma", "rocky", "rockylinux", "amazon"))
#: dnf since version 8.
_EITHER = frozenset(
    ("centos", "rhel", "redhat", "oracle", "oraclelinux", "sl", "scientific", "scientificlinux")
)


def guess(os: str, version: str = "") -> str:
    """The installer of a system, by what its entry calls it; "" if that says nothing."""
    words = re.findall(r"[a-z]+", os.lower())
    if not words:
        return ""
    name = words[0] if words[0] != "red" else "redhat"
    if name in _APT:
        return "apt"
    if name in _DNF:
        return "dnf"
    if name in _EITHER:
        major = re.match(r"\D*(\d+)", version)
        return "dnf" if major and int(major[1]) >= 8 else "yum"
    return "apk" if name == "alpine" else ""


def repository_problem(installer: str, line: str) -> str:
    """Why this names no repository, or ""."""
    shown = f"“{line[:60]}”"
    if len(line) > LONGEST_REPOSITORY or not line.isprintable() or not line.isascii():
        return (
            f"{shown} has more than {LONGEST_REPOSITORY} characters, or some that no address has."
        )
    if installer == "apt" and not (_APT_LINE.fullmatch(line) or _ADDRESS.fullmatch(line)):
        return f"{shown}: write a line as in sources.list (deb …), or an address."
    if installer == "apk" and not _APK_LINE.fullmatch(line):
        return f"{shown}: write an address, or the path of a folder."
    if installer in ("dnf", "yum") and not _ADDRESS.fullmatch(line):
        return f"{shown}: write an address, of a repository or of a .repo file."
    return ""

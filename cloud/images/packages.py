"""Debian packages as building material: found, fetched and verified by apt, never installed.

Nothing here needs root, and nothing on the building machine changes but the cache.
"""

import functools
import hashlib
import io
import os
import re
import stat
import subprocess
import tarfile
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from cloud.images.built import ImageBuildError
from cloud.images.tools import Report, run, run_bytes
from cloud.images.tree import Tree

#: A directory of .deb files to build from instead of asking apt, for machines that
#: reach no mirror.
OFFLINE_VARIABLE = "PORTAL_DEMO_DEBS"

KERNEL_PATTERN = re.compile(r"linux-image-\d[^ ,]*-cloud-amd64")

FIX_APT = (
    "Run `apt-get update` as root and try again; without a mirror, put the .deb files"
    f" into a directory and name it in {OFFLINE_VARIABLE}."
)
FIX_DEB = "Delete this file and try again."


@dataclass(frozen=True, slots=True, kw_only=True)
class Deb:
    """A package file on this machine."""

    name: str
    version: str
    path: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class _Offer:
    """A line of ``apt-get --print-uris``: what the signed lists say the file must be."""

    file_name: str
    size_bytes: int
    sha256: str


def collect(names: Sequence[str], *, cache_dir: Path, report: Report) -> list[Deb]:
    """Return the kernel of linux-image-cloud-amd64 and the named packages, in this order.

    What ``cache_dir`` has already is not fetched again.

    Raises:
        ImageBuildError: apt knows a package not, or cannot fetch it.
    """
    if offline := os.environ.get(OFFLINE_VARIABLE):
        return _from_directory(names, Path(offline))
    step = "Asking apt for the demo image's packages"
    shown = run(
        ["apt-cache", "show", "--no-all-versions", "linux-image-cloud-amd64"],
        step=step, fix=FIX_APT,
    )  # fmt: skip
    kernel = KERNEL_PATTERN.search(shown)
    if not kernel:
        raise ImageBuildError(f"{step} failed: linux-image-cloud-amd64 names no kernel. {FIX_APT}")
    wanted = [kernel.group(), *names]
    listed = run(["apt-get", "--print-uris", "download", *wanted], step=step, fix=FIX_APT)
    offers = parse_offers(listed)
    _fetch(offers, cache_dir, report)
    debs = {deb.name: deb for deb in map(_read, (cache_dir / o.file_name for o in offers))}
    return _picked(wanted, debs, step=step, fix=FIX_APT)


def parse_offers(listed: str) -> list[_Offer]:
    """Read what ``apt-get --print-uris download`` printed."""
    pattern = re.compile(r"^'[^']+' (\S+) (\d+) SHA256:([0-9a-f]{64})$", re.MULTILINE)
    return [
        _Offer(file_name=m[1], size_bytes=int(m[2]), sha256=m[3]) for m in pattern.finditer(listed)
    ]


def _fetch(offers: Iterable[_Offer], cache_dir: Path, report: Report) -> None:
    cache_dir.mkdir(parents=True, exist_ok=True)
    missing = [offer for offer in offers if not _is_whole(cache_dir / offer.file_name, offer)]
    if not missing:
        return
    total_mib = sum(offer.size_bytes for offer in missing) / 2**20
    report(f"downloading {len(missing)} Debian packages, {total_mib:.0f} MiB")
    step = "Downloading Debian packages"
    with tempfile.TemporaryDirectory(dir=cache_dir, prefix=".fetch-") as fetch_dir:
        # As root apt would drop to a user who cannot write here, and say so each time.
        run(
            ["apt-get", "-o", "APT::Sandbox::User=root", "-q", "download",
             *(exact(offer.file_name) for offer in missing)],
            step=step, fix=FIX_APT, cwd=Path(fetch_dir),
        )  # fmt: skip
        for offer in missing:
            fetched = Path(fetch_dir) / offer.file_name
            if not _is_whole(fetched, offer):
                raise ImageBuildError(
                    f"{step} failed: {offer.file_name} is not what apt's lists say. {FIX_APT}"
                )
            fetched.replace(cache_dir / offer.file_name)


def exact(file_name: str) -> str:
    """Return ``name=version``, so that what is fetched is what was listed."""
    name, version, _architecture = file_name.split("_")
    return f"{name}={version.replace('%3a', ':')}"


def _is_whole(path: Path, offer: _Offer) -> bool:
    if not path.is_file() or path.stat().st_size != offer.size_bytes:
        return False
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == offer.sha256


def _from_directory(names: Sequence[str], directory: Path) -> list[Deb]:
    step = f"Reading the packages in {OFFLINE_VARIABLE}={directory}"
    newest: dict[str, Deb] = {}
    for deb in map(_read, sorted(directory.glob("*.deb"))):
        kept = newest.get(deb.name)
        newest[deb.name] = deb if kept is None else max(kept, deb, key=_by_version)
    kernels = [deb for deb in newest.values() if KERNEL_PATTERN.fullmatch(deb.name)]
    if not kernels:
        raise ImageBuildError(
            f"{step} failed: no linux-image-*-cloud-amd64 there."
            f" Put it there or unset {OFFLINE_VARIABLE}."
        )
    kernel = max(kernels, key=_by_version)
    return _picked(
        [kernel.name, *names], newest, step=step, fix=f"Put it there or unset {OFFLINE_VARIABLE}."
    )


def _compare_versions(a: Deb, b: Deb) -> int:
    for operator, answer in (("lt", -1), ("gt", 1)):
        compared = subprocess.run(
            ["dpkg", "--compare-versions", a.version, operator, b.version], check=False
        )
        if compared.returncode == 0:
            return answer
    return 0


_by_version = functools.cmp_to_key(_compare_versions)


def _picked(wanted: Sequence[str], debs: dict[str, Deb], *, step: str, fix: str) -> list[Deb]:
    if missing := [name for name in wanted if name not in debs]:
        raise ImageBuildError(f"{step} failed: no package {', '.join(missing)}. {fix}")
    return [debs[name] for name in wanted]


def _read(path: Path) -> Deb:
    shown = run(
        ["dpkg-deb", "--show", "--showformat=${Package} ${Version}", path],
        step=f"Reading the package {path}", fix=FIX_DEB,
    )  # fmt: skip
    name, version = shown.split()
    return Deb(name=name, version=version, path=path)


def unpack(deb: Deb, patterns: Iterable[str], tree: Tree) -> None:
    """Add the members of a package that match a pattern to ``tree``.

    Paths are those of a merged /usr (``bin/sh`` becomes ``usr/bin/sh``), before and
    after matching.

    Raises:
        ImageBuildError: a pattern matches nothing: Debian has moved a file.
    """
    unmatched = set(patterns)
    wanted = tuple(unmatched)
    packed = run_bytes(
        ["dpkg-deb", "--fsys-tarfile", deb.path],
        step=f"Unpacking {deb.path.name}", fix=FIX_DEB,
    )  # fmt: skip
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        for member in archive:
            path = merged_usr(member.name)
            matched = [pattern for pattern in wanted if fnmatchcase(path, pattern)]
            if matched and not member.isdir():
                unmatched.difference_update(matched)
                _add_member(archive, member, path, tree)
    if unmatched:
        raise ImageBuildError(
            f"Unpacking {deb.path.name} failed: it has no {', '.join(sorted(unmatched))}."
            " This version of the package is laid out differently; report it as a fault."
        )


def _add_member(archive: tarfile.TarFile, member: tarfile.TarInfo, path: str, tree: Tree) -> None:
    if member.issym():
        tree.link(path, member.linkname)
    elif member.islnk():
        tree.link(path, "/" + merged_usr(member.linkname))
    elif content := archive.extractfile(member):
        tree.file(path, content.read(), mode=stat.S_IMODE(member.mode))


def merged_usr(path: str) -> str:
    """Return a member's path without ``./``, below ``usr`` where Debian 12 has it."""
    path = path.removeprefix("./").rstrip("/")
    top = path.split("/", 1)[0]
    return f"usr/{path}" if top in {"bin", "sbin", "lib", "lib64"} else path

"""What a build gives back, and how it fails."""

import dataclasses
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path


class ImageBuildError(Exception):
    """A build stopped. ``str(error)`` names the step and what to do about it.

    ``detail`` is what the failing program printed, for the log.
    """

    def __init__(self, sentence: str, *, detail: str = "") -> None:
        super().__init__(sentence)
        self.detail = detail


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """What an image is, as its catalogue entry will say."""

    os: str
    os_version: str
    version: str
    title: str
    description: str
    os_arch: str = "x86_64"
    default_user: str = "root"
    inbound_ports: tuple[int, ...] = (22,)


@dataclass(frozen=True, slots=True, kw_only=True)
class BuiltImage(Profile):
    """An image file, measured. ``packages`` are (name, version) of what it was made of."""

    path: Path
    format: str
    size_bytes: int
    virtual_size_bytes: int
    sha1: str
    sha256: str
    sha512: str
    packages: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Digests:
    size_bytes: int
    sha1: str
    sha256: str
    sha512: str


def digests(path: Path) -> Digests:
    """Read a file once and return its length and its three checksums, in hex."""
    # SHA-1 names the image in the Marketplace; it is not what protects it.
    sha1 = hashlib.sha1(usedforsecurity=False)
    sha256, sha512 = hashlib.sha256(), hashlib.sha512()
    size = 0
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            size += len(chunk)
            for each in (sha1, sha256, sha512):
                each.update(chunk)
    return Digests(
        size_bytes=size,
        sha1=sha1.hexdigest(),
        sha256=sha256.hexdigest(),
        sha512=sha512.hexdigest(),
    )


def measured(
    path: Path,
    profile: Profile,
    *,
    virtual_size_bytes: int,
    packages: Iterable[tuple[str, str]],
) -> BuiltImage:
    """Return what was built at ``path``, with its true length and checksums."""
    fields = {field.name: getattr(profile, field.name) for field in dataclasses.fields(profile)}
    return BuiltImage(
        **fields,
        **dataclasses.asdict(digests(path)),
        path=path,
        format="qcow2",
        virtual_size_bytes=virtual_size_bytes,
        packages=tuple(packages),
    )

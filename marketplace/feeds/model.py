"""What readers of other catalogues find, as values, and how they get at bytes."""

from dataclasses import dataclass
from datetime import datetime
from typing import IO, Protocol


class Unreadable(Exception):
    """The catalogue as a whole cannot be read; ``str(error)`` is a sentence saying why."""


class Get(Protocol):
    def __call__(self, url: str, *, most_bytes: int) -> IO[bytes]:
        """A file of what is at ``url``, at its beginning.

        Raises:
            core.fetch.Unfetchable: it cannot be had.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """An image that an index lists, of whose bytes it states one checksum or two.

    ``location`` is the file as it is, unpacked. ``tag`` stays the same over the versions of one
    product. ``supported_until`` is None where the index does not say.
    """

    location: str
    sha256: str = ""  # lower-case hex, as ``sha512``
    sha512: str = ""
    size_bytes: int | None = None
    format: str = "qcow2"
    title: str
    description: str
    os: str
    os_version: str
    os_arch: str  # as StratusLab says it: "x86_64"
    version: str
    tag: str
    created: datetime
    is_supported: bool = True
    supported_until: datetime | None = None
    default_user: str = "root"


@dataclass(frozen=True, slots=True)
class SignedDocument:
    """One document of a StratusLab list, to the byte."""

    xml: bytes


@dataclass(frozen=True, slots=True)
class Problem:
    """Something in the catalogue that is left out: what, and why, for the administrator."""

    what: str
    sentence: str


Found = Item | SignedDocument | Problem

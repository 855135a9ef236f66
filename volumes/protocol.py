"""What the tus protocol says in headers. Source: tus 1.0.0, https://tus.io/protocols/."""

import base64
import binascii
import hashlib
from collections.abc import Callable
from dataclasses import dataclass

from core.errors import Refused

VERSION = "1.0.0"
EXTENSIONS = ("creation", "creation-with-upload", "checksum", "expiration", "termination")
ALGORITHMS = ("sha1", "sha256", "sha512")
CONTENT_TYPE = "application/offset+octet-stream"

LOCKED, CHECKSUM_MISMATCH, NO_ROOM = 423, 460, 507

#: Where, in an ASGI scope, the server puts an ``Incoming`` and the door leaves a ``Ticket``.
INCOMING, TICKET = "volumes.incoming", "volumes.ticket"


@dataclass(frozen=True, slots=True)
class Checksum:
    algorithm: str
    digest: bytes


@dataclass(frozen=True, slots=True)
class Incoming:
    """A body that waits to be received. ``length`` in bytes; None: not said."""

    length: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticket:
    """Leave to append to one upload, given by the door that knows who asks.

    ``may_go_on`` asks the policy anew; a long body must not outlive its person's rights.
    """

    volume: int  # primary key
    offset: int
    length: int
    checksum: Checksum | None
    may_go_on: Callable[[], bool]


def metadata(header: str) -> dict[str, str]:
    """The pairs of ``Upload-Metadata``. Raises: Refused: ``upload_metadata``."""
    found: dict[str, str] = {}
    for pair in filter(None, (part.strip() for part in header.split(","))):
        key, _, value = pair.partition(" ")
        try:
            found[key] = base64.b64decode(value.strip(), validate=True).decode()
        except (binascii.Error, UnicodeDecodeError) as exc:
            sentence = f"Upload-Metadata: the value of “{key}” is not UTF-8 in base64."
            raise Refused("upload_metadata", sentence) from exc
    return found


def as_metadata(pairs: dict[str, str]) -> str:
    return ",".join(
        f"{key} {base64.b64encode(value.encode()).decode()}" for key, value in pairs.items()
    )


def checksum(header: str) -> Checksum | None:
    """What ``Upload-Checksum`` promises. Raises: Refused: ``upload_checksum``."""
    if not header:
        return None
    algorithm, _, value = header.partition(" ")
    if algorithm not in ALGORITHMS:
        sentence = f"Upload-Checksum: the portal checks {', '.join(ALGORITHMS)}."
        raise Refused("upload_checksum", sentence)
    try:
        digest = base64.b64decode(value.strip(), validate=True)
    except binascii.Error:
        digest = b""
    if len(digest) != hashlib.new(algorithm).digest_size:
        sentence = f"Upload-Checksum: write “{algorithm}”, a space, and the digest in base64."
        raise Refused("upload_checksum", sentence)
    return Checksum(algorithm, digest)


def number(header: str | None, name: str) -> int:
    """A size or offset in bytes. Raises: Refused: ``upload_header``."""
    text = header or ""
    if not (text.isascii() and text.isdecimal() and len(text) < 20):
        raise Refused("upload_header", f"Send {name}: a number of bytes.")
    return int(text)

"""StratusLab image identifiers: a SHA-1 written in 27 characters.

The digest is a 160-bit unsigned number, written most significant digit first in base 64
with the alphabet ``A-Z a-z 0-9 - _``. 27 digits hold 162 bits, so the first character is
one of ``A`` to ``P``.

An index of images often states a SHA-256 or SHA-512 and no SHA-1. Until somebody has the bytes,
its images are known by a *provisional* identifier: ``_`` and the first 26 digits of base64url of
that digest. No identifier of an image begins so, so the two never meet.

Source: ``MetadataUtils.java`` of the StratusLab Marketplace, ``ManifestInfo.py`` of the
StratusLab client.
"""

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode

LENGTH = 27
#: Of both kinds.
PATTERN = r"[A-P_][A-Za-z0-9_-]{26}"

_SHA1 = re.compile(r"[0-9a-f]{40}\Z", re.IGNORECASE)
_LONGER = re.compile(r"(?:[0-9a-f]{64}|[0-9a-f]{128})\Z", re.IGNORECASE)
_IDENTIFIER = re.compile(r"[A-P][A-Za-z0-9_-]{26}\Z")
_PROVISIONAL = re.compile(r"_[A-Za-z0-9_-]{26}\Z")


def identifier_of(sha1: str) -> str:
    """The identifier of the image whose SHA-1, in 40 hexadecimal digits, is ``sha1``.

    Raises:
        ValueError: ``sha1`` is not 40 hexadecimal digits.
    """
    if not _SHA1.match(sha1):
        raise ValueError("A SHA-1 has 40 hexadecimal digits.")
    return urlsafe_b64encode(b"\0" + bytes.fromhex(sha1)).decode()[1:]


def sha1_of(identifier: str) -> str:
    """The SHA-1, in 40 lower-case hexadecimal digits, that ``identifier`` stands for.

    Raises:
        ValueError: ``identifier`` stands for no SHA-1.
    """
    if not is_identifier(identifier):
        raise ValueError("An image identifier has 27 letters, digits, - or _, from A to P first.")
    return urlsafe_b64decode("A" + identifier)[1:].hex()


def provisional_identifier_of(digest: str) -> str:
    """What an image is called of which only its SHA-256 or SHA-512, in hexadecimal, is known.

    Raises:
        ValueError: ``digest`` is neither 64 nor 128 hexadecimal digits.
    """
    if not _LONGER.match(digest):
        raise ValueError("A SHA-256 has 64 hexadecimal digits, a SHA-512 has 128.")
    return "_" + urlsafe_b64encode(bytes.fromhex(digest)).decode()[: LENGTH - 1]


def is_identifier(text: str) -> bool:
    """Whether it is made from a SHA-1."""
    return _IDENTIFIER.match(text) is not None


def is_provisional(text: str) -> bool:
    return _PROVISIONAL.match(text) is not None

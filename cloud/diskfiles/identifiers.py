"""StratusLab image identifiers: a SHA-1 written in 27 characters.

The digest is a 160-bit unsigned number, written most significant digit first in base 64
with the alphabet ``A-Z a-z 0-9 - _``. 27 digits hold 162 bits, so the first character is
one of ``A`` to ``P``.

Source: ``MetadataUtils.java`` of the StratusLab Marketplace, ``ManifestInfo.py`` of the
StratusLab client.
"""

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode

LENGTH = 27
PATTERN = r"[A-P][A-Za-z0-9_-]{26}"

_SHA1 = re.compile(r"[0-9a-f]{40}\Z", re.IGNORECASE)
_IDENTIFIER = re.compile(rf"{PATTERN}\Z")


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


def is_identifier(text: str) -> bool:
    return _IDENTIFIER.match(text) is not None

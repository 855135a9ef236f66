"""StratusLab image identifiers, as entries are named by."""

from cloud.diskfiles.identifiers import (
    LENGTH,
    PATTERN,
    identifier_of,
    is_identifier,
    is_provisional,
    provisional_identifier_of,
    sha1_of,
)

__all__ = [
    "LENGTH",
    "PATTERN",
    "identifier_of",
    "is_identifier",
    "is_provisional",
    "provisional_identifier_of",
    "sha1_of",
]

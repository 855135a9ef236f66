"""StratusLab image identifiers, as entries are named by."""

from cloud.diskfiles.identifiers import LENGTH, PATTERN, identifier_of, is_identifier, sha1_of

__all__ = ["LENGTH", "PATTERN", "identifier_of", "is_identifier", "sha1_of"]

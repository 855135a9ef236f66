"""StratusLab metadata documents: read, judged, written, signed, verified. No Django here."""

from marketplace.documents.lists import is_list, split_list, wrap_list
from marketplace.documents.model import (
    Broken,
    Endorsement,
    Metadata,
    Problem,
    Signature,
    Signer,
)
from marketplace.documents.pkcs12 import read_pkcs12
from marketplace.documents.rdf_json import rdf_json
from marketplace.documents.rules import parse
from marketplace.documents.signing import sign
from marketplace.documents.values import EMAIL_PATTERN
from marketplace.documents.verifying import verify
from marketplace.documents.writing import write

__all__ = [
    "EMAIL_PATTERN",
    "Broken",
    "Endorsement",
    "Metadata",
    "Problem",
    "Signature",
    "Signer",
    "is_list",
    "parse",
    "rdf_json",
    "read_pkcs12",
    "sign",
    "split_list",
    "verify",
    "wrap_list",
    "write",
]

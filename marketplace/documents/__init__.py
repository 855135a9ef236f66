"""StratusLab metadata documents: read, judged, written, signed, verified. No Django here."""

from marketplace.documents.model import (
    Broken,
    Endorsement,
    Metadata,
    Problem,
    Signature,
    Signer,
)

__all__ = ["Broken", "Endorsement", "Metadata", "Problem", "Signature", "Signer"]

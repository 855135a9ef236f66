"""The tables of the catalogue. No verbs here: those are in ``actions``."""

from marketplace.models.drafts import DocumentArrival, Draft, Pending
from marketplace.models.endorsers import SigningKey, TrustedCertificate
from marketplace.models.entries import (
    CREATED_FORMAT,
    NO_SYSTEM,
    Document,
    Entry,
    EntryQuerySet,
    default_ports,
)
from marketplace.models.images import ImageFailure, ImageFile
from marketplace.models.inspections import Inspection, Publication
from marketplace.models.policy import PolicyLine
from marketplace.models.sources import Source
from marketplace.models.uses import LocationCheck, Reminder, TestedSize, Use
from marketplace.models.vocabulary import Learned, Word

__all__ = [
    "CREATED_FORMAT",
    "NO_SYSTEM",
    "Document",
    "DocumentArrival",
    "Draft",
    "Entry",
    "EntryQuerySet",
    "ImageFailure",
    "ImageFile",
    "Inspection",
    "Learned",
    "LocationCheck",
    "Pending",
    "PolicyLine",
    "Publication",
    "Reminder",
    "SigningKey",
    "Source",
    "TestedSize",
    "TrustedCertificate",
    "Use",
    "Word",
    "default_ports",
]

"""The tables of the catalogue. No verbs here: those are in ``actions``."""

from marketplace.models.drafts import DocumentArrival, Draft, Pending
from marketplace.models.endorsers import SigningKey, TrustedCertificate
from marketplace.models.entries import (
    CREATED_FORMAT,
    Document,
    Entry,
    EntryQuerySet,
    default_ports,
)
from marketplace.models.images import ImageFile
from marketplace.models.policy import PolicyLine
from marketplace.models.sources import Source
from marketplace.models.uses import LocationCheck, Reminder, TestedSize, Use

__all__ = [
    "CREATED_FORMAT",
    "Document",
    "DocumentArrival",
    "Draft",
    "Entry",
    "EntryQuerySet",
    "ImageFile",
    "LocationCheck",
    "Pending",
    "PolicyLine",
    "Reminder",
    "SigningKey",
    "Source",
    "TestedSize",
    "TrustedCertificate",
    "Use",
    "default_ports",
]

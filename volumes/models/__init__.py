"""The tables of disks. No verbs here: those are in ``actions``."""

from volumes.models.arrivals import Arrival, Packing
from volumes.models.attachments import Attachment, VolumeSample, settle_use, with_holders
from volumes.models.derived import Export, ExportFormat, Offer, Snapshot
from volumes.models.disks import (
    BOOTABLE,
    LARGEST_GIB,
    LONGEST_TAG,
    MACHINE_IMAGES,
    PLUGGABLE,
    SECTOR,
    SMALLEST_GIB,
    WRITABLE,
    Access,
    DiskType,
    Origin,
    Share,
    Visibility,
    Volume,
    VolumeQuerySet,
)

__all__ = [
    "BOOTABLE",
    "LARGEST_GIB",
    "LONGEST_TAG",
    "MACHINE_IMAGES",
    "PLUGGABLE",
    "SECTOR",
    "SMALLEST_GIB",
    "WRITABLE",
    "Access",
    "Arrival",
    "Attachment",
    "DiskType",
    "Export",
    "ExportFormat",
    "Offer",
    "Origin",
    "Packing",
    "Share",
    "Snapshot",
    "Visibility",
    "Volume",
    "VolumeQuerySet",
    "VolumeSample",
    "settle_use",
    "with_holders",
]

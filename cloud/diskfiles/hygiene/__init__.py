"""What is left of its maker in a disk that becomes everybody's, and the taking out of it.

Nothing is booted and nothing mounted: file systems are read by ``debugfs`` in a child with
limits, which sees the file of the disk and nothing else.
"""

from cloud.diskfiles.hygiene.cleaning import NotCleaned, clean
from cloud.diskfiles.hygiene.findings import KINDS, Finding, Kind, Weight
from cloud.diskfiles.hygiene.parts import Part, parts_of
from cloud.diskfiles.hygiene.reading import Report, Unread, read

__all__ = [
    "KINDS",
    "Finding",
    "Kind",
    "NotCleaned",
    "Part",
    "Report",
    "Unread",
    "Weight",
    "clean",
    "parts_of",
    "read",
]

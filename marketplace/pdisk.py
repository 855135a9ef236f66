"""Addresses of disks, as entries have them: ``pdisk:<site>:<uuid of the disk>``."""

from collections.abc import Iterable
from urllib.parse import urlsplit
from uuid import UUID

from django.conf import settings


def site() -> str:
    """What this site is called in addresses of disks: the host of its own address."""
    return urlsplit(settings.PORTAL_URL).hostname or "localhost"


def address_of(key: UUID) -> str:
    return f"pdisk:{site()}:{key}"


def disk_of(location: str) -> UUID | None:
    """The disk of this site that ``location`` means; None: another's, or no disk at all."""
    scheme, _, rest = location.partition(":")
    host, _, name = rest.rpartition(":")
    if scheme.lower() != "pdisk" or host.lower() != site().lower():
        return None
    try:
        return UUID(name)
    except ValueError:
        return None


def disks_of(locations: Iterable[str]) -> list[UUID]:
    """The disks of this site that these locations mean, in their order."""
    return [key for key in map(disk_of, locations) if key]

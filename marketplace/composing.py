"""From the answers of a form to what a document says; what of them follows from the image."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from django.conf import settings

from marketplace import pdisk
from marketplace.documents import Metadata
from marketplace.models import Draft
from marketplace.states import DraftSource, Kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What a person says of an image. ``locations`` are those besides the draft's own disk."""

    title: str
    valid: datetime
    kind: str = Kind.MACHINE
    type: str = "base"
    alternative: str = ""
    description: str = ""
    os: str = ""
    os_version: str = ""
    os_arch: str = ""
    version: str = ""
    serial_number: int | None = None
    creator: str = ""
    publisher: str = ""
    compression: str = ""
    locations: Sequence[str] = ()
    hypervisor: str = ""
    disks_bus: str = ""
    inbound_ports: Sequence[int] = ()
    outbound_ports: Sequence[int] = ()
    icmp: Sequence[int] = ()
    default_user: str = ""
    min_memory_mib: int = 0
    replaces: str = ""
    is_replaced_by: str = ""
    is_version_of: str = ""
    others: Sequence[str] = field(default=())  # of the document that is said again


def compose(draft: Draft, said: Said) -> Metadata:
    """The metadata, not endorsed. Size and checksums are the draft's, never the form's."""
    return Metadata(
        identifier=draft.identifier,
        size_bytes=draft.size_bytes or 0,
        checksums=checksums_of(draft),
        type=said.type,
        kind=said.kind,
        os=said.os,
        os_version=said.os_version,
        os_arch=said.os_arch,
        version=said.version,
        serial_number=said.serial_number,
        compression=compression_of(draft, said.compression),
        format=draft.format or "raw",
        creator=said.creator,
        created=draft.created_at.replace(microsecond=0),
        valid=said.valid,
        title=said.title,
        alternative=said.alternative,
        description=said.description,
        publisher=said.publisher,
        locations=tuple(dict.fromkeys((*own_locations(draft), *said.locations))),
        hypervisor=said.hypervisor,
        disks_bus=said.disks_bus,
        inbound_ports=tuple(said.inbound_ports),
        outbound_ports=tuple(said.outbound_ports),
        icmp=tuple(said.icmp),
        replaces=said.replaces,
        is_replaced_by=said.is_replaced_by,
        is_version_of=said.is_version_of,
        default_user=said.default_user,
        min_memory_mib=said.min_memory_mib,
        virtual_size_bytes=draft.virtual_size_bytes,
        others=tuple(said.others),
    )


def checksums_of(draft: Draft) -> Mapping[str, str]:
    """By StratusLab's names; what nobody has computed is not there."""
    known = (
        ("MD5", draft.md5), ("SHA-1", draft.sha1), ("SHA-256", draft.sha256),
        ("SHA-512", draft.sha512),
    )  # fmt: skip
    return {name: value for name, value in known if value}


def compression_of(draft: Draft, said: str) -> str:
    """What was found, where the portal has seen the file; else what the person says."""
    return draft.compression if has_own_file(draft) else said


def has_own_file(draft: Draft) -> bool:
    """Whether the portal itself has seen the file that the first location leads to."""
    return draft.about in (DraftSource.DISK, DraftSource.URL)


def own_locations(draft: Draft) -> tuple[str, ...]:
    """Where the image is that the draft is about, as far as the draft knows."""
    if draft.about == DraftSource.DISK and draft.volume is not None:
        return (pdisk.address_of(draft.volume.uuid),)
    return (draft.url,) if draft.about == DraftSource.URL else ()


def usual_publisher() -> str:
    return str(settings.PORTAL_SITE_NAME)

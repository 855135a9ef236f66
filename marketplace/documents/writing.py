"""A document from what it should say. The same always makes the same bytes."""

from collections.abc import Iterator
from datetime import UTC, datetime

from lxml import etree

from marketplace.documents.model import Endorsement, Metadata
from marketplace.documents.reading import read, refuse
from marketplace.documents.values import DATE_FORMAT
from marketplace.documents.vocabulary import (
    BASE,
    DCTERMS,
    RDF,
    SLPORTAL,
    SLREQ,
    SLTERMS,
    XML,
    tag,
)

NAMESPACES = {"rdf": RDF, "dcterms": DCTERMS, "slreq": SLREQ, "slterms": SLTERMS}
_RESOURCE = {tag("rdf:parseType"): "Resource"}
_ORDER = ("MD5", "SHA-1", "SHA-256", "SHA-512")


def write(metadata: Metadata) -> bytes:
    """The document, unsigned, with the endorsement if there is one and an empty one if not.

    What it says is not judged, so that a draft can be shown: ``parse`` does.

    Raises:
        Broken: ``characters``: XML has no way to write a character of it; of ``others``, what
            ``reading`` refuses.
    """
    own = {"slportal": SLPORTAL} if any(_portals(metadata)) else {}
    root = etree.Element(tag("rdf:RDF"), {f"{{{XML}}}base": BASE}, nsmap={**NAMESPACES, **own})
    about = {tag("rdf:about"): f"#{metadata.identifier}"}
    try:
        description = etree.SubElement(root, tag("rdf:Description"), about)
        _say_required(description, metadata)
        for name, value in _said(metadata):
            _leaf(description, name, value)
    except ValueError:
        refuse("characters", "", "The text has control characters, which XML has no way to write.")
    etree.indent(root)
    for other in metadata.others:
        _append_other(description, other)
    return to_bytes(root)


def to_bytes(root: etree._Element) -> bytes:
    tree = root.getroottree()
    return etree.tostring(tree, encoding="UTF-8", xml_declaration=True) + b"\n"


def fill_endorsement(element: etree._Element, endorsement: Endorsement) -> None:
    """Say in an empty ``slreq:endorsement`` who vouches."""
    element.set(tag("rdf:parseType"), "Resource")
    _leaf(element, "dcterms:created", in_words(endorsement.created))
    endorser = etree.SubElement(element, tag("slreq:endorser"), _RESOURCE)
    _leaf(endorser, "slreq:email", endorsement.email)
    _leaf(endorser, "slreq:subject", endorsement.subject)
    for issuer in endorsement.issuers:
        _leaf(endorser, "slreq:issuer", issuer)


def in_words(when: datetime) -> str:
    return when.astimezone(UTC).strftime(DATE_FORMAT)


def _say_required(description: etree._Element, metadata: Metadata) -> None:
    _leaf(description, "dcterms:identifier", metadata.identifier)
    _leaf(description, "slreq:bytes", str(metadata.size_bytes))
    for algorithm in _ORDER:
        if digest := metadata.checksums.get(algorithm):
            checksum = etree.SubElement(description, tag("slreq:checksum"), _RESOURCE)
            _leaf(checksum, "slreq:algorithm", algorithm)
            _leaf(checksum, "slreq:value", digest)
    endorsement = etree.SubElement(description, tag("slreq:endorsement"), _RESOURCE)
    if metadata.endorsement:
        fill_endorsement(endorsement, metadata.endorsement)
    _leaf(description, "dcterms:type", metadata.type)


def _said(metadata: Metadata) -> Iterator[tuple[str, str]]:
    """Every element with text that says something, in the order of StratusLab's own tools."""
    for name, value in (*_about_image(metadata), *_about_use(metadata)):
        if value:
            yield name, value
    if metadata.deprecated is not None:
        yield "slterms:deprecated", metadata.deprecated
    yield from _portals(metadata)


def _about_image(metadata: Metadata) -> Iterator[tuple[str, str]]:
    yield "slterms:kind", metadata.kind
    yield "slterms:os", metadata.os
    yield "slterms:os-version", metadata.os_version
    yield "slterms:os-arch", metadata.os_arch
    yield "slterms:version", metadata.version
    yield "slterms:serial-number", _number(metadata.serial_number)
    yield "dcterms:compression", metadata.compression
    yield "dcterms:format", metadata.format
    yield "dcterms:creator", metadata.creator
    yield "dcterms:created", in_words(metadata.created) if metadata.created else ""
    yield "dcterms:valid", in_words(metadata.valid) if metadata.valid else ""
    yield "dcterms:title", metadata.title
    yield "dcterms:alternative", metadata.alternative
    yield "dcterms:description", metadata.description


def _about_use(metadata: Metadata) -> Iterator[tuple[str, str]]:
    for location in metadata.locations:
        yield "slterms:location", location
    yield "slterms:hypervisor", metadata.hypervisor
    yield "slterms:disks-bus", metadata.disks_bus
    for name, many in (
        ("slterms:inbound-port", metadata.inbound_ports),
        ("slterms:outbound-port", metadata.outbound_ports),
        ("slterms:icmp", metadata.icmp),
    ):
        for one in many:
            yield name, str(one)
    yield "dcterms:publisher", metadata.publisher
    yield "dcterms:replaces", metadata.replaces
    yield "dcterms:isReplacedBy", metadata.is_replaced_by
    yield "dcterms:isVersionOf", metadata.is_version_of


def _portals(metadata: Metadata) -> list[tuple[str, str]]:
    said = (
        ("slportal:default-user", metadata.default_user),
        ("slportal:min-memory-mib", str(metadata.min_memory_mib or "")),
        ("slportal:virtual-size-bytes", _number(metadata.virtual_size_bytes)),
    )
    return [(name, value) for name, value in said if value]


def _number(value: int | None) -> str:
    return "" if value is None else str(value)


def _leaf(parent: etree._Element, name: str, text: str) -> None:
    etree.SubElement(parent, tag(name)).text = text


def _append_other(description: etree._Element, other: str) -> None:
    """As it came: blanks inside may mean something."""
    element = read(other.encode())
    last = description[-1]
    element.tail, last.tail = last.tail, "\n    "
    description.append(element)

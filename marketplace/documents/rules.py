"""What a metadata document must say, rule by rule. Source: stratuslab.md 6.2 and 6.3."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from lxml import etree

from cloud.diskfiles import identifiers
from marketplace.documents import values
from marketplace.documents.checksums import check_sha1, checksums_of
from marketplace.documents.endorsing import endorsement_of
from marketplace.documents.layout import Layout, lay_out
from marketplace.documents.model import Broken, Metadata
from marketplace.documents.reading import (
    LARGEST_BYTES,
    Problems,
    children,
    line_of,
    read,
    text_of,
)
from marketplace.documents.triples import check_property
from marketplace.documents.vocabulary import BASE, XML, name_of, tag

#: Of one kind in one document: locations, ports.
MOST_OF_A_KIND = 200
COMPRESSIONS = {"": "", "none": "", "gz": "gz", "gzip": "gz", "bz2": "bz2", "bzip2": "bz2",
                "xz": "xz", "zst": "zst", "zstd": "zst"}  # fmt: skip
FORMATS = ("", "raw", "qcow2", "vdi", "vmdk", "vpc", "vhdx")

_PLAIN = {f"{{{XML}}}lang", f"{{{XML}}}space", tag("rdf:datatype")}


@dataclass(frozen=True, slots=True)
class _Word:
    """An element with text, at most once. ``is_first``: of several the first counts."""

    name: str
    field: str
    read: Callable[[str], Any]
    is_first: bool = False


def _line(longest: int) -> Callable[[str], str]:
    return lambda text: values.line(text, longest)


def _compression(text: str) -> str:
    if text.lower() not in COMPRESSIONS:
        raise ValueError("is not one of gz, bz2, xz, zst or empty")
    return COMPRESSIONS[text.lower()]


def _format(text: str) -> str:
    if text.lower() not in FORMATS:
        raise ValueError(f"is not one of {', '.join(FORMATS[1:])} or empty")
    return text.lower()


_WORDS = (
    _Word("slterms:kind", "kind", _line(30)),
    _Word("slterms:os", "os", _line(60)),
    _Word("slterms:os-version", "os_version", _line(60)),
    _Word("slterms:os-arch", "os_arch", _line(30)),
    _Word("slterms:version", "version", _line(60)),
    _Word("slterms:serial-number", "serial_number", values.number),
    _Word("dcterms:compression", "compression", _compression),
    _Word("dcterms:format", "format", _format),
    _Word("dcterms:creator", "creator", _line(120), is_first=True),
    _Word("dcterms:created", "created", values.date),
    _Word("dcterms:valid", "valid", values.date),
    _Word("dcterms:title", "title", _line(200), is_first=True),
    _Word("dcterms:alternative", "alternative", _line(100), is_first=True),
    _Word("dcterms:description", "description", lambda text: values.lines(text, 20_000),
          is_first=True),
    _Word("dcterms:publisher", "publisher", _line(120), is_first=True),
    _Word("slterms:hypervisor", "hypervisor", _line(20), is_first=True),
    _Word("slterms:disks-bus", "disks_bus", _line(10), is_first=True),
    _Word("slterms:deprecated", "deprecated", _line(500)),
    _Word("dcterms:replaces", "replaces", _line(200), is_first=True),
    _Word("dcterms:isReplacedBy", "is_replaced_by", _line(200), is_first=True),
    _Word("dcterms:isVersionOf", "is_version_of", _line(200), is_first=True),
    _Word("slportal:default-user", "default_user", values.user),
    _Word("slportal:min-memory-mib", "min_memory_mib", values.mebibytes),
    _Word("slportal:virtual-size-bytes", "virtual_size_bytes", values.number),
)  # fmt: skip
_LISTS = (
    _Word("slterms:location", "locations", values.uri),
    _Word("slterms:inbound-port", "inbound_ports", values.port),
    _Word("slterms:outbound-port", "outbound_ports", values.port),
    _Word("slterms:icmp", "icmp", values.icmp),
)
#: Read on their own, below.
_SPECIAL = {
    tag(name)
    for name in (
        "dcterms:identifier", "slreq:bytes", "slreq:checksum", "slreq:endorsement", "dcterms:type",
    )
}  # fmt: skip
#: Their value may be named by an attribute.
_REFERENCES = {
    tag(name)
    for name in (
        "slterms:location", "dcterms:replaces", "dcterms:isReplacedBy", "dcterms:isVersionOf",
    )
}  # fmt: skip


def parse(xml: bytes, *, largest_bytes: int = LARGEST_BYTES) -> Metadata:
    """What a document says, signed or not. Its signature is not looked at.

    Raises:
        Broken: with every rule it breaks that could be looked at.
    """
    return metadata_of(lay_out(read(xml, largest_bytes=largest_bytes)))


def metadata_of(layout: Layout) -> Metadata:
    """See ``parse``."""
    return _Description(layout).read()


@dataclass(slots=True)
class _Description:
    layout: Layout
    problems: Problems = field(default_factory=Problems)
    said: dict[str, list[etree._Element]] = field(default_factory=dict)
    others: list[etree._Element] = field(default_factory=list)

    def read(self) -> Metadata:
        for child in children(self.layout.description):
            self.said.setdefault(child.tag, []).append(child)
        identifier = self._identifier()
        sums, unknown = checksums_of(self.layout.description, self.problems)
        check_sha1(identifier, sums, self.layout.description, self.problems)
        self.others.extend(unknown)
        found: dict[str, Any] = {
            "identifier": identifier,
            "type": self._type(),
            "size_bytes": self._size(),
            "checksums": sums,
            "endorsement": self._endorsement(),
        }
        for word in _WORDS:
            if (value := self._word(word)) is not None:
                found[word.field] = value
        for word in _LISTS:
            found[word.field] = self._list(word)
        if not found.get("kind"):  # older documents say it with their type
            found["kind"] = "disk" if found["type"] == "disk" else "machine"
        found["others"] = self._others(identifier)
        self._check_description()
        self.problems.raise_if_any()
        return Metadata(**found)

    # One by one

    def _identifier(self) -> str:
        element = self._exactly_one("dcterms:identifier")
        identifier = self._text(element, is_noted=True) if element is not None else None
        if element is None or identifier is None:
            return ""
        if not identifiers.is_identifier(identifier):
            self._wrong(
                element, "identifier", f"value ({identifier[:60]}) is not an image identifier: it "
                "has 27 letters, digits, - or _, the first from A to P",
            )  # fmt: skip
            return ""
        about = self.layout.description.get(tag("rdf:about"))
        if about != f"#{identifier}":
            self.problems.add(
                "about", "rdf:about",
                f"rdf:about attribute ({(about or 'none')[:60]}) and dcterms:identifier "
                f"({identifier}) are not consistent: it must be #{identifier}.",
                line_of(self.layout.description),
            )  # fmt: skip
        return identifier

    def _type(self) -> str:
        element = self._exactly_one("dcterms:type")
        return self._value(element, _line(30)) or "" if element is not None else ""

    def _size(self) -> int:
        element = self._exactly_one("slreq:bytes")
        return self._value(element, values.number) or 0 if element is not None else 0

    def _endorsement(self) -> Any:
        try:
            return endorsement_of(self.layout)
        except Broken as broken:
            self.problems.found.extend(broken.problems)
        return None

    # By the table

    def _word(self, word: _Word) -> Any:
        found = self.said.get(tag(word.name), [])
        if len(found) > 1:
            if not word.is_first:
                self._at_most_one(word.name, found)
                return None
            found = [one for one in found if self._text(one) != ""] or found[:1]
            self.others.extend(found[1:])
        if not found:
            return None
        text = self._text(found[0])
        if text == "" and word.field in ("created", "valid", "serial_number", *_PORTALS):
            return None
        return self._value(found[0], word.read)

    def _list(self, word: _Word) -> tuple[Any, ...]:
        found = self.said.get(tag(word.name), [])
        if len(found) > MOST_OF_A_KIND:
            self.problems.add(
                "too_many", word.name, f"The description must have at most {MOST_OF_A_KIND} "
                f"{word.name} elements; it has {len(found)}.", line_of(found[0]),
            )  # fmt: skip
            return ()
        read = [self._value(one, word.read) for one in found if self._text(one) != ""]
        return tuple(dict.fromkeys(one for one in read if one is not None))

    def _others(self, identifier: str) -> tuple[str, ...]:
        known = _SPECIAL | {tag(word.name) for word in (*_WORDS, *_LISTS)}
        for child in children(self.layout.description):
            if child.tag not in known:
                self.others.append(child)
        order = {element: number for number, element in enumerate(self.layout.description)}
        for element in self.others:
            try:
                check_property(element, f"{BASE}#{identifier}")
            except Broken as broken:
                self.problems.found.extend(broken.problems)
        return tuple(_alone(one) for one in sorted(self.others, key=order.__getitem__))

    # Common to all

    def _check_description(self) -> None:
        description = self.layout.description
        for attribute in description.attrib:
            if attribute not in (tag("rdf:about"), f"{{{XML}}}lang", f"{{{XML}}}space"):
                name = name_of(str(attribute))
                self._wrong(
                    description, "attribute", f"has the attribute {name}; say it in an element "
                    "of its own",
                )  # fmt: skip
        for text in (description.text, *(child.tail for child in description)):
            if text and text.strip():
                self._wrong(
                    description, "text", f"has text beside its elements: “{text.strip()[:40]}”"
                )

    def _exactly_one(self, name: str) -> etree._Element | None:
        found = self.said.get(tag(name), [])
        if len(found) == 1:
            return found[0]
        line = line_of(found[1] if found else self.layout.description)
        self.problems.add(
            "exactly_one", name,
            f"The description must have exactly 1 {name} element; it has {len(found)}.", line,
        )  # fmt: skip
        return None

    def _at_most_one(self, name: str, found: list[etree._Element]) -> None:
        self.problems.add(
            "at_most_one", name,
            f"The description must have at most 1 {name} element; it has {len(found)}.",
            line_of(found[1]),
        )  # fmt: skip

    def _value(self, element: etree._Element, read: Callable[[str], Any]) -> Any:
        """What the element says; None with a problem noted."""
        text = self._text(element, is_noted=True)
        if text is None:
            return None
        try:
            return read(text)
        except ValueError as error:
            said = f"({text[:60]}) " if len(text) <= 200 else ""
            self._wrong(element, "value", f"value {said}{error}")
        return None

    def _text(self, element: etree._Element, *, is_noted: bool = False) -> str | None:
        reference = element.get(tag("rdf:resource"))
        if reference is not None and element.tag in _REFERENCES and not len(element):
            return self._named(element, reference, is_noted=is_noted)
        try:
            text = text_of(element)
        except Broken as broken:
            if is_noted:
                self.problems.found.extend(broken.problems)
            return None
        for attribute in set(element.attrib) - _PLAIN if is_noted else ():
            self._wrong(element, "attribute", f"has the attribute {name_of(str(attribute))}, which "
                        "means nothing there")  # fmt: skip
        return text

    def _named(self, element: etree._Element, named: str, *, is_noted: bool) -> str | None:
        """What an rdf:resource names, if it is all that its element says."""
        if len(element.attrib) == 1 and not (element.text or "").strip():
            return named.strip()
        if is_noted:
            self._wrong(
                element, "resource", "has text or another attribute beside its rdf:resource; it "
                "says one thing or the other",
            )  # fmt: skip
        return None

    def _wrong(self, element: etree._Element, code: str, what: str) -> None:
        name = name_of(element.tag)
        self.problems.add(code, name, f"{name} {what}.", line_of(element))


_PORTALS = ("default_user", "min_memory_mib", "virtual_size_bytes")


def _alone(element: etree._Element) -> str:
    """The element with every namespace that it needs, and no other."""
    return etree.tostring(
        element, method="c14n", exclusive=True, with_tail=False, with_comments=False
    ).decode()
